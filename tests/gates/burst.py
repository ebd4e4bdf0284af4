"""A burst of work in a running stack, and the comparison of what the simulated world knows with our rows."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.stack import Stack, wait_until
from tests.gates.truth import truth

NEWCOMERS = 150
TEXT = "这周六面包八折,来店报暗号。"
WELCOME = "欢迎来到{门店名}。"
TAG = "新客"
NAME = "来客"


class Burst:
    """Newcomers scan, are welcomed and tagged; a broadcast to everybody becomes tasks. All of it at once."""

    def __init__(self, stack: Stack, *, edits: int = 0) -> None:
        """edits: remarks that guides write meanwhile, an event each."""
        self.stack, self.wecom, self.edits = stack, stack.wecom, edits
        self.remarks: dict[tuple[str, str], str] = {}
        self.tag: dict[str, Any] = {}
        self.released: dict[str, Any] = {}

    def prepare(self) -> None:
        """The rule, the welcome, the people who release; the ledger is read, so that quota is known."""
        stack = self.stack
        self.wecom.hand("console_tags", group="来源", names=[TAG])
        known = "SELECT count(*) FROM tagging_tag WHERE name = %s AND wecom_tag_id IS NOT NULL"
        wait_until("the tag in our rows", lambda: stack.value(known, TAG))
        self.tag = stack.inside("tag_newcomers", tag=TAG)
        stack.inside("welcome_everybody", text=WELCOME)
        self.author = stack.inside("make_user", username="author", name="作者", role="operator", password="correct-42")
        self.approver = stack.inside("make_user", username="boss", name="审批", role="approver", password="correct-42")
        stack.inside("read_ledger")
        covered = "SELECT count(*) FROM campaigns_ledgercoverage WHERE covered_to IS NOT NULL"
        wait_until("the ledger", lambda: stack.value(covered), 60)
        stack.driver().settle()
        # Answers take a while, so that a kill meets calls on their way. WeCom does not document its spacing of retries.
        self.wecom.post("switches", {"latency_ms": [20, 200], "callback_retry_spacing": [3.0, 6.0, 12.0]})

    def run(self) -> None:
        """Let it loose; returns when all was asked for, long before it is done."""
        releasing = threading.Thread(target=self.release)
        editing = threading.Thread(target=self._edit)
        releasing.start()
        editing.start()
        self.arrive()
        releasing.join()
        editing.join()
        assert self.released["planned"] > 500, self.released

    def arrive(self) -> None:
        """The newcomers, one after the other."""
        guides = [row["userid"] for row in self.wecom.ask("members")["members"] if row["contact"]]
        for number in range(NEWCOMERS):
            self.wecom.hand("add", userid=guides[number % len(guides)], name=f"{NAME}{number}")
            time.sleep(0.05)

    def _edit(self) -> None:
        """Guides write remarks, each friend's several times over."""
        pairs = [
            (userid, row["external_userid"])
            for row in self.wecom.ask("customers", limit=1000)["customers"]
            for userid in row["followers"]
        ]
        for number in range(self.edits):
            userid, external = pair = pairs[number % len(pairs)]
            self.remarks[pair] = f"备注{number}"
            self.wecom.hand("edit_notes", userid=userid, external_userid=external, remark=self.remarks[pair])

    def release(self) -> None:
        """The broadcast to everybody, approved and agreed to."""
        who = {"author": self.author, "approver": self.approver}
        self.released = self.stack.inside("release_to_everybody", name="周六", text=TEXT, **who)

    def settle(self, seconds: float = 240) -> None:
        """Until nobody has anything left to do. A killed drain's lease runs for a minute, its claims for longer."""
        ready = "the web server after a restart"
        wait_until(ready, lambda: _answers(self.stack), 60)
        self.stack.driver().settle(seconds)
        assert self.stack.watch_error is None

    def confirm(self) -> None:
        """Every guide presses 发送."""
        tasks = self.wecom.hand("tasks")["tasks"]
        per_guide = Counter(task["userid"] for task in tasks)
        assert set(per_guide.values()) == {1} and len(per_guide) == self.released["units"], "one task for each unit"
        self.wecom.hand("confirm_all")

    def finish(self) -> None:
        """Until WeCom's results are known."""
        open_units = "SELECT count(*) FROM campaigns_dispatch WHERE push_id = %s AND state <> 'done'"

        def is_done() -> bool:
            if not self.stack.value(open_units, self.released["push"]):
                return True
            self.stack.inside("look_again", push=self.released["push"])
            return False

        wait_until("every unit to be done", is_done, 240)
        self.settle()


def _answers(stack: Stack) -> bool:
    try:
        stack.visitor().api("GET", "/api/v1/sandbox/quiet")
    except OSError:
        return False
    return True


@contextmanager
def meanwhile(*steps: Any, pause: float) -> Iterator[list[BaseException]]:
    """Do the steps one after the other beside the body, `pause` seconds apart; the body's end waits for the last."""
    errors: list[BaseException] = []

    def work() -> None:
        for step in steps:
            time.sleep(pause)
            try:
                step()
            except BaseException as error:
                errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield errors
    finally:
        thread.join()
    assert errors == []


# --- The truth against our rows ---------------------------------------------------------------------------------


def compare(burst: Burst) -> dict[str, int]:
    """Everything the world knows stands in our rows exactly once, and nothing else. What was counted."""
    counted = {
        "callbacks": _callbacks(burst),
        "relations": _relations(burst),
        "remarks": _remarks(burst),
        "newcomers": _newcomers(burst),
        "welcomes": _welcomes(burst),
        "messages": _messages(burst),
    }
    assert counted["callbacks"] >= burst.edits, "the burst was as large as was asked for"
    reasons = "SELECT reason, count(*) n FROM campaigns_delivery WHERE state = 'excluded' GROUP BY reason"
    counted |= {f"excluded: {row['reason']}": row["n"] for row in burst.stack.rows(reasons)}
    endings = "SELECT state, count(*) n FROM campaigns_welcomesend GROUP BY state"
    counted |= {f"welcome {row['state']}": row["n"] for row in burst.stack.rows(endings)}
    stuck = burst.stack.rows(
        "SELECT kind, state, last_error FROM wecom_bridge_outboundcommand WHERE settled_at IS NULL"
    )
    assert stuck == [], "every command is settled"
    return counted


def _callbacks(burst: Burst) -> int:
    """Each event WeCom pushed is one row, handled. Two that say the same of the same second are one: nothing tells them apart."""
    pushed = [row for row in burst.wecom.ask("callbacks", limit=20_000)["callbacks"] if row["state"] != "no address"]
    states = Counter(row["state"] for row in pushed)
    assert set(states) == {"received"}, f"WeCom gave up on some: {states}"
    kept = Counter(row["state"] for row in burst.stack.rows("SELECT state FROM wecom_bridge_inboundevent"))
    assert set(kept) <= {"done", "ignored"}, kept
    told_apart = {(row["corp_id"], row["created"], json.dumps(row["event"], sort_keys=True)) for row in pushed}
    assert sum(kept.values()) == len(told_apart), f"{sum(kept.values())} rows of {len(told_apart)} in {len(pushed)}"
    return len(pushed)


def _relations(burst: Burst) -> int:
    """Who follows whom."""
    followers = {(row["external_userid"], userid) for row in truth(burst.stack) for userid in row["followers"]}
    ours = burst.stack.rows(
        "SELECT i.value, m.userid FROM contacts_follow f JOIN contacts_identity i ON i.id = f.identity_id"
        " JOIN contacts_member m ON m.id = f.member_id WHERE f.relation = 'active'"
    )
    assert {(row["value"], row["userid"]) for row in ours} == followers
    assert len(ours) == len(followers)
    return len(followers)


def _remarks(burst: Burst) -> int:
    """The last remark of each that a guide wrote stands in our rows."""
    ours = burst.stack.rows(
        "SELECT i.value, m.userid, f.remark FROM contacts_follow f JOIN contacts_identity i ON i.id = f.identity_id"
        " JOIN contacts_member m ON m.id = f.member_id WHERE f.remark LIKE '备注%%'"
    )
    found = {(row["userid"], row["value"]): row["remark"] for row in ours}
    assert found == burst.remarks
    return burst.edits


def _newcomers(burst: Burst) -> int:
    """Each newcomer: one person, one adding, one fact of it, one tag here and in WeCom, one fact of that."""
    names = {row["external_userid"]: row["name"] for row in truth(burst.stack) if row["name"].startswith(NAME)}
    assert len(names) == NEWCOMERS
    ours = burst.stack.rows(
        "SELECT i.value, count(DISTINCT c.id) people, count(DISTINCT p.id) periods,"
        " count(DISTINCT e.id) FILTER (WHERE e.kind = 'follow.added') added,"
        " count(DISTINCT e.id) FILTER (WHERE e.kind = 'tag.added') tagged,"
        " count(DISTINCT t.id) FILTER (WHERE t.state = 'on' AND t.tag_id = %s) tags"
        " FROM contacts_identity i JOIN contacts_contact c ON c.id = i.contact_id"
        " JOIN contacts_follow f ON f.identity_id = i.id JOIN contacts_followperiod p ON p.follow_id = f.id"
        " LEFT JOIN contacts_timelineevent e ON e.contact_id = c.id"
        " LEFT JOIN tagging_followtag t ON t.follow_id = f.id WHERE i.value = ANY(%s) GROUP BY i.value",
        burst.tag["id"], list(names),
    )  # fmt: skip
    once = {"people": 1, "periods": 1, "added": 1, "tagged": 1, "tags": 1}
    odd = [row for row in ours if {key: row[key] for key in once} != once]
    assert len(ours) == NEWCOMERS and odd == []
    for external in names:
        [follow] = burst.wecom.ask(f"customers/{external}")["follows"]
        tags = [tag["tag_id"] if isinstance(tag, dict) else tag for tag in follow["tags"]]
        assert burst.tag["wecom_id"] in str(follow) and len(tags) == len(set(tags)), follow
    return len(ours)


def _welcomes(burst: Burst) -> int:
    """At most one each, and we know which were sent: 已发送 is in the inbox, 超过20秒 and 失败 are not."""
    received = Counter(
        row["external_userid"] for row in burst.wecom.ask("sent", kind="welcome", limit=100_000)["messages"]
    )
    assert set(received.values()) <= {1}
    sends = burst.stack.rows("SELECT external_userid, state, reason FROM campaigns_welcomesend")
    assert len(sends) == len({row["external_userid"] for row in sends}) == NEWCOMERS
    for row in sends:
        arrived = row["external_userid"] in received
        assert row["state"] in ("sent", "late", "failed", "unknown", "other"), row
        if row["state"] in ("sent", "late", "failed"):
            assert arrived == (row["state"] == "sent"), (row, arrived)
    return len(received)


def _messages(burst: Burst) -> int:
    """The broadcast lies in each inbox once, where our deliveries say so and nowhere else."""
    sent = burst.wecom.ask("sent", kind="mass", limit=100_000)["messages"]
    received = Counter(row["external_userid"] for row in sent if TEXT in str(row["content"]))
    assert set(received.values()) == {1}
    ours = burst.stack.rows(
        "SELECT external_userid, state, reason FROM campaigns_delivery WHERE push_id = %s", burst.released["push"]
    )
    assert {row["external_userid"] for row in ours if row["state"] == "sent"} == set(received)
    assert not {row["state"] for row in ours} & {"planned", "tasked", "unknown"}
    planned = [row for row in ours if row["state"] != "excluded"]
    assert [row for row in planned if row["state"] != "sent"] == [], "everybody planned is a friend with quota left"
    return len(received)
