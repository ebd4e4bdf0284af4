"""JS-SDK tickets: one for all processes, asked for by one of them, replaced before its end, sparingly; and page signatures."""

import json
import time

import pytest
import redis
from django.db import transaction

from scrm.lib import clock
from tests.support.core import in_thread
from wecom_bridge.gateway import CallError, rates
from wecom_bridge.services import tickets

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    tickets.forget()
    return wecom.connect().corp


def asked(wecom, path="get_jsapi_ticket"):
    return len(wecom.calls(path))


def age(seconds_left):
    """The kept tickets end in so many seconds."""
    store = rates._redis()
    for key in store.scan_iter("*wecom-ticket*"):
        if store.type(key) == b"string" and key.endswith((b":corp", b":agent_config")):
            kept = json.loads(store.get(key))
            store.set(key, json.dumps(kept | {"expires_at": clock.wall().timestamp() + seconds_left}))


def test_a_ticket_is_asked_for_once_and_kept_per_kind(wecom, corp):
    first = tickets.corp_ticket(corp)
    assert tickets.corp_ticket(corp) == first and tickets.agent_ticket(corp) != first
    assert (asked(wecom), asked(wecom, "ticket/get")) == (1, 1)


def test_many_at_once_ask_once(wecom, corp):
    wecom.script("get_jsapi_ticket", delay=0.5)
    workers = [in_thread(lambda: tickets.corp_ticket(corp)) for _n in range(5)]
    assert len({worker.result() for worker in workers}) == 1
    assert asked(wecom) == 1


def test_a_ticket_near_its_end_is_replaced_by_one_while_the_others_use_it(wecom, corp):
    old = tickets.corp_ticket(corp)
    age(300)
    wecom.script("get_jsapi_ticket", delay=0.6, body={"errcode": 0, "ticket": "fresh", "expires_in": 7200})
    renewing = in_thread(lambda: tickets.corp_ticket(corp))
    time.sleep(0.2)
    assert tickets.corp_ticket(corp) == old
    assert renewing.result() == "fresh"
    assert tickets.corp_ticket(corp) == "fresh" and asked(wecom) == 2


def test_an_old_ticket_serves_on_while_no_new_one_can_be_had(wecom, corp):
    old = tickets.corp_ticket(corp)
    age(300)
    wecom.script("get_jsapi_ticket", errcode=-1, times=2)
    assert tickets.corp_ticket(corp) == old
    age(10)
    with pytest.raises(CallError):
        tickets.corp_ticket(corp)


def test_the_hours_share_is_not_overdrawn(wecom, corp, monkeypatch):
    monkeypatch.setattr(tickets, "PER_HOUR", 2)
    for _n in range(2):
        tickets.corp_ticket(corp)
        age(10)
    with pytest.raises(CallError) as raised:
        tickets.corp_ticket(corp)
    assert raised.value.held and raised.value.errcode == 45009 and 0 < raised.value.retry_after <= 3600
    assert asked(wecom) == 2


def test_a_closed_window_is_respected(wecom, corp):
    wecom.script("get_jsapi_ticket", errcode=45009)
    for _n in range(2):
        with pytest.raises(CallError) as raised:
            tickets.corp_ticket(corp)
        assert raised.value.held
    assert asked(wecom) == 1


def test_without_redis_a_process_keeps_its_own(wecom, corp, monkeypatch):
    class Away:
        def __getattr__(self, name):
            raise redis.ConnectionError

    monkeypatch.setattr(tickets, "_redis", Away)
    assert tickets.corp_ticket(corp) == tickets.corp_ticket(corp)
    assert asked(wecom) == 1


def test_two_merchants_do_not_share_a_ticket(wecom, corp):
    tickets.corp_ticket(corp)
    names = [key.decode() for key in rates._redis().scan_iter("*wecom-ticket*")]
    assert names and all(":t_" in name for name in names)


def test_no_ticket_is_asked_for_inside_a_transaction(wecom, corp):
    with transaction.atomic(), pytest.raises(RuntimeError):
        tickets.corp_ticket(corp)
    assert tickets.corp_ticket(corp)


def test_the_signature_of_the_reference_comes_out():
    ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
    given = (ticket, "Wm3WZYTPz0wzccnW", 1414587457, "http://mp.weixin.qq.com?params=value")
    assert tickets.js_signature(*given) == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"
    assert tickets.js_signature(*given[:3], given[3] + "#/today") == tickets.js_signature(*given)


@pytest.mark.parametrize(("kind", "take"), [("corp", tickets.corp_ticket), ("agent_config", tickets.agent_ticket)])
def test_wecom_accepts_a_page_signed_with_these_tickets(wecom, corp, kind, take):
    page = {"noncestr": "n", "timestamp": 1_700_000_000, "url": "https://t.example.com/today?a=1"}
    signature = tickets.js_signature(take(corp), page["noncestr"], page["timestamp"], page["url"] + "#x")
    other = "agent_config" if kind == "corp" else "corp"
    assert wecom.post("js_signature", page | {"ticket": kind, "signature": signature}) == {"errcode": 0}
    assert wecom.post("js_signature", page | {"ticket": other, "signature": signature}) == {"errcode": 42012}
