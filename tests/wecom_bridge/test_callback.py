"""From the envelope to the committed row and the answer."""

from time import perf_counter
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.audit import SYSTEM
from tests.support.fuzzing import often
from tests.support.wecom import Sealed, event_xml, make_connection, seal
from wecom_bridge.callbacks import envelope, parsing, routes
from wecom_bridge.models import InboundEvent
from wecom_bridge.services.corps import new_callback_keys, renew_callback_keys

pytestmark = pytest.mark.django_db
HOST = "admin.testserver"
# The sample of WeCom's documentation.
VECTOR = (
    "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg"
    "3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+k"
    "DZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6ti"
    "WSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p"
    "8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q=="
)


@pytest.fixture
def connection():
    return make_connection()


@pytest.fixture
def knock(connection):
    """Post a sealed callback to the corp's address, as WeCom does."""
    path = connection.callback_url.split("/", 3)[3]

    def post(sealed: Sealed, **extra):
        query = "&".join(f"{name}={value}" for name, value in sealed.query.items())
        return Client(HTTP_HOST=HOST).post(f"/{path}?{query}", sealed.body, content_type="text/xml", **extra)

    return post


def added(connection, **fields) -> str:
    given = {"UserID": "zhangsan", "ExternalUserID": "wmAAA", **fields}
    return event_xml(connection.corp.corp_id, "change_external_contact", "add_external_contact", **given)


def test_an_event_is_a_row_before_it_is_acknowledged(connection, knock):
    answer = knock(seal(connection, added(connection)))

    assert (answer.status_code, answer.content) == (200, b"success")
    row = InboundEvent.objects.get()
    assert (row.event, row.change_type, row.state, row.lane) == (
        "change_external_contact",
        "add_external_contact",
        "waiting",
        "inbound",
    )
    assert row.entity_key == f"{connection.corp.pk}:p:wmAAA"


def test_the_address_is_verified_by_its_echo(connection):
    sealed = seal(connection, "4242424242")
    encrypted = sealed.body.decode().split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    path = connection.callback_url.split("/", 3)[3]

    answer = Client(HTTP_HOST=HOST).get(f"/{path}", sealed.query | {"echostr": encrypted})

    assert (answer.status_code, answer.content) == (200, b"4242424242")


def test_the_official_vector_opens():
    key = envelope.decode_key("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C")
    keys = envelope.Keys("QDG6eK", key, "wx5823bf96d3bd56c7")
    given = {"given": "477715d11cdb4164915debcba66cb864d751f3e6", "timestamp": "1409659813", "nonce": "1372623149"}

    plain = envelope.open_envelope(keys, encrypted=VECTOR, **given)

    fields = parsing.read_fields(plain)
    assert (fields["FromUserName"], fields["Content"], fields["AgentID"]) == ("mycreate", "hello", "218")


def test_a_redelivery_is_the_same_row(connection, knock):
    xml = added(connection)
    for _n in range(3):  # sealed afresh each time, as WeCom does
        assert knock(seal(connection, xml)).status_code == 200
    assert InboundEvent.objects.count() == 1


def test_events_of_one_second_that_differ_are_two_rows(connection, knock):
    for external in ("wmAAA", "wmBBB"):
        xml = event_xml(connection.corp.corp_id, "change_external_contact", "edit_external_contact", 1718000000,
                        UserID="zhangsan", ExternalUserID=external)  # fmt: skip
        knock(seal(connection, xml))
    assert InboundEvent.objects.count() == 2


def test_a_welcome_code_goes_on_the_welcome_lane(connection, knock):
    knock(seal(connection, added(connection, WelcomeCode="CODE")))
    assert InboundEvent.objects.get().lane == "welcome"


def test_a_group_settles_before_it_is_read(connection, knock):
    knock(seal(connection, event_xml(connection.corp.corp_id, "change_external_chat", "create", ChatId="wrA")))
    row = InboundEvent.objects.get()
    assert row.entity_key.endswith(":g:wrA") and 2 <= (row.next_attempt_at - row.received_at).total_seconds() <= 3


def test_an_event_nobody_handles_is_kept_and_ignored(connection, knock):
    assert (
        knock(seal(connection, event_xml(connection.corp.corp_id, "customer_acquisition", "balance_low"))).status_code
        == 200
    )
    assert InboundEvent.objects.get().state == "ignored"


def refused(answer, status):
    assert answer.status_code == status
    assert not InboundEvent.objects.exists()


def test_a_wrong_signature_is_refused_and_logged(connection, knock, caplog):
    sealed = seal(connection, added(connection))
    sealed.query["msg_signature"] = "0" * 40
    refused(knock(sealed), 403)
    assert "wrong signature" in caplog.text


def test_a_wrong_key_is_refused(connection, knock):
    _token, other = new_callback_keys()
    refused(knock(seal(connection, added(connection), key=other)), 403)


def test_an_event_of_another_corp_is_refused(connection, knock):
    refused(knock(seal(connection, added(connection), receiver="wwsomebodyelse")), 403)


def test_a_truncated_envelope_is_refused(connection, knock):
    sealed = seal(connection, added(connection))
    sealed.body = sealed.body[:-40]
    refused(knock(sealed), 400)


def test_a_body_of_blanks_is_refused_as_fast_as_any(connection):
    """It is read before it is verified: 60 KB of blanks must not hold a process."""
    began = perf_counter()
    with pytest.raises(envelope.Refused):
        parsing.encrypted_part(b"<xml><Encrypt>" + b" " * 60_000 + b"</xml>")
    assert perf_counter() - began < 0.5


def test_a_giant_body_is_refused_unread(connection, knock):
    sealed = seal(connection, added(connection))
    sealed.body += b" " * (256 * 1024)
    refused(knock(sealed), 413)


@pytest.mark.parametrize("plain", [b"not xml", b"<xml><a></xml>", b"<!DOCTYPE x [<!ENTITY e 'x'>]><xml><Event>&e;</Event></xml>",
                                   b"<xml/>", b"", b"<a>" * 50 + b"</a>" * 50])  # fmt: skip
def test_a_plaintext_that_is_no_event_is_refused(connection, knock, plain):
    refused(knock(seal(connection, plain)), 400)


def test_an_unknown_address_is_not_found(db):
    assert Client(HTTP_HOST=HOST).post("/wecom/cb/" + "A" * 32, b"", content_type="text/xml").status_code == 404


def test_the_door_is_on_the_public_host_alone(connection):
    path = connection.callback_url.split("/", 3)[3]
    assert Client(HTTP_HOST="acme.testserver").post(f"/{path}", b"", content_type="text/xml").status_code == 404


def test_renewed_keys_hold_at_once(connection, knock):
    renewed = renew_callback_keys(connection.corp, by=SYSTEM)
    routes.forget()  # other processes see it within seconds
    refused(knock(seal(connection, added(connection))), 403)
    assert knock(seal(renewed, added(connection))).status_code == 200


@settings(max_examples=often(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=400), query=st.dictionaries(
    st.sampled_from(["msg_signature", "timestamp", "nonce", "echostr"]), st.text(max_size=60), max_size=4),
    method=st.sampled_from(["get", "post"]))  # fmt: skip
def test_no_request_brings_the_door_down(connection, body, query, method):
    path = "/" + connection.callback_url.split("/", 3)[3]
    client = Client(HTTP_HOST=HOST, QUERY_STRING=urlencode(query, errors="replace"))
    answer = client.get(path, query) if method == "get" else client.post(path, body, content_type="text/xml")
    assert answer.status_code in (400, 403)
    assert not InboundEvent.objects.exists()


_NAMES = st.sampled_from(["Event", "ChangeType", "UserID", "ExternalUserID", "ChatId", "WelcomeCode", "CreateTime", "MsgType",
                          "Id", "TagType", "State", "MemChangeList", "Item", "StrategyId"])  # fmt: skip
_EVENTS = ["change_external_contact", "change_external_chat", "change_external_tag", "change_contact"]
_TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=300) | st.sampled_from(
    _EVENTS
)


@settings(max_examples=often(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.lists(st.tuples(_NAMES, _TEXTS), max_size=12), noise=st.binary(max_size=3))
def test_no_plaintext_with_the_right_key_brings_the_door_down(connection, knock, fields, noise):
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields)
    answer = knock(seal(connection, f"<xml>{inner}</xml>".encode() + noise))
    assert answer.status_code in (200, 400)
