import asyncio
import time
from itertools import count
from xml.etree import ElementTree

import pytest
import requests

from simulator import crypto
from simulator.simulator import Simulator
from tests.simulator.conftest import START

LIST = "externalcontact/get_follow_user_list"
MARK = "externalcontact/mark_tag"


def rule(world, **spec):
    answer = world.control("chaos", spec)
    assert answer["ok"], answer
    return answer["rules"][0]["id"]


def counters(world, rule_id):
    (found,) = [row for row in world.control("chaos")["rules"] if row["id"] == rule_id]
    return found["seen"], found["struck"], found["executed"]


def states(receiver):
    """The `state` of every event that arrived, in the order of arrival."""
    found = []
    for _query, _headers, body in receiver.requests:
        plain, _ = crypto.decrypt(receiver.corp["encoding_aes_key"], ElementTree.fromstring(body).find("Encrypt").text)
        found.append(ElementTree.fromstring(plain.decode()).findtext("State"))
    return found


def twenty_adds(shop):
    for number in range(20):
        shop.hand("add", userid="wutong", state=f"s{number}")
    shop.wait_quiet()


@pytest.mark.parametrize("code", [-1, 45009, 45033, 42001, 60020])
def test_a_share_of_calls_is_refused_and_the_same_seed_refuses_the_same_ones(shop, code):
    def codes(seed):
        rule(shop, target=LIST, kind=code, rate=0.3, seed=seed)
        seen = []
        for _ in range(40):
            seen.append(shop.get(LIST)["errcode"])
            if seen[-1] == 42001:
                shop._token = ""  # the token has ended: ask for another one
        requests.delete(f"{shop.url}/control/chaos")
        return seen

    first, again, other = codes(5), codes(5), codes(6)
    assert first == again != other
    assert set(first) == {0, code}
    assert 4 <= first.count(code) <= 20


def test_an_ended_token_stays_ended_for_everyone_who_holds_it(shop):
    shop.get(LIST)
    old, rule_id = shop._token, rule(shop, target=LIST, kind=42001)
    assert shop.get(LIST)["errcode"] == 42001
    requests.delete(f"{shop.url}/control/chaos/{rule_id}")
    assert shop.get(LIST)["errcode"] == 42001
    assert shop.token() != old


@pytest.mark.parametrize("kind", ["timeout", "half", "close"])
@pytest.mark.parametrize("execute", [1, 0])
def test_a_lost_answer_says_whether_the_call_took_effect(shop, kind, execute):
    added = shop.hand("add", userid="wutong")
    rule_id = rule(shop, target="externalcontact/*", kind=kind, execute=execute, seconds=0.2)
    body = {"welcome_code": added["welcome_code"], "text": {"content": "您好"}}
    params = {"access_token": shop.token()}
    with pytest.raises(requests.RequestException):
        requests.post(
            f"{shop.url}/cgi-bin/externalcontact/send_welcome_msg", json=body, params=params, timeout=5
        ).json()
    call = shop.control("calls", endpoint="externalcontact/send_welcome_msg")["calls"][-1]
    assert (call["chaos"], call["executed"]) == (rule_id, bool(execute))
    assert counters(shop, rule_id) == (1, 1, execute)
    assert len(shop.control(f"customers/{added['external_userid']}/inbox")["messages"]) == execute


def test_a_client_that_waits_less_than_the_fault_gives_up_by_itself(shop):
    rule(shop, target=LIST, kind="timeout", seconds=5)
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{shop.url}/cgi-bin/{LIST}", params={"access_token": shop.token()}, timeout=0.3)


def test_a_slow_answer_drips_but_is_whole(shop):
    plain = shop.get(LIST)
    rule(shop, target=LIST, kind="slow", seconds=0.5)
    began = time.monotonic()
    assert shop.get(LIST) == plain
    assert time.monotonic() - began >= 0.4


def test_a_rule_strikes_only_what_it_aims_at(shop, running):
    other = requests.get(f"{running.url}/control/corps").json()["corps"][0]["corp_id"]
    rule(shop, target="externalcontact/groupchat/*", kind=-1)
    elsewhere = rule(shop, target="*", kind=-1, corp_id=other)
    assert shop.get(LIST)["errcode"] == 0
    assert shop.post("externalcontact/groupchat/list", {"limit": 10})["errcode"] == -1
    assert counters(shop, elsewhere) == (0, 0, 0)


def test_taking_one_rule_away_changes_nothing_about_another(shop):
    def struck(*specs):
        for spec in specs:
            rule(shop, target=LIST, rate=0.3, **spec)
        seen = [shop.get(LIST)["errcode"] == 45009 for _ in range(30)]
        requests.delete(f"{shop.url}/control/chaos")
        return seen

    alone, beside = struck({"kind": 45009, "seed": 1}), struck({"kind": 45009, "seed": 1}, {"kind": -1, "seed": 2})
    assert alone == beside


def test_scripts_come_before_chaos(shop):
    rule(shop, target="*", kind=45009)
    shop.control("script", {"endpoint": "user/get", "errcode": 60111})
    shop._token = "x"
    assert [shop.get("user/get", userid="wutong")["errcode"] for _ in range(2)] == [60111, 45009]


@pytest.mark.parametrize("kind", ["drop", "double", "reorder"])
def test_the_same_seed_loses_doubles_and_reorders_the_same_events(shop, receiver, kind):
    shop.control("switches", {"callback_workers": 1})

    def arrived(seed):
        receiver.requests.clear()
        rule(shop, target="callbacks", kind=kind, rate=0.3, seed=seed, behind=4)
        twenty_adds(shop)
        requests.delete(f"{shop.url}/control/chaos")
        return states(receiver)

    first, again, other = arrived(3), arrived(3), arrived(4)
    assert first == again != other
    plain = [f"s{number}" for number in range(20)]
    assert len(first) < 20 if kind == "drop" else len(first) > 20 if kind == "double" else first != plain
    assert set(first) <= set(plain) if kind == "drop" else set(first) == set(plain)


def test_an_event_put_back_comes_even_when_nothing_follows_it(shop, receiver):
    rule(shop, target="callbacks", kind="reorder", behind=9, seconds=0.3)
    began = time.monotonic()
    shop.hand("add", userid="wutong")
    assert shop.control("quiet")["callbacks"] == 1
    shop.wait_quiet()
    assert len(receiver.requests) == 1
    assert time.monotonic() - began >= 0.3


def test_a_delayed_event_is_late_and_its_welcome_window_begins_with_it(running, shop, receiver):
    rule(shop, target="callbacks", kind="delay", seconds=0.5)
    began = time.time()
    added = shop.hand("add", userid="wutong")
    shop.wait_quiet()
    assert shop.control("callbacks")["callbacks"][0]["finished"] - began >= 0.5
    assert running.sim.corps[shop.corp_id].welcomes.find(added["welcome_code"]).expires >= began + 20.5


@pytest.mark.gate
def test_a_bad_week_loses_and_doubles_one_in_twenty_and_shuffles_all(shop, receiver):
    added = shop.control("chaos", {"recipe": "bad_week", "seed": 2})["rules"]
    assert [(row["kind"], row["rate"]) for row in added] == [("drop", 0.05), ("double", 0.05), ("reorder", 1.0)]
    shop.control("switches", {"callback_workers": 1})
    tick = count()
    for _ in range(5):
        shop.hand("add", userid="wutong", count=40, state=f"s{next(tick)}")
    shop.wait_quiet()
    rules = shop.control("chaos")["rules"]
    lost, twice, moved = (row["struck"] for row in rules)
    assert 2 <= lost <= 25
    assert 2 <= twice <= 25
    assert moved == 200 - lost
    assert len(receiver.requests) == 200 - lost + twice
    assert states(receiver) != sorted(states(receiver))


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "callbacks", "kind": "-1"},
        {"target": "externalcontact/get", "kind": "drop"},
        {"target": "*", "kind": "12345"},
        {"target": "*", "kind": "-1", "rate": 1.5},
        {"target": "*", "kind": "-1", "nonsense": 1},
        {"target": "*", "kind": "42001", "execute": 1},
        {"target": "", "kind": "-1"},
        {"recipe": "no such"},
        {"target": "*"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_a_reason(shop, wrong):
    answer = shop.control("chaos", wrong)
    assert answer["ok"] is False
    assert answer["error"]
    assert shop.control("chaos")["rules"] == []


def test_a_reset_ends_chaos_and_removing_an_unknown_rule_says_so(shop):
    rule(shop, target="*", kind=-1)
    shop.control("reset", {})
    assert shop.control("chaos")["rules"] == []
    assert requests.delete(f"{shop.url}/control/chaos/9").json()["ok"] is False


def test_a_recipe_of_the_command_line_comes_back_after_a_reset():
    sim = Simulator(["shop"], 7, START)
    sim.preset({}, ("bad_week",))
    first = sim.chaos.shown()
    sim.chaos.clear()
    asyncio.run(sim.reset())
    assert sim.chaos.shown() == first
    assert [row["kind"] for row in first] == ["drop", "double", "reorder"]
