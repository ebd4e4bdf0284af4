"""A virtual month of a shop: people come, go, are tagged, buy and get messages; at its end our rows are the truth, drift 0."""

import random
from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.stack import Stack, wait_until
from tests.gates.truth import relations, truth

pytestmark = pytest.mark.gate
ZONE = ZoneInfo("Asia/Shanghai")
DAYS = 30
SENDING_DAYS = (3, 10, 17, 24)
TEXT = "本周新品第{n}期,到店尝一口。"


class Month:
    """The month as it is lived; what the test itself did is noted for the comparison."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.wecom, self.driver = stack, stack.wecom, stack.driver()
        self.dice = random.Random(seed)
        self.visitor = stack.visitor()
        self.friends: set[tuple[str, str]] = set()
        self.left_by_customer: set[tuple[str, str]] = set()
        self.orders: dict[str, int] = {}
        self.came = 0

    def prepare(self) -> None:
        self.guides = [row["userid"] for row in self.wecom.ask("members")["members"] if row["contact"]]
        self.tags = self.wecom.hand("console_tags", group="口味", names=["偏甜", "偏咸"])["tags"]
        make = self.stack.inside
        self.author = make("make_user", username="author", name="作者", role="operator", password="correct-42")
        self.approver = make("make_user", username="boss", name="审批", role="approver", password="correct-42")
        for row in truth(self.stack):
            self.friends |= {(row["external_userid"], userid) for userid in row["followers"]}

    def live(self, day: int) -> None:
        """One day, from half past nine."""
        now = self.driver.now().astimezone(ZONE)
        morning = now.replace(hour=9, minute=30, second=0, microsecond=0)
        self.driver.move_to(morning if day == 0 else morning + timedelta(days=1))
        for _times in range(self.dice.randrange(2, 6)):
            self.dice.choice(
                (self.come, self.come, self.tag, self.buy, self.buy, self.guide_deletes, self.customer_deletes)
            )()
        self.driver.settle()
        if day in SENDING_DAYS:
            self.send(day)

    def come(self) -> None:
        self.came += 1
        guide = self.dice.choice(self.guides)
        made = self.wecom.hand("add", userid=guide, name=f"月中来客{self.came}号")
        self.friends.add((made["external_userid"], guide))

    def tag(self) -> None:
        external, guide = self.pick()
        tag = self.dice.choice(sorted(self.tags.values()))
        self.wecom.hand("tag", userid=guide, external_userid=external, add=[tag])

    def buy(self) -> None:
        external, _guide = self.pick()
        number, amount = f"M{len(self.orders):05d}", self.dice.randrange(800, 20_000)
        self.orders[number] = amount
        row = {
            "number": number, "total_minor": amount, "ordered_at": self.driver.now().isoformat(), "external_userid": external,
        }  # fmt: skip
        self.visitor.api("POST", "/api/v1/orders/", {"source": "pos", "orders": [row]})

    def guide_deletes(self) -> None:
        external, guide = self.pick()
        self.wecom.hand("guide_deletes", userid=guide, external_userid=external)
        self.friends.discard((external, guide))

    def customer_deletes(self) -> None:
        external, guide = self.pick()
        self.wecom.hand("customer_deletes", userid=guide, external_userid=external)
        self.friends.discard((external, guide))
        self.left_by_customer.add((external, guide))

    def pick(self) -> tuple[str, str]:
        return self.dice.choice(sorted(self.friends))

    def send(self, day: int) -> None:
        """A broadcast to everybody; all guides but one confirm, hers is stopped at the deadline."""
        who = {"author": self.author, "approver": self.approver}
        self.stack.inside("read_ledger")
        self.driver.settle()
        self.stack.inside("release_to_everybody", name=f"新品{day}", text=TEXT.format(n=day), **who)
        self.driver.advance(timedelta(minutes=2))
        wait_until("tasks", lambda: self.wecom.hand("tasks")["tasks"])
        for guide in self.guides[:-1]:
            self.wecom.hand("confirm_all", userid=guide)
        self.driver.advance(timedelta(minutes=10))
        self.driver.advance(timedelta(hours=9))


def test_a_month_of_a_shop_ends_without_drift(stack):
    month = Month(stack, seed=20260310)
    month.prepare()
    for day in range(DAYS):
        month.live(day)
    assert month.driver.now() - datetime.fromisoformat("2026-03-10T09:20:00+08:00") > timedelta(days=DAYS - 1)

    followers = {(row["external_userid"], userid) for row in truth(stack) for userid in row["followers"]}
    assert relations(stack) == followers - month.left_by_customer
    assert tags_on(stack, month) == tags_in_wecom(stack, month)
    orders = stack.rows("SELECT number, total_minor FROM commerce_order WHERE contact_id IS NOT NULL")
    assert {row["number"]: row["total_minor"] for row in orders} == month.orders

    sent = Counter(
        (row["external_userid"], row["content"]["text"]["content"])
        for row in stack.wecom.ask("sent", kind="mass", limit=100_000)["messages"]
    )
    assert set(sent.values()) == {1}, "nobody got a message twice"
    ours = stack.rows(
        "SELECT d.external_userid, u.text FROM campaigns_delivery d JOIN campaigns_dispatch u ON u.id = d.dispatch_id"
        " WHERE d.state = 'sent'"
    )
    assert Counter((row["external_userid"], row["text"]) for row in ours) == sent
    unsettled = "SELECT count(*) FROM campaigns_delivery WHERE state IN ('planned', 'tasked', 'unknown')"
    assert stack.value(unsettled) == 0

    before = facts(stack)
    run = stack.inside("reconcile")
    done = "SELECT state FROM wecom_bridge_syncrun WHERE id = %s"
    wait_until("the reconciliation", lambda: stack.value(done, run) in ("done", "failed", "confirm"), 120)
    month.driver.settle()
    assert stack.value(done, run) == "done"
    assert stack.value("SELECT count(*) FROM wecom_bridge_driftrow WHERE run_id = %s", run) == 0
    assert facts(stack) == before, "the reconciliation found nothing new"
    assert relations(stack) == followers - month.left_by_customer

    checked = stack.inside("check_rollups")
    assert checked["differing"] == 0, checked
    assert checked["checked"] > 30
    print({"facts": before, "messages": len(sent), "orders": len(month.orders), "rollups": checked["checked"]})


def facts(stack: Stack) -> int:
    return int(stack.value("SELECT count(*) FROM contacts_timelineevent"))


def tags_on(stack: Stack, month: Month) -> set[tuple[str, str, str]]:
    """Our marks of the month's tags on living relations: (customer, guide, tag)."""
    rows = stack.rows(
        "SELECT i.value, m.userid, t.wecom_tag_id FROM tagging_followtag ft JOIN tagging_tag t ON t.id = ft.tag_id"
        " JOIN contacts_follow f ON f.id = ft.follow_id JOIN contacts_identity i ON i.id = f.identity_id"
        " JOIN contacts_member m ON m.id = f.member_id"
        " WHERE ft.state = 'on' AND f.relation = 'active' AND t.wecom_tag_id = ANY(%s)",
        list(month.tags.values()),
    )  # fmt: skip
    return {(row["value"], row["userid"], row["wecom_tag_id"]) for row in rows}


def tags_in_wecom(stack: Stack, month: Month) -> set[tuple[str, str, str]]:
    """WeCom's truth of the same."""
    wanted, found = set(month.tags.values()), set()
    for external in sorted({external for external, _guide in month.friends}):
        for follow in stack.wecom.ask(f"customers/{external}")["follows"]:
            carried = {tag["tag_id"] if isinstance(tag, dict) else tag for tag in follow["tags"]}
            if (external, follow["userid"]) in month.friends:
                found |= {(external, follow["userid"], tag) for tag in wanted & carried}
    return found
