"""Every kind of command, its worker killed after WeCom did the deed and before we recorded it: settled, and done once."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.stack import wait_until
from tests.gates.burst import TAG, TEXT, Burst
from tests.gates.people import DONE_AFTER, FIRST, THEN, People
from wecom_bridge import contracts

pytestmark = pytest.mark.gate
DELAY = 6.0  # between the deed and the answer: long enough to kill


class Killer:
    """Holds the answers to some calls back and kills the workers while all of them are on their way."""

    def __init__(self, stack: Any) -> None:
        self.stack, self.killed = stack, set()

    def during(self, kinds: dict[str, str], *acts: Callable[[], Any], patient: bool = False) -> list[Any]:
        """kinds: command kind → endpoint. The acts wish for them while the lane rests, so that one wave calls for all.

        patient: the dead workers' leases and claims run out by themselves, in two and a half minutes; else at once.
        """
        wecom = self.stack.wecom
        for endpoint in kinds.values():
            wecom.script(endpoint, delay=DELAY, corp_id=wecom.corp_id)
        wait_until("the lane to be free", lambda: self._lease("now() + interval '2 minutes'"), 120)
        made = [act() for act in acts]
        self._lease("NULL", whoever=True)
        wait_until(f"the calls of {sorted(kinds)}", lambda: not wecom.get("script")["scripts"], 90)
        time.sleep(0.3)
        for worker in ("worker-urgent", "worker-normal"):
            self.stack.kill_children(worker)
        if not patient:
            self._forget_the_dead()
        self.killed |= kinds.keys()
        return made

    def _forget_the_dead(self) -> None:
        """What the dead held becomes free, after the answers that nobody waits for were given."""
        claims = "SELECT DISTINCT claim_token FROM wecom_bridge_outboundcommand WHERE lane = 'outbound' AND state = 'claimed'"
        dead = [row["claim_token"] for row in self.stack.rows(claims)]
        assert dead, "the kill met claimed commands"
        time.sleep(DELAY)
        free = "UPDATE wecom_bridge_outboundcommand SET claimed_until = now() WHERE claim_token = ANY(%s) RETURNING id"
        self.stack.rows(free, dead)
        self._lease("now()", whoever=True)

    def _lease(self, until: str, *, whoever: bool = False) -> bool:
        """Take or give back the lease on the outbound lane, as another worker would."""
        free = "" if whoever else " AND (leased_until IS NULL OR leased_until < now())"
        sql = f"UPDATE tenants_lanelease SET leased_until = {until}, holder = 'gate' WHERE lane = 'outbound'{free} RETURNING id"
        return bool(self.stack.rows(sql))


def test_every_kind_is_settled_and_nothing_is_done_twice(stack):
    burst = Burst(stack)
    burst.prepare()
    stack.wecom.post("switches", {"latency_ms": [0, 0]})
    kill = Killer(stack)
    guide = next(row["userid"] for row in stack.wecom.ask("members")["members"] if row["contact"])
    tags = [
        stack.inside("add_corp_tag", group=f"{name}组", name=name) for name in ("留", "删", "改组", "弃")
    ]  # a group each: an entity each
    made = "SELECT count(wecom_tag_id) FROM tagging_tag WHERE id = ANY(%s)"
    wait_until("the tags to be made", lambda: stack.value(made, tags) == 4, 60)
    kept, gone, regrouped, dropped = tags

    def newcomer() -> str:
        """Welcomed and tagged."""
        came = stack.wecom.hand("add", userid=guide, name="来客")["external_userid"]
        mark = "SELECT count(*) FROM wecom_bridge_outboundcommand WHERE kind = 'tag.mark' AND state = 'waiting'"
        wait_until("the wish to tag", lambda: stack.value(mark), 60)
        return str(came)

    first = {
        "tag.create": "externalcontact/add_corp_tag",
        "tag.rename": "externalcontact/edit_corp_tag",
        "tag.delete": "externalcontact/del_corp_tag",
        "tag_group.edit": "externalcontact/edit_corp_tag",
        "tag_group.delete": "externalcontact/del_corp_tag",
        "tag.mark": "externalcontact/mark_tag",
        "groupmsg.create": "externalcontact/add_msg_template",
    }
    welcomed = kill.during(
        first,
        lambda: stack.inside("add_corp_tag", group="新组", name="新"),
        lambda: stack.inside("rename_corp_tag", tag=kept, name="留下"),
        lambda: stack.inside("delete_corp_tag", tag=gone),
        lambda: stack.inside("rename_corp_group", tag=regrouped, name="改过组"),
        lambda: stack.inside("delete_corp_group", tag=dropped),
        newcomer,
        burst.release,
        patient=True,
    )[5]
    stack.wecom.script("externalcontact/send_welcome_msg", delay=DELAY, corp_id=stack.wecom.corp_id)
    in_doubt = stack.wecom.hand("add", userid=guide, name="来客")["external_userid"]
    wait_until("the welcome", lambda: not stack.wecom.get("script")["scripts"], 60)
    stack.kill_children("worker-urgent")
    kill.killed.add("welcome.send")
    push, units = burst.released["push"], burst.released["units"]
    tasked = "SELECT count(*) FROM campaigns_dispatch WHERE push_id = %s AND state = 'tasked'"
    wait_until("every task", lambda: stack.value(tasked, push) == units, 300)

    second = {
        "groupmsg.poll": "externalcontact/get_groupmsg_task",
        "groupmsg.list": "externalcontact/get_groupmsg_list_v2",
    }
    kill.during(second, lambda: stack.inside("look_again", push=push), lambda: stack.inside("read_ledger"))
    open_ones = "SELECT count(*) FROM wecom_bridge_outboundcommand WHERE settled_at IS NULL AND kind = 'groupmsg.poll'"
    wait_until("the polls", lambda: not stack.value(open_ones), 300)
    kill.during(
        {"groupmsg.remind": "externalcontact/remind_groupmsg_send"}, lambda: stack.inside("remind_one", push=push)
    )
    # A unit that is being stopped is not reminded any more: the reminder's second call comes before the stop, or never.
    reminded = "SELECT count(*) FROM wecom_bridge_outboundcommand WHERE kind = 'groupmsg.remind' AND settled_at IS NULL"
    wait_until("the reminder", lambda: not stack.value(reminded), 300)
    kill.during({"groupmsg.cancel": "externalcontact/cancel_groupmsg_send"}, lambda: stack.inside("stop", push=push))

    people = People(stack, spared=guide, author=burst.author)
    wishes = (people.note, people.remember, people.meet, people.delete_many, people.hand_over, people.count_unassigned)
    kill.during(FIRST, *wishes)
    people.settled()
    kill.during(THEN, people.look)
    burst.settle(300)
    stack.driver().advance(DONE_AFTER)
    burst.settle(300)

    ends = stack.rows("SELECT kind, state, last_error, sent_at, attempts FROM wecom_bridge_outboundcommand")
    every = {kind.name for kind in contracts.all_kinds()}
    assert kill.killed == every == {row["kind"] for row in ends}, "every kind that exists was hurt"
    assert [row for row in ends if row["state"] not in ("done", "cancelled")] == []
    _tasks_stand_once(stack, burst)
    _welcomes_came_once(stack, welcomed, in_doubt, people.shared["value"])
    _tags_are_as_wished(stack)
    people.check()
    print(Counter(row["kind"] for row in ends))


def _tasks_stand_once(stack: Any, burst: Burst) -> None:
    """One mass message per unit, all of them stopped, nothing delivered."""
    made = [row for row in stack.wecom.calls("externalcontact/add_msg_template") if row["errcode"] == 0]
    assert len(made) == burst.released["units"]
    assert stack.wecom.hand("tasks")["tasks"] == []
    assert [row for row in stack.wecom.ask("sent", kind="mass", limit=10_000)["messages"] if TEXT in str(row)] == []


def _welcomes_came_once(stack: Any, *came: str) -> None:
    received = Counter(row["external_userid"] for row in stack.wecom.ask("sent", kind="welcome", limit=100)["messages"])
    assert received == Counter(came)
    states = {
        row["external_userid"]: row["state"]
        for row in stack.rows("SELECT external_userid, state FROM campaigns_welcomesend")
    }
    assert all(states[external] in ("sent", "unknown", "other") for external in received), states


def _tags_are_as_wished(stack: Any) -> None:
    """留 became 留下, 删 and 弃's group are gone, 改组's group has its name, 新 is there, in our rows as in WeCom; the newcomers wear theirs."""
    ours = {row["name"] for row in stack.rows("SELECT name FROM tagging_tag WHERE deleted_at IS NULL")}
    assert {"留下", "新", TAG} <= ours and not {"留", "删", "弃"} & ours
    groups = stack.inside("wecom_tags")
    assert {"改过组"} == {group["name"] for group in groups} & {"改过组", "改组组", "弃组"}
    theirs = [tag["name"] for group in groups for tag in group["tags"]]
    assert Counter(name for name in theirs if name in ("留", "删", "留下", "新")) == {"留下": 1, "新": 1}
    marks = "SELECT count(*) n FROM tagging_followtag ft JOIN tagging_tag t ON t.id = ft.tag_id WHERE t.name = %s AND ft.state = 'on'"
    assert stack.value(marks, TAG) == 2
