"""Rows committed out of the order of their ids are not skipped: inbox, outbox, dirty marks, dirty buckets, due steps, due hints.

Each proof holds a transaction open around the row that got the smaller id, lets everything around it be worked off, commits,
and works again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, time, timedelta
from threading import Event
from typing import Any

import pytest
from django.db import transaction

from accounts.scope import EVERYTHING
from analytics.models import DayMetric, DirtyBucket
from analytics.services import buckets
from campaigns import tasks as campaign_tasks
from campaigns.models import EnrollmentStep, Push
from campaigns.services import sops
from commerce.models import Order
from conditions import dirty
from conditions.drain import drain_marks
from conditions.models import DirtyMark
from contacts.models import Follow, Identity, Member
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from simulator.threaded import ThreadedSimulator
from tagging.models import SegmentEntry, Tag, TagGroup
from tagging.services import segments
from tagging.services.marks import mark_tags
from tenants import jobs, lanes
from tenants.audit import SYSTEM
from tenants.context import current_tenant, public_scope
from tenants.drains import drain_now
from tenants.models import DueHint
from tests.support import campaigns as reach
from tests.support import contacts as people
from tests.support import tagging
from tests.support.commerce import make_order
from tests.support.core import in_thread
from tests.support.wecom import Wecom, event_xml
from wecom_bridge.callbacks import parsing, rows
from wecom_bridge.gateway import core, tokens
from wecom_bridge.models import Corp, InboundEvent, OutboundCommand
from wecom_bridge.services import inbox, outbox

pytestmark = [pytest.mark.gate, pytest.mark.django_db(transaction=True)]


@contextmanager
def uncommitted(write: Callable[[], Any]) -> Iterator[Callable[[], None]]:
    """`write` has happened in a transaction that stays open until the yielded function is called."""
    written, may_commit = Event(), Event()

    def work() -> None:
        with transaction.atomic():
            write()
            written.set()
            assert may_commit.wait(60)

    running = in_thread(work)
    if not written.wait(30):
        running.result(1)  # raises what went wrong

    def commit() -> None:
        may_commit.set()
        running.result()

    try:
        yield commit
    finally:
        may_commit.set()
        running.join(30)


def soon() -> Any:
    return clock.wall() + timedelta(seconds=20)


@pytest.fixture
def wecom(settings: Any) -> Iterator[Wecom]:
    for remembered in (tokens._known, tokens._asked, core._clients):
        remembered.clear()  # of an earlier simulator
    with ThreadedSimulator(["shop"], seed=7) as running:
        settings.WECOM_API_BASE = running.url
        yield Wecom(running.url)


def some_customers(wecom: Wecom, number: int) -> list[tuple[str, str]]:
    """(external_userid, userid) of people with a guide."""
    found = [row for row in wecom.get("customers?limit=60")["customers"] if row["followers"]]
    return [(row["external_userid"], row["followers"][0]) for row in found[:number]]


def test_inbox(wecom):
    connection = wecom.connect()
    tenant = current_tenant()
    late, *others = some_customers(wecom, 4)

    def row_of(customer: tuple[str, str]) -> Any:
        external, userid = customer
        fields = {"UserID": userid, "ExternalUserID": external}
        plain = event_xml(connection.corp.corp_id, "change_external_contact", "add_external_contact", **fields).encode()
        return rows.build(connection.corp.pk, parsing.understand(plain, clock.now()), plain)[0]

    with uncommitted(lambda: rows.insert(tenant, [row_of(late)])) as commit:
        for customer in others:
            rows.store(tenant, row_of(customer))
        inbox.drain(soon())
        assert list(InboundEvent.objects.values_list("state", flat=True)) == ["done"] * 3
        commit()

    inbox.drain(soon())
    events = list(InboundEvent.objects.order_by("pk"))
    assert [event.state for event in events] == ["done"] * 4
    assert late[0] in events[0].body, "the late row has the smallest id"


def test_outbox(wecom):
    corp = wecom.connect().corp
    made = wecom.hand("console_tags", group="口味", names=["微辣"])
    group = TagGroup.objects.create(kind="corp", corp=corp, wecom_group_id=made["group_id"], name="口味")
    tag = Tag.objects.create(group=group, corp=corp, wecom_tag_id=made["tags"]["微辣"], name="微辣")
    late, *others = [relation(corp, customer) for customer in some_customers(wecom, 4)]

    def wish(follow: Follow) -> None:
        mark_tags([follow.pk], add=[tag.pk], origin="operator", by=SYSTEM)

    with uncommitted(lambda: wish(late)) as commit:
        for follow in others:
            wish(follow)
        outbox.drain(soon())
        assert list(OutboundCommand.objects.values_list("state", flat=True)) == ["done"] * 3
        commit()

    outbox.drain(soon())
    commands = list(OutboundCommand.objects.order_by("pk"))
    assert [command.state for command in commands] == ["done"] * 4
    assert commands[0].subject_id == late.pk, "the late row has the smallest id"


def relation(corp: Corp, customer: tuple[str, str]) -> Follow:
    """Our rows for a relation of the simulated world."""
    external, userid = customer
    member = Member.objects.filter(userid=userid).first() or tagging.make_member(corp, userid=userid)
    follow = tagging.make_relation(tagging.make_person(), member)
    Identity.objects.filter(pk=follow.identity_id).update(value=external)
    return follow


def test_dirty_marks():
    stage = people.make_stages()["loyal"]
    tree = {"version": 1, "root": {"all": [{"field": "contact.stage", "op": "in", "value": [stage.pk]}]}}
    segment = segments.save_segment(None, name="忠诚", tree=tree, by=SYSTEM)
    segments.build_segment(segment)
    late, *others = [people.make_contact() for _ in range(4)]
    drain_marks(soon())

    def become_loyal(contact: Any) -> None:
        type(contact).objects.filter(pk=contact.pk).update(stage=stage)
        dirty.mark([contact.pk], "contact.stage")

    def entered() -> set[int]:
        return set(SegmentEntry.objects.filter(segment=segment).values_list("contact_id", flat=True))

    with uncommitted(lambda: become_loyal(late)) as commit:
        with transaction.atomic():
            for contact in others:
                become_loyal(contact)
        drain_marks(soon())
        assert entered() == {contact.pk for contact in others}
        commit()

    drain_marks(soon())
    assert entered() == {contact.pk for contact in (late, *others)}
    assert not DirtyMark.objects.filter(not_before__isnull=True).exists()


def test_dirty_buckets():
    contact = people.make_follow().contact
    day = date(2026, 3, 3)
    late, other = [make_order(contact, ordered_at=reach.local(12), total_minor=1000) for _ in range(2)]
    buckets.drain(soon())

    def correct(order: Order) -> None:
        Order.objects.filter(pk=order.pk).update(total_minor=5000)
        buckets.mark("day", days_=[day])

    def revenue() -> int:
        return sum(DayMetric.objects.filter(day=day, metric="day.revenue").values_list("value", flat=True))

    assert revenue() == 2000
    with uncommitted(lambda: correct(late)) as commit:
        correct(other)
        buckets.drain(soon())
        assert revenue() == 6000
        commit()

    buckets.drain(soon())
    assert revenue() == 10_000
    assert not DirtyBucket.objects.exists()


def test_due_steps():
    # The late one adds the guide after the first slot: her step is due later, with a smaller id than one already done.
    with reach.at_time(reach.MORNING):
        guide = people.make_member(store=people.make_store())
        reach.cover(guide.corp)
        steps = [sops.Step(0, time(10), "欢迎来{门店名}")]
        version = sops.create_sop("新客", sops.Plan(steps=steps, within=EVERYTHING), by=reach.author())
        sops.submit_version(version.pk, by=reach.author())
        sops.release_version(version.pk, by=reach.approver(), scope=EVERYTHING)

    def add(at: Any) -> None:
        contact = people.make_contact()
        follow = people.make_follow(contact, guide, added_at=at)
        fact = NewEvent(
            kind="follow.added", occurred_at=at, source="callback", fact_key=f"added:{follow.pk}",
            contact_id=contact.pk, identity_id=follow.identity_id, member_id=guide.pk,
        )  # fmt: skip
        record_events([fact])

    def late() -> None:
        with reach.at_time(reach.local(11)):
            add(reach.local(11))

    with uncommitted(late) as commit:
        with reach.at_time(reach.MORNING):
            add(reach.MORNING)
        with reach.at_time(reach.local(10)):
            campaign_tasks.drain(soon())
            assert Push.objects.count() == 1
        commit()

    with reach.at_time(reach.local(15)):
        campaign_tasks.drain(soon())
    first, second = EnrollmentStep.objects.order_by("pk")
    assert (first.slot_at, second.slot_at) == (reach.local(15), reach.local(10)), "the late row has the smaller id"
    assert (first.state, second.state) == ("pushed", "pushed")


def test_due_hints(monkeypatch):
    seen = []
    lane = lanes.Lane("gate-late", queue="bulk", drain=lambda deadline: bool(seen.append(deadline)))
    monkeypatch.setattr(lanes, "_lanes", {**lanes._lanes, lane.name: lane})
    monkeypatch.setattr(jobs, "send_drain", lambda *args: None)
    tenant = current_tenant()

    def hint() -> None:
        with public_scope():
            DueHint.objects.create(tenant_id=tenant.pk, lane=lane.name, due_at=clock.wall())

    def hints() -> int:
        with public_scope():
            return DueHint.objects.filter(tenant_id=tenant.pk, lane=lane.name).count()

    with uncommitted(hint) as commit:
        hint()
        assert drain_now(tenant.pk, lane)
        assert hints() == 0
        commit()

    assert hints() == 1, "the late hint still asks for its drain"
    assert drain_now(tenant.pk, lane) and len(seen) == 2
    assert hints() == 0
