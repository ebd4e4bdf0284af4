"""The passive answer to a click on a card: words in the answer to the callback itself, encrypted like a push."""

from xml.etree import ElementTree

from simulator import crypto
from simulator.callbacks.events import Event
from simulator.corp import CallbackConfig, Corp

CARD_EVENTS = ("template_card_event", "template_card_menu_event")
WORDS_MOST = 64 * 1024


def take(config: CallbackConfig, corp: Corp, event: Event, body: bytes) -> str:
    """Do what the answer says; returns its MsgType, why it was not followed, or '' when nothing was answered.

    `update_button` gives the buttons of the member's card new words. The elements of `update_template_card` are not described
    anywhere we know, so it changes nothing.
    """
    if event.name not in CARD_EVENTS or body.strip() in (b"", b"success"):
        return ""
    try:
        words = _open(config, corp, body)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # an encoding nobody knows is a LookupError
        return f"not followed: {error}"
    kind = words.findtext("MsgType", "")
    if kind != "update_button":
        return f"not followed: MsgType {kind}"
    name = words.findtext("Button/ReplaceName", "").strip()
    if not name:
        return "not followed: no ReplaceName"
    return kind if _rename(corp, event, name) else "not followed: the card is gone"


def _open(config: CallbackConfig, corp: Corp, body: bytes) -> ElementTree.Element:
    """The words inside the envelope. Raises ParseError or CryptoError."""
    if len(body) > WORDS_MOST:
        raise crypto.CryptoError("too long")
    sealed = ElementTree.fromstring(body)
    encrypted, stamp, nonce = (sealed.findtext(tag, "") for tag in ("Encrypt", "TimeStamp", "Nonce"))
    if sealed.findtext("MsgSignature", "") != crypto.signature(config.token, stamp, nonce, encrypted):
        raise crypto.CryptoError("wrong MsgSignature")
    plain, receiver = crypto.decrypt(config.encoding_aes_key, encrypted)
    if receiver != corp.corp_id:
        raise crypto.CryptoError("of another receiver")
    return ElementTree.fromstring(plain)


def _rename(corp: Corp, event: Event, name: str) -> bool:
    """Only the card that was clicked, and only for the member who clicked."""
    code = corp.cards.codes.get(str(dict(event.fields)["ResponseCode"]))
    row = corp.cards.messages.get(code.msgid) if code else None
    if row is None or row.recalled:
        return False
    row.updated[event.by] = {"button": {"replace_name": name}}
    return True
