"""Dirty buckets in, recomputed buckets out; totals are rows."""

from datetime import UTC, date, datetime, timedelta

import pytest

from accounts.scope import EVERYTHING, DataScope
from analytics import queries, registry
from analytics.definitions import PUSH_FILTERS, push_rows
from analytics.models import DayMetric, DirtyBucket, PushMetric, StageDay
from analytics.queries import Place
from analytics.services import buckets, check, days
from campaigns.models import Delivery
from contacts.models import ContactMerge, StageTransition
from contacts.services.merging import merge_roots, undo_merge
from contacts.services.phones import add_phones
from contacts.services.stages import change_stage
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tests.support import campaigns as reach
from tests.support import contacts as people
from tests.support.commerce import make_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def morning():
    with reach.at_time(reach.MORNING):
        yield


def drain() -> None:
    assert not buckets.drain(clock.wall() + timedelta(seconds=30))
    assert not DirtyBucket.objects.exists()


def metric(push, name: str, window: int = 0) -> int:
    return sum(
        PushMetric.objects.filter(push_id=push.pk, metric=name, window_days=window).values_list("value", flat=True)
    )


def sent_push(contacts):
    """A broadcast whose every unit was confirmed, everybody sent to."""
    push = reach.released(contacts)
    for unit in reach.units(push):
        reach.agree(unit)
    now = clock.now()
    unit = reach.units(push)[0]
    unit.msgid, unit.confirmed_at, unit.state = f"msg{unit.pk}", now, "done"
    unit.save(update_fields=["msgid", "confirmed_at", "state"])
    Delivery.objects.filter(push=push, state="planned").update(state="sent", sent_at=now)
    buckets.mark("push", keys=[push.pk])
    return push


def test_an_order_counts_on_its_tenant_day_and_moves_with_a_correction():
    contact = people.make_follow().contact
    late_evening = datetime(2026, 3, 2, 17, 30, tzinfo=UTC)  # 01:30 of March 3rd in Shanghai
    make_order(contact, number="A1", ordered_at=late_evening, total_minor=30_000)
    drain()
    assert value(date(2026, 3, 3), "day.revenue") == 30_000

    make_order(contact, number="A1", ordered_at=late_evening - timedelta(hours=3), total_minor=25_000)
    drain()
    assert value(date(2026, 3, 3), "day.revenue") == 0
    assert value(date(2026, 3, 2), "day.revenue") == 25_000


def value(day: date, name: str) -> int:
    return sum(DayMetric.objects.filter(day=day, metric=name).values_list("value", flat=True))


def test_recomputing_twice_changes_nothing():
    make_order(people.make_follow().contact, ordered_at=people.at(60))
    drain()
    day = buckets.tenant_day(people.at(60))
    before = list(
        DayMetric.objects.filter(day=day).values_list("metric", "value", "store_id", "member_id").order_by("metric")
    )
    days.recompute(day, 0)
    after = list(
        DayMetric.objects.filter(day=day).values_list("metric", "value", "store_id", "member_id").order_by("metric")
    )
    assert before == after != []


def test_a_push_funnel_sums_to_its_target(morning):
    push = sent_push(reach.make_customers(5))
    drain()
    total = metric(push, "targeted")
    ends = ("excluded", "holdout", "sent", "failed", "unfinished", "unknown", "open")
    assert total == 5 == sum(metric(push, name) for name in ends)
    for name in PUSH_FILTERS:
        assert metric(push, name) == push_rows([push.pk], name).count()


def test_orders_count_as_buyers_only_within_the_window_after_sending(morning):
    one, two, three = reach.make_customers(3)
    push = sent_push([one, two, three])
    sent = clock.now()
    make_order(one, ordered_at=sent + timedelta(days=2), total_minor=10_000)
    make_order(one, ordered_at=sent + timedelta(days=6), total_minor=5_000)
    make_order(two, ordered_at=sent - timedelta(hours=1))
    make_order(three, ordered_at=sent + timedelta(days=2), status="cancelled")
    drain()
    assert [metric(push, "buyers", window) for window in (1, 3, 7)] == [0, 1, 1]
    assert [metric(push, "orders", window) for window in (1, 3, 7)] == [0, 1, 2]
    assert metric(push, "revenue", 7) == 15_000
    assert list(push_rows([push.pk], "buyers", 7).values_list("contact_id", flat=True)) == [one.pk]


def test_an_order_of_a_merged_row_counts_for_the_person(morning):
    person = reach.make_customers(1)[0]
    push = sent_push([person])
    branch = people.make_contact(root=person)
    make_order(branch, ordered_at=clock.now() + timedelta(days=1), total_minor=8_000)
    buckets.mark("push", keys=[push.pk])
    drain()
    assert metric(push, "buyers", 3) == 1
    assert metric(push, "revenue", 3) == 8_000


def test_a_late_order_marks_the_push_that_reached_its_buyer(morning):
    person = reach.make_customers(1)[0]
    push = sent_push([person])
    drain()
    make_order(person, ordered_at=clock.now() + timedelta(days=3))
    assert DirtyBucket.objects.filter(topic="push", key=push.pk).exists()


def test_a_late_order_marks_the_push_whichever_row_of_the_person_it_was_frozen_under(morning):
    person, branch = reach.make_customers(2)
    push = sent_push([branch])
    type(branch).objects.filter(pk=branch.pk).update(root=person)
    sibling = people.make_contact(root=person)
    drain()
    make_order(sibling, ordered_at=clock.now() + timedelta(days=3))
    assert DirtyBucket.objects.filter(topic="push", key=push.pk).exists()
    drain()
    assert metric(push, "buyers", 7) == 1


def test_a_mark_written_during_a_recomputation_stays():
    buckets.mark("day", days_=[date(2026, 3, 1)])
    seen = list(DirtyBucket.objects.values_list("pk", flat=True))
    buckets.mark("day", days_=[date(2026, 3, 1)])
    buckets.recompute_bucket("day", date(2026, 3, 1), 0, seen)
    assert DirtyBucket.objects.count() == 1


def test_stage_counts_of_a_finished_day_are_those_of_its_end():
    stages = people.make_stages()
    contact = people.make_follow(added_at=people.at()).contact
    change_stage([contact.pk], stages["new"], source="manual", by=SYSTEM, at=people.at(days=1))
    change_stage([contact.pk], stages["first_order"], source="manual", by=SYSTEM, at=people.at(days=3))
    for day in (people.at(days=2).date(), people.at(days=4).date()):
        buckets.recompute_bucket("stage", day, 0)
    found = dict(StageDay.objects.values_list("day", "stage_id"))
    assert found == {people.at(days=2).date(): stages["new"].pk, people.at(days=4).date(): stages["first_order"].pk}
    assert StageTransition.objects.count() == 2


def test_the_check_finds_a_total_that_is_not_its_rows():
    make_order(people.make_follow().contact, ordered_at=clock.now())
    drain()
    assert check.check_rollups().differing == 0
    DayMetric.objects.filter(metric="day.orders").update(value=99)
    assert check.check_rollups().differing == 1


def test_a_reader_sees_only_the_stores_of_her_scope(morning):
    here, there = people.make_store(), people.make_store()
    contacts = reach.make_customers(2, people.make_member(store=here))
    contacts += reach.make_customers(3, people.make_member(store=there))
    push = reach.released(contacts)
    buckets.mark("push", keys=[push.pk])
    drain()
    rows, totals = queries.push_funnel(
        [push.pk], scope=DataScope(1, store_ids=frozenset({here.pk})), place=Place(), grouping="store", window_days=7
    )
    assert [(row.key, row.values["targeted"]) for row in rows] == [(here.pk, 2)]
    assert totals["targeted"] == 2


def test_a_dimension_the_metric_does_not_have_cannot_be_chosen():
    with pytest.raises(UserError):
        queries.push_funnel([], scope=EVERYTHING, place=Place(), grouping="weather", window_days=7)


def test_a_merge_moves_what_was_bought_to_the_person_and_undoing_moves_it_back(morning):
    """An order on one row, the delivery on the other: the rollup follows the rows, whichever became the root."""
    older, newer = reach.make_customers(2)
    push = sent_push([newer])
    make_order(older, ordered_at=clock.now() + timedelta(hours=1), total_minor=10_000)
    drain()
    assert metric(push, "buyers", 7) == 0

    merge_roots([(older.pk, newer.pk)], now=clock.now())
    drain()

    assert (metric(push, "buyers", 7), metric(push, "orders", 7), metric(push, "revenue", 7)) == (1, 1, 10_000)
    assert push_rows([push.pk], "buyers", 7).count() == 1
    assert not check.check_rollups().differing
    undo_merge(ContactMerge.objects.get().pk, by=SYSTEM)
    drain()
    assert metric(push, "buyers", 7) == 0


def test_the_check_sees_a_wrong_count_of_buyers(morning):
    push = sent_push(reach.make_customers(1))
    drain()
    PushMetric.objects.create(push_id=push.pk, metric="buyers", window_days=7, value=3, computed_at=clock.now())

    found = check.check_rollups()

    assert [row["metric"] for row in found.differences] == ["buyers"]


def test_stage_counts_of_the_past_are_of_friends_and_no_day_is_missed(morning):
    """Whoever had left by the end of a day is not among that day's people; an outage of days leaves no hole."""
    stages = people.make_stages()
    stays, leaves = people.make_follow(), people.make_follow()
    for follow in (stays, leaves):
        follow.periods.update(added_at=clock.now() - timedelta(days=9))
    start = clock.now() - timedelta(days=8)
    change_stage([stays.contact_id, leaves.contact_id], stages["new"], source="manual", by=SYSTEM, at=start)
    leaves.periods.update(ended_at=clock.now() - timedelta(days=4), ended_by="customer")
    StageDay.objects.all().delete()
    today = buckets.tenant_day(clock.now())
    buckets.recompute_bucket("stage", today - timedelta(days=6), 0)

    registry._count_past_days()

    counted = dict(StageDay.objects.order_by("day").values_list("day", "people"))
    assert list(counted) == [today - timedelta(days=back) for back in range(6, 0, -1)]
    assert [sum(StageDay.objects.filter(day=day).values_list("people", flat=True)) for day in counted] == [
        2,
        2,
        1,
        1,
        1,
        1,
    ]


def test_an_order_that_binds_late_reaches_the_funnel_of_the_push_before_it(morning):
    [contact] = reach.make_customers(1)
    push = sent_push([contact])
    make_order(None, external_userid="", phone="+8613800000009", ordered_at=clock.now() + timedelta(hours=1))
    drain()
    assert metric(push, "buyers", 7) == 0

    add_phones([(contact.pk, "+8613800000009", "manual")], now=clock.now())
    drain()

    assert metric(push, "buyers", 7) == 1 and not check.check_rollups().differing
