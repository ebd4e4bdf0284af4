"""Whatever is thrown at the callback's address: refused with a cause, or stored; never an error of ours."""

import base64
import os
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzzing import often
from tests.support.wecom import Sealed, app_event_xml, make_connection, seal
from wecom_bridge import contracts
from wecom_bridge.callbacks import envelope
from wecom_bridge.models import InboundEvent
from wecom_bridge.services.dirty import fact_of

pytestmark = pytest.mark.django_db
HOST = "admin.testserver"
OFTEN = settings(max_examples=often(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def connection():
    return make_connection()


@pytest.fixture
def knock(connection, caplog):
    """Post to the corp's address; a server error is raised here, as Django's client does."""
    caplog.set_level("ERROR")
    path = "/" + connection.callback_url.split("/", 3)[3]

    def post(sealed, **extra):
        url = f"{path}?{urlencode(sealed.query, errors='replace')}"
        return Client(HTTP_HOST=HOST).post(url, sealed.body, content_type="text/xml", **extra)

    return post


def signed(connection, encrypted, wrapped="<xml><Encrypt><![CDATA[{}]]></Encrypt></xml>"):
    """Any text in the envelope, with a signature that is right: only what it holds is wrong."""
    timestamp, nonce = "1718000000", "7"
    sign = envelope.signature(connection.token, timestamp, nonce, encrypted)
    return Sealed({"msg_signature": sign, "timestamp": timestamp, "nonce": nonce}, wrapped.format(encrypted).encode())


def locked(connection, text):
    """Bytes encrypted with the corp's own key, as they are: no random head, no length, no receiver, no padding."""
    key = base64.b64decode(connection.encoding_aes_key + "=")
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(text) + encryptor.finalize()).decode()


def refused(answer, *causes):
    """causes: what it may be refused for; the signature was right, so that never for that."""
    assert not causes or answer.content.decode() in causes, answer.content
    assert answer.status_code in (400, 403, 413) and answer.content
    assert not InboundEvent.objects.exists()


@OFTEN
@given(body=st.binary(max_size=600))
def test_random_bytes(connection, knock, body):
    refused(knock(Sealed({}, body)))


@OFTEN
@given(
    names=st.lists(st.sampled_from(["xml", "Encrypt", "ToUserName", "a", "小"]), min_size=1, max_size=9),
    text=st.text(max_size=80),
)
def test_random_xml(connection, knock, names, text):
    inner = escape(text)
    for name in names:
        inner = f"<{name}>{inner}</{name}>"
    refused(knock(Sealed({"msg_signature": "x", "timestamp": "1", "nonce": "2"}, inner.encode("utf-8", "replace"))))


@OFTEN
@given(text=st.text(alphabet="ABCabc019+/=\n ", max_size=400))
def test_random_base64_with_a_right_signature(connection, knock, text):
    refused(knock(signed(connection, "".join(text.split()) or "A")), "not base64", "truncated ciphertext", "wrong key")


@OFTEN
@given(blocks=st.integers(1, 8), data=st.data())
def test_random_ciphertext_with_a_right_signature(connection, knock, blocks, data):
    sealed = data.draw(st.binary(min_size=16 * blocks, max_size=16 * blocks))
    refused(knock(signed(connection, base64.b64encode(sealed).decode())), "wrong key", "meant for another corp")


@OFTEN
@given(size=st.integers(0, 2**32 - 1), message=st.binary(max_size=60), padding=st.integers(0, 255))
def test_wrong_lengths_and_padding_under_the_right_key(connection, knock, size, message, padding):
    """Whoever holds the keys and says a length that is not, or pads as nobody does, is refused all the same."""
    text = os.urandom(16) + size.to_bytes(4, "big") + message + connection.corp.corp_id.encode()
    text += bytes([padding]) * (32 - len(text) % 32)
    answer = knock(signed(connection, locked(connection, text)))
    assert answer.status_code in (200, 400, 403)
    assert answer.status_code != 200 or size == len(message)


@pytest.mark.parametrize("length", [0, 15, 16, 19, 20, 31, 32])
def test_a_plaintext_too_short_for_its_head(connection, knock, length):
    text = b"\x20" * (length - length % 16)
    refused(knock(signed(connection, locked(connection, text) or "AAAA")))


@pytest.mark.parametrize("plain", ["<xml>" + "<a>1</a>" * 6_000 + "</xml>", "<xml><Event>" + "e" * 200_000 + "</Event>",
                                   "<a>" * 3_000, "x" * 150_000])  # fmt: skip
def test_huge_plaintexts_are_refused(connection, knock, plain):
    refused(knock(seal(connection, plain)))


def test_a_huge_element_is_kept_within_bounds(connection, knock):
    inner = f"<EventKey>{'k' * 60_000}</EventKey><ChangeType>{'c' * 900}</ChangeType><ExternalUserID>{'w' * 9_000}</ExternalUserID>"
    xml = app_event_xml(connection.corp.corp_id, "e" * 900, "u" * 900, inner=inner)
    assert knock(seal(connection, xml)).status_code == 200
    row = InboundEvent.objects.get()
    assert (len(row.event), len(row.change_type), row.entity_key, row.state) == (48, 48, "", "ignored")


@pytest.mark.parametrize("length", ["-1", "abc", "", "99999999999999999999"])
def test_a_length_that_is_none(connection, knock, length):
    answer = knock(seal(connection, app_event_xml("ww", "click", "u")), CONTENT_LENGTH=length)
    assert answer.status_code in (200, 400, 403, 413)


_TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=200)
_NAMES = st.sampled_from(["Event", "ChangeType", "UserID", "ExternalUserID", "ChatId", "WelcomeCode", "CreateTime", "MsgType", "Id",
                          "FromUserName", "SelectedItems", "SelectedItem", "QuestionKey", "OptionIds", "OptionId", "OpitonId", "Item",
                          "MemChangeList", "LinkId", "ChatKey", "JobId", "StrategyId", "TagType", "小"])  # fmt: skip
_EVENTS = st.sampled_from(["change_external_contact", "change_external_chat", "change_external_tag", "change_contact", "click",
                           "template_card_event", "customer_acquisition", "subscribe", "something_new"])  # fmt: skip
_TREE = st.recursive(_TEXT.map(escape), lambda inner: st.lists(st.tuples(_NAMES, inner), max_size=4).map(
    lambda pairs: "".join(f"<{name}>{one}</{name}>" for name, one in pairs)), max_leaves=12)  # fmt: skip


@settings(max_examples=often(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=_EVENTS, inner=_TREE, noise=st.binary(max_size=3))
def test_any_event_under_the_right_key_is_stored_readably_or_refused(
    connection, knock, monkeypatch, event, inner, noise
):
    """And what was stored can be read again, or the drain would stumble where the door did not."""
    monkeypatch.setattr(
        contracts, "_event_handlers", {("click", ""): [(1, "t", print)], ("template_card_event", ""): [(1, "t", print)]}
    )
    xml = f"<xml><ToUserName>ww</ToUserName><Event>{event}</Event>{inner}</xml>".encode("utf-8", "replace") + noise
    answer = knock(seal(connection, xml))
    assert answer.status_code in (200, 400)
    for row in InboundEvent.objects.all():
        fact = fact_of(row)
        assert event in fact.fields["Event"] and len(row.entity_key) <= 200
    InboundEvent.objects.all().delete()
