"""What an app message may hold, type by type."""

from collections.abc import Callable

from simulator.api.card_bodies import read_card
from simulator.api.errors import WeComError
from simulator.api.registry import Call
from simulator.clock import wall

ARTICLES_MOST, ITEMS_MOST, BUTTON_TEXT_MOST = 8, 10, 4
Reader = Callable[[Call, dict], dict]


def _cut(call: Call, text: object, most: int) -> str:
    """The text in at most so many bytes: cut, or refused (a switch). Raises WeComError 45002, or 40058 for no text."""
    if not isinstance(text, str):
        raise WeComError(40058)
    raw = text.encode()
    if len(raw) <= most:
        return text
    if not call.sim.switches.overlong_message_is_cut:
        raise WeComError(45002)
    return raw[:most].decode(errors="ignore")


def _url(given: dict) -> None:
    """Raises WeComError 40058 for no text, 45002 above 2048 bytes."""
    value = given.get("url") or ""
    if not isinstance(value, str):
        raise WeComError(40058, "invalid Request Parameter, url")
    if len(value.encode()) > 2048:
        raise WeComError(45002)


def _words(call: Call, body: dict) -> dict:
    """text and markdown: content of 2048 bytes."""
    if not body.get("content"):
        raise WeComError(44004)
    return body | {"content": _cut(call, body["content"], 2048)}


def _textcard(call: Call, body: dict) -> dict:
    if not body.get("description"):
        raise WeComError(41033)
    if not body.get("title") or not body.get("url"):
        raise WeComError(40058)
    _url(body)
    cut = {"title": _cut(call, body["title"], 128), "description": _cut(call, body["description"], 512)}
    return body | cut | ({"btntxt": str(body["btntxt"])[:BUTTON_TEXT_MOST]} if body.get("btntxt") else {})


def _news(call: Call, body: dict) -> dict:
    articles = body.get("articles")
    if not isinstance(articles, list) or not 1 <= len(articles) <= ARTICLES_MOST:
        raise WeComError(40058, "invalid Request Parameter, articles")
    return body | {"articles": [_article(call, row) for row in articles]}


def _article(call: Call, row: object) -> dict:
    """An article leads to an address, or to a page of a mini-program, which goes first."""
    if not isinstance(row, dict) or not row.get("title"):
        raise WeComError(40058, "invalid Request Parameter, articles")
    to_program = row.get("appid") and row.get("pagepath")
    if not row.get("url") and not to_program:
        raise WeComError(40058, "invalid Request Parameter, url")
    _url(row)
    shown = {name: value for name, value in row.items() if not (to_program and name == "url")}
    return shown | {
        "title": _cut(call, row["title"], 128),
        "description": _cut(call, row.get("description") or "", 512),
    }


def _media(kind: str) -> Reader:
    def read(call: Call, body: dict) -> dict:
        row = call.corp.media.find(str(body.get("media_id") or ""), wall())
        if row is None or (row.kind, row.use) != (kind, "message"):
            raise WeComError(40007)
        return body

    return read


def _notice(_call: Call, body: dict) -> dict:
    items = body.get("content_item") or []
    if not str(body.get("appid") or "").startswith("wx"):
        raise WeComError(90207)
    if not body.get("title"):
        raise WeComError(40058, "invalid Request Parameter, title")
    if not isinstance(items, list) or len(items) > ITEMS_MOST:
        raise WeComError(90201)
    return body


READERS: dict[str, Reader] = {
    "text": _words,
    "markdown": _words,
    "textcard": _textcard,
    "news": _news,
    "image": _media("image"),
    "voice": _media("voice"),
    "video": _media("video"),
    "file": _media("file"),
    "miniprogram_notice": _notice,
    "template_card": read_card,
}


def read_body(call: Call) -> dict:
    """The body as members see it. Raises WeComError."""
    kind, body = call["msgtype"], call[call["msgtype"]]
    if not body and kind not in ("text", "markdown"):
        raise WeComError(40058, f"invalid Request Parameter, {kind}")
    return READERS[kind](call, body or {})
