"""What a claim takes, and how little of a flood it reads for that."""

from datetime import timedelta
from threading import Event

import pytest
from django.db import connection as database
from django.db import transaction

from scrm.lib import clock
from tests.support.core import in_thread
from tests.support.wecom import make_connection
from wecom_bridge.callbacks.rows import GROUP_SETTLES
from wecom_bridge.models import InboundEvent
from wecom_bridge.services import inbox, pace

pytestmark = pytest.mark.django_db(transaction=True)
MOST = 5


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(inbox, "MOST_OF_ONE", MOST)
    pace._redis().flushdb()


@pytest.fixture
def corp(db):
    return make_connection().corp


@pytest.fixture
def now():
    return clock.wall()


@pytest.fixture
def lay(corp, now):
    """lay(3, state="retry", due=60) → the ids of so many events of one entity, oldest first, due in so many seconds."""

    def add(count, *, state="waiting", due=-1.0, entity="p:wm1", since=1000, claimed=None):
        start = InboundEvent.objects.count()
        made = InboundEvent.objects.bulk_create(
            InboundEvent(
                corp=corp, digest=f"{start + number}", lane="inbound", event="change_external_contact",
                change_type="edit_external_contact", entity_key=f"{corp.pk}:{entity}", body="<xml></xml>",
                occurred_at=now - timedelta(seconds=since - number), received_at=now, state=state,
                next_attempt_at=now + timedelta(seconds=due), claimed_until=claimed,
            )
            for number in range(count)
        )  # fmt: skip
        return [row.pk for row in made]

    return add


def claimed(now, limit=10):
    return [row.pk for row in inbox.claim(now, limit)]


def rows_read(work):
    """How many rows the database handed over, by statement."""
    read = []

    def count(execute, sql, params, many, context):
        answer = execute(sql, params, many, context)
        if sql.startswith("SELECT"):
            read.append(context["cursor"].rowcount)
        return answer

    with database.execute_wrapper(count):
        work()
    return read


def test_a_claim_reads_few_rows_of_an_entity_in_a_flood(lay, now):
    lay(400)
    lay(400, state="retry", due=600)
    lay(400, due=1)
    read = rows_read(lambda: claimed(now))
    assert max(read) <= max(10, 2 * MOST) and sum(read) < 60


def test_the_oldest_due_ones_are_claimed_and_charged(lay, now):
    younger, older = lay(MOST, since=100), lay(MOST - 1, since=900)
    rows = inbox.claim(now)
    assert [row.pk for row in rows] == [*older, younger[0]] and all(row.is_charged for row in rows)
    assert InboundEvent.objects.filter(attempts=1).count() == MOST


def test_those_that_wait_for_another_try_ride_along_uncounted_as_far_as_there_is_room(lay, now):
    waiting, due = lay(MOST, state="retry", due=600, since=900), lay(2, since=100)
    rows = inbox.claim(now)
    assert [row.pk for row in rows] == [*waiting[: MOST - 2], *due]
    assert [row.is_charged for row in rows] == [False] * (MOST - 2) + [True, True]


def test_all_that_have_not_settled_wait_for_a_reading_of_their_own(lay, now):
    [first], unsettled = lay(1), lay(40, due=0.5)
    other = lay(1, due=0.5, entity="p:other")
    assert claimed(now) == [first]
    dues = dict(InboundEvent.objects.values_list("pk", "next_attempt_at"))
    assert {dues[pk] for pk in unsettled} == {now + GROUP_SETTLES}
    assert dues[other[0]] == now + timedelta(seconds=0.5), "nobody reads this one now"


def test_an_entity_that_another_drain_holds_is_left_to_it(lay, now):
    lay(1, claimed=now + timedelta(seconds=30), since=10)
    mine, free = lay(40, since=900), lay(1, entity="p:other", since=10)
    assert claimed(now, 50) == free
    assert not InboundEvent.objects.filter(pk__in=mine, next_attempt_at__lte=now).exists()


def test_an_entity_whose_lapsed_claim_is_just_being_settled_is_left_alone(lay, now):
    """However many events lie before the ones that are locked."""
    lapsed = lay(2, claimed=now - timedelta(seconds=1), since=10)
    lay(40, since=900)
    locked, go = Event(), Event()

    def settle():
        with transaction.atomic():
            assert len(InboundEvent.objects.select_for_update().filter(pk__in=lapsed)) == 2
            locked.set()
            assert go.wait(20)

    worker = in_thread(settle)
    assert locked.wait(20)
    assert claimed(now) == []
    go.set()
    worker.result()
    assert len(claimed(now + timedelta(seconds=2))) == MOST


def test_every_event_of_a_slowed_entity_waits_and_says_so(lay, now, monkeypatch):
    mine, later = lay(40), now + timedelta(seconds=60)
    monkeypatch.setattr(pace, "slowed", lambda keys, now: dict.fromkeys(keys, later))
    assert claimed(now) == []
    rows = InboundEvent.objects.filter(pk__in=mine, next_attempt_at=later, last_error=InboundEvent.SLOWED)
    assert rows.count() == 40
