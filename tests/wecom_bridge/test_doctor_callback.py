"""The callback self-test, end to end through a real server, and through proxies that spoil what passes."""

import urllib.request
from urllib.parse import unquote, urlencode

import pytest
from django.core.cache import caches

from tenants.context import tenant_scope
from tests.support.proxy import Proxy
from tests.support.wecom import event_xml, make_connection, seal
from wecom_bridge.callbacks import knocks, routes, rows
from wecom_bridge.models import CorpCredential, InboundEvent
from wecom_bridge.services import doctor
from wecom_bridge.services.corps import new_callback_keys

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _one_cache(monkeypatch):
    """The server's threads have a cache object of their own, without this test's prefix; addresses are unique anyway."""
    monkeypatch.setattr(caches["default"], "key_prefix", "")


@pytest.fixture
def open_door(live_server, settings):
    """The public host, served on a port of this machine."""
    settings.PUBLIC_HOST, settings.SITE_SCHEME = "localhost", "http"
    settings.SITE_PORT = live_server.thread.port
    return live_server.thread.port


@pytest.fixture
def connection(open_door):
    return make_connection()


def tested(connection):
    routes.forget()
    return {row.key: row.finding for row in doctor.examine(connection.corp, only=["callback"])}


def test_a_door_that_is_sound_is_proven_by_a_committed_row(connection):
    found = tested(connection)["callback"]
    assert found.state == "ok", found
    assert not InboundEvent.objects.exists(), "the row of the test is taken away again"


SPOILT = [
    ({"query": unquote}, "plus"),
    ({"query": lambda query: ""}, "query"),
    ({"query": lambda query: query.replace("nonce=selftest", "nonce=SELFTEST")}, "signature"),
    ({"answer": lambda content: b"\xef\xbb\xbf" + content}, "answer"),
    ({"answer": lambda content: content + b"\n"}, "answer"),
    ({"answer": lambda content: b'"' + content + b'"'}, "answer"),
    ({"answer": lambda content: b"<html>log in</html>"}, "answer"),
    ({"body": lambda body: body[: len(body) // 2]}, "body"),
    ({"body": lambda body: body.replace(b"Q", b"R")}, "signature"),
    ({"redirect": "https://elsewhere.example.com/"}, "redirect"),
    ({"status": 404}, "path"),
    ({"status": 403}, "forbidden"),
    ({"status": 502}, "status"),
    ({"largest": 16_000}, "size"),
]


@pytest.mark.parametrize(("how", "fault"), SPOILT, ids=[f"{n}-{fault}" for n, (_how, fault) in enumerate(SPOILT)])
def test_what_a_proxy_spoils_is_named(connection, open_door, settings, how, fault):
    with Proxy(open_door, **how) as proxy:
        settings.SITE_PORT = proxy.port
        found = tested(connection)["callback"]
    assert (str(found.state), found.facts.get("fault")) == ("bad", fault), found
    assert found.fix and found.why
    assert not knocks.recall(connection.callback_url.rsplit("/", 1)[1]).refusals, "our own knocks are nobody's refusal"


@pytest.mark.parametrize(("added", "word"), [(b"\xef\xbb\xbf", "BOM"), (b"\n", "换行")])
def test_what_a_proxy_adds_to_the_answer_is_named(connection, open_door, settings, added, word):
    with Proxy(open_door, answer=lambda content: added + content) as proxy:
        settings.SITE_PORT = proxy.port
        assert word in tested(connection)["callback"].saw


def test_a_door_of_another_system_is_noticed(connection, monkeypatch):
    """It knows the address and the keys, and writes the row where nobody looks."""
    monkeypatch.setattr(rows, "store", lambda tenant, row: None)
    found = tested(connection)["callback"]
    assert (found.state, found.facts["fault"]) == ("bad", "elsewhere")


def test_a_door_nobody_answers_at_is_unknown_because_we_may_just_not_reach_ourselves(connection, settings):
    settings.SITE_PORT = 9
    found = tested(connection)["callback"]
    assert found.state == "unknown" and found.facts == {"fault": "connection"}


def test_that_wecom_reaches_the_door_is_enough_where_we_do_not(connection, settings):
    assert post(connection, seal(connection, event(connection))) == 200
    settings.SITE_PORT = 9
    found = tested(connection)
    assert found["callback"].state == "warn" and found["arrivals"].state == "ok"


def test_a_name_under_localhost_is_this_machine(connection, settings):
    settings.PUBLIC_HOST = "admin.scrm.localhost"
    assert tested(connection)["callback"].state == "ok"


def test_a_credential_without_keys_has_no_door(connection):
    CorpCredential.objects.update(callback_token="")
    assert tested(connection)["callback"].state == "bad"


# --- What WeCom itself met ---------------------------------------------------------------------------------------


def post(connection, sealed):
    address = f"{connection.callback_url}?{urlencode(sealed.query)}"
    request = urllib.request.Request(address, data=sealed.body, headers={"Content-Type": "text/xml"})
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def event(connection, number=1):
    given = {"UserID": "chen", "ExternalUserID": f"wm{number}"}
    return event_xml(connection.corp.corp_id, "change_external_contact", "edit_external_contact", **given)


def test_before_wecom_came_the_console_is_not_set(connection):
    found = tested(connection)["arrivals"]
    assert found.state == "bad" and "设置 API 接收" in found.fix


def test_an_event_that_arrived_proves_the_console(connection):
    assert post(connection, seal(connection, event(connection))) == 200
    assert tested(connection)["arrivals"].state == "ok"


def test_a_verification_that_was_answered_proves_the_console(connection):
    sealed = seal(connection, "4242")
    encrypted = sealed.body.decode().split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    address = f"{connection.callback_url}?{urlencode(sealed.query | {'echostr': encrypted})}"
    assert urllib.request.urlopen(address, timeout=10).read() == b"4242"
    assert tested(connection)["arrivals"].state == "ok"


@pytest.mark.parametrize("which", ["Token", "EncodingAESKey", "企业 ID"])
def test_the_last_refusals_say_which_setting_of_the_console_differs(connection, which):
    assert post(connection, seal(connection, event(connection, 0))) == 200
    for number in range(3):
        if which == "Token":
            sealed = seal(connection, event(connection, number))
            sealed.query["msg_signature"] = "0" * 40
        elif which == "EncodingAESKey":
            sealed = seal(connection, event(connection, number), key=new_callback_keys()[1])
        else:
            sealed = seal(connection, event(connection, number), receiver="wwanothercorp")
        assert post(connection, sealed) == 403
    found = tested(connection)["arrivals"]
    assert found.state == "bad" and which in found.saw and "3" in found.saw and "设置 API 接收" in found.fix


def test_refusals_before_the_last_that_worked_are_over(connection):
    sealed = seal(connection, event(connection))
    sealed.query["msg_signature"] = "0" * 40
    post(connection, sealed)
    assert tested(connection)["arrivals"].state == "bad"
    post(connection, seal(connection, event(connection, 2)))
    assert tested(connection)["arrivals"].state == "ok"


def test_refusals_are_kept_in_a_few_entries(connection):
    opaque = connection.callback_url.rsplit("/", 1)[1]
    for number in range(60):
        knocks.note_refusal(opaque, f"cause {number}")
    kept = knocks.recall(opaque).refusals
    assert len(kept) == knocks.MAX_KEPT and kept[-1][1] == "cause 59"


def test_a_refused_callback_is_remembered_with_its_merchant_alone(connection, globex):
    sealed = seal(connection, event(connection))
    sealed.query["msg_signature"] = "0" * 40
    assert post(connection, sealed) == 403
    opaque = connection.callback_url.rsplit("/", 1)[1]
    assert [cause for _at, cause in knocks.recall(opaque).refusals] == ["wrong signature"]
    with tenant_scope(globex):
        assert not knocks.recall(opaque).refusals
