"""A month of a shop: the corp lives by itself while the clock moves day by day."""

import time
from collections import Counter
from xml.etree import ElementTree

import pytest
import requests

from simulator import crypto
from simulator.clock import local
from simulator.corp import Corp
from simulator.hands.plan import month_of, plan, rates
from simulator.scenarios import load
from simulator.switches import Switches
from simulator.threaded import ThreadedSimulator
from tests.simulator.conftest import START, Client

DAY = 86_400
ALL = {"life": True, "hidden_facts": True}
CHANGES = {
    "add": "add_external_contact",
    "note": "edit_external_contact",
    "guide_delete": "del_external_contact",
    "customer_delete": "del_follow_user",
    "joiner": "create_user",
    "leaver": "delete_user",
}


@pytest.fixture(scope="module")
def alone():
    with ThreadedSimulator(["shop"], seed=7, start=START) as simulator:
        yield simulator


@pytest.fixture
def shop(alone):
    """A shop in a process of its own: life is for all corps of a process."""
    requests.post(f"{alone.url}/control/reset", json={"forget_callbacks": True}).raise_for_status()
    return Client(alone.url, requests.get(f"{alone.url}/control/corps").json()["corps"][0])


def live(shop, days=30, step=1, **switches):
    """Turn switches on and let days pass one by one, until everything about each is delivered."""
    shop.control("switches", ALL | switches)
    for _ in range(days // step):
        shop.control("clock", {"advance": step * DAY})
        shop.wait_quiet(30)
    return shop.control("life", limit=2000)


def events(receiver):
    found = []
    for _query, _headers, body in receiver.requests:
        plain, _ = crypto.decrypt(receiver.corp["encoding_aes_key"], ElementTree.fromstring(body).find("Encrypt").text)
        found.append({child.tag: child.text for child in ElementTree.fromstring(plain.decode())})
    return found


def test_a_month_of_a_shop_passes_in_seconds_and_every_act_has_its_event(shop, receiver):
    began = time.monotonic()
    seen = live(shop, hidden_leavers=0.25, hidden_console=6)
    took = time.monotonic() - began
    print(f"a month of shop: {took:.1f} s, {len(receiver.requests)} events, {seen['done']}")
    assert took < 60
    done = Counter(row["kind"] for row in seen["acts"] if "nothing" not in row)
    assert done == {key: count for key, count in seen["done"].items() if key != "nothing"}
    assert set(done) == {
        "add", "chat", "note", "tag", "group_join", "group_leave", "own_send", "guide_delete", "customer_delete",
        "leaver", "console",
    }  # fmt: skip
    assert 35 <= done["add"] <= 60
    assert 150 <= done["chat"] <= 220
    arrived = events(receiver)
    changes = Counter(row["ChangeType"] for row in arrived)
    for kind in ("guide_delete", "customer_delete", "leaver"):
        assert changes[CHANGES[kind]] == done[kind], kind
    assert changes["edit_external_contact"] == done["note"] + done["tag"]
    assert 0 < changes["add_external_contact"] <= done["add"]  # a friend who scans again causes nothing
    details = Counter(row.get("UpdateDetail") for row in arrived)
    assert (details["add_member"], details["del_member"]) == (done["group_join"], done["group_leave"])


def test_acts_happen_at_their_own_instants_and_not_when_the_clock_was_moved(shop, receiver):
    began = shop.control("clock")["now"]
    seen = live(shop, days=30, step=30)
    ends = shop.control("clock")["now"]
    times = [row["at"] for row in seen["acts"]]
    assert times == sorted(times)
    assert began < times[0] < began + 2 * DAY
    assert ends - 2 * DAY < times[-1] <= ends
    newest = [row for row in seen["acts"] if row["kind"] == "add"][-1]
    follows = shop.control(f"customers/{newest['external_userid']}")["follows"]
    assert newest["at"] in [row["createtime"] for row in follows]
    assert {int(row["CreateTime"]) for row in events(receiver)} <= set(times)
    hours = {local(row["at"]).hour for row in seen["acts"] if row["kind"] in ("add", "chat", "own_send")}
    assert min(hours) >= 10
    assert max(hours) <= 20


def test_the_same_seed_lives_the_same_month_in_steps_or_at_once(shop):
    def story(step):
        shop.control("reset", {})
        shop.control("switches", {"own_sends_per_guide_month": 0})
        seen = live(shop, days=12, step=step)
        return [(row["at"], row["kind"], row.get("external_userid")) for row in seen["acts"]][:100]

    assert len(story(1)) == 100
    assert story(1) == story(12)


def test_hidden_facts_reach_one_customer_in_ten_and_tell_nobody(shop, receiver):
    shop.control("switches", {"hidden_facts": True, "hidden_console": 0, "hidden_leavers": 0})
    shop.control("switches", {"hidden_guide_deletes": 0, "hidden_customer_deletes": 0})
    shop.control("clock", {"set": "2026-04-01T00:00:00+08:00"})
    before = len(shop.control("sent", kind="personal_mass", limit=5000)["messages"])
    shop.control("clock", {"set": "2026-05-01T00:00:00+08:00"})
    shop.wait_quiet()
    sent = shop.control("sent", kind="personal_mass", limit=5000)["messages"][before:]
    people = {row["external_userid"] for row in sent}
    assert 0.07 * 620 <= len(people) <= 0.13 * 620
    assert receiver.requests == []
    april = {"start_time": 1774972800, "end_time": 1774972800 + 30 * DAY, "chat_type": "single", "filter_type": 1}
    listed = shop.post("externalcontact/get_groupmsg_list_v2", april)["group_msg_list"]
    assert {row["creator"] for row in listed} == {"fangxiaoman", "wutong", "songjiayi", "hechen"}
    assert {row["msgid"] for row in listed} == {row["msgid"] for row in sent}


def test_nothing_happens_unasked_and_turning_it_off_ends_it(shop):
    quota_ends = shop.control("quiet")["next_due"]
    shop.control("clock", {"advance": 10 * DAY})
    assert shop.control("life")["acts"] == []
    assert shop.control("quiet")["next_due"] == quota_ends, "what the calendar holds, and nothing else"
    shop.control("switches", ALL)
    due = shop.control("quiet")["next_due"]
    assert shop.control("clock")["now"] < due < shop.control("clock")["now"] + 2 * DAY
    shop.control("clock", {"advance": 2 * DAY})
    happened = len(shop.control("life")["acts"])
    assert happened > 5
    shop.control("switches", {"life": False, "hidden_facts": False})
    shop.control("clock", {"advance": 10 * DAY})
    assert len(shop.control("life")["acts"]) == happened
    assert shop.control("switches", {"life_adds": -1.0})["ok"] is False


def test_a_clock_set_back_repeats_nothing(shop):
    now = shop.control("clock")["now"]
    happened = len(live(shop, days=3)["acts"])
    shop.control("clock", {"set": now})
    shop.control("clock", {"set": now + 3 * DAY})
    assert len(shop.control("life", limit=2000)["acts"]) == happened


def test_the_api_agrees_with_the_truth_after_a_month(shop):
    live(shop, days=30, step=30, hidden_leavers=0.25, hidden_guide_deletes=0.05, hidden_customer_deletes=0.05)
    left = {"fangxiaoman", "wutong", "songjiayi", "hechen"} - set(
        shop.get("externalcontact/get_follow_user_list")["follow_user"]
    )
    assert left
    for userid in shop.get("externalcontact/get_follow_user_list")["follow_user"]:
        listed = shop.get("externalcontact/list", userid=userid)["external_userid"]
        paged = shop.post("externalcontact/batch/get_by_user", {"userid_list": [userid], "limit": 100})
        rows = paged["external_contact_list"]
        while paged["next_cursor"]:
            body = {"userid_list": [userid], "limit": 100, "cursor": paged["next_cursor"]}
            paged = shop.post("externalcontact/batch/get_by_user", body)
            rows += paged["external_contact_list"]
        assert [row["external_contact"]["external_userid"] for row in rows] == listed
        assert len(listed) == len(set(listed))
        member = next(m for m in shop.control("members")["members"] if m["userid"] == userid)
        assert member["customers"] == len(listed)


@pytest.mark.parametrize("spec", ["shop", "chain", "empty"])
def test_a_month_is_planned_from_the_seed_alone(spec):
    switches = Switches()
    switches.set(ALL)
    one, same, other = (Corp(load(spec), seed, 0, int(START)) for seed in (7, 7, 8))
    month = month_of(START)
    first = plan(one, month, rates(switches))
    assert first == plan(same, month, rates(switches)) == sorted(first)
    assert first != plan(other, month, rates(switches))
    assert all(month_of(act.at) == month for act in first)
    fewer = rates(switches) | {"chat": 0.0}
    assert plan(one, month, fewer) == [act for act in first if act.kind != "chat"]
