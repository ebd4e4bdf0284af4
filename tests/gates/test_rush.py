"""Fifty people add one guide in the same second: each becomes a friend here, each is welcomed, once."""

import time
from collections import Counter

import pytest

from tests.e2e.stack import wait_until

pytestmark = pytest.mark.gate
MANY = 50


def test_fifty_customers_add_one_guide_in_one_second(stack):
    stack.inside("welcome_everybody", text="欢迎来到{门店名}。")
    guide = next(row["userid"] for row in stack.wecom.ask("members")["members"] if row["contact"])

    began = time.monotonic()
    stack.wecom.hand("add", userid=guide, count=MANY, name="同时来")
    assert time.monotonic() - began < 1.0, "they came within a second"
    newcomers = "SELECT count(*) FROM campaigns_welcomesend WHERE state = 'sent'"
    wait_until("every welcome", lambda: stack.value(newcomers) == MANY, 20)
    stack.driver().settle(60)

    received = Counter(
        row["external_userid"] for row in stack.wecom.ask("sent", kind="welcome", limit=1000)["messages"]
    )
    assert len(received) == MANY and set(received.values()) == {1}
    ours = stack.rows(
        "SELECT count(*) follows, count(DISTINCT f.contact_id) people, count(DISTINCT p.id) periods FROM contacts_follow f"
        " JOIN contacts_identity i ON i.id = f.identity_id JOIN contacts_followperiod p ON p.follow_id = f.id"
        " JOIN contacts_member m ON m.id = f.member_id"
        " WHERE i.value = ANY(%s) AND m.userid = %s AND f.relation = 'active'",
        list(received), guide,
    )  # fmt: skip
    assert [dict(row) for row in ours] == [{"follows": MANY, "people": MANY, "periods": MANY}]
    slowest = stack.value("SELECT max(latency_ms) FROM campaigns_welcomesend")
    print({"follows": MANY, "welcomes": MANY, "slowest_ms": slowest})
