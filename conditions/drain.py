"""The loop: claims marks, resolves roots, calls the consumers whose reads they touch, deletes the marks it saw. One transaction
per batch, so a mark is gone exactly when its consequences stand."""

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min, Q

from conditions.consumers import Consume, Consumer, all_consumers
from conditions.dirty import EVERYTHING, mark
from conditions.models import DirtyMark
from conditions.people import roots
from scrm.lib import clock
from tenants import locks

logger = logging.getLogger(__name__)
LOCK = "conditions.drain"  # held by each batch; whoever switches a consumer on or off takes it too
BATCH = 1000
RETRY_AFTER = timedelta(minutes=1)


@dataclass
class Touched:
    """What the batch's marks say of one person: what is news, and what only the first sync told of."""

    news: set[str] = field(default_factory=set)
    backfill: set[str] = field(default_factory=set)


def drain_marks(deadline: datetime) -> bool:
    """Work off due marks until none is left or the slice is over; True when some are left."""
    while clock.wall() < deadline:
        done = drain_batch()
        if done is None:
            return True  # another process holds the loop; ours comes after it
        if done == 0:
            return False
    return True


@transaction.atomic
def drain_batch() -> int | None:
    """One batch; how many marks it settled, or None when another process is at it.

    The lock makes batches of a tenant follow each other: of two answers about one person the later snapshot must win.
    """
    if not locks.try_lock_in_transaction(LOCK):
        return None
    now = clock.now()
    claimed = _claim(now)
    if not claimed:
        return 0
    touched = _touched_people(claimed)
    for consumer in all_consumers():
        _tell(consumer, touched, now)
    DirtyMark.objects.filter(pk__in=[row.pk for row in claimed]).delete()
    return len(claimed)


def next_due() -> datetime | None:
    """The domain instant of the next boundary."""
    found: datetime | None = DirtyMark.objects.filter(not_before__isnull=False).aggregate(at=Min("not_before"))["at"]
    return found


def count_due() -> int:
    """How many marks are to be worked off now."""
    return DirtyMark.objects.filter(Q(not_before__isnull=True) | Q(not_before__lte=clock.now())).count()


def _claim(now: datetime) -> list[DirtyMark]:
    rows = DirtyMark.objects.select_for_update(skip_locked=True)
    claimed = list(rows.filter(not_before__isnull=True).order_by("id")[:BATCH])
    if len(claimed) < BATCH:
        claimed += rows.filter(not_before__lte=now).order_by("not_before", "id")[: BATCH - len(claimed)]
    return claimed


def _touched_people(claimed: list[DirtyMark]) -> dict[int, Touched]:
    root_of = roots(row.contact_id for row in claimed)
    touched: dict[int, Touched] = defaultdict(Touched)
    for row in claimed:
        root_id = root_of.get(row.contact_id)
        if root_id is not None:  # an erased person has nothing left to decide
            keys = touched[root_id].backfill if row.is_backfill else touched[root_id].news
            keys.add(row.field_key)
    return touched


def _tell(consumer: Consumer, touched: dict[int, Touched], now: datetime) -> None:
    """News first: what only the first sync told of is absorbed behind it, and cannot swallow it."""
    reads = consumer.reads() | {consumer.own_key}
    absorb = consumer.absorb or consumer.consume
    for is_backfill, consume in ((False, consumer.consume), (True, absorb)):
        for keys, ids in _by_keys(touched, reads, is_backfill=is_backfill).items():
            _attempt(consumer, consume, ids, keys, now, is_backfill=is_backfill)


def _by_keys(touched: dict[int, Touched], reads: set[str], *, is_backfill: bool) -> dict[frozenset[str], list[int]]:
    """People by what of theirs concerns the consumer: another person's keys must not make hers news."""
    found: dict[frozenset[str], list[int]] = defaultdict(list)
    for root_id, person in sorted(touched.items()):
        keys = person.backfill if is_backfill else person.news
        common = frozenset(reads if EVERYTHING in keys else keys & reads)
        if common:
            found[common].append(root_id)
    return found


def _attempt(
    consumer: Consumer, consume: Consume, ids: list[int], keys: frozenset[str], now: datetime, *, is_backfill: bool
) -> None:
    """A consumer that fails must not hold up the others, nor lose the change: its people come again, to it alone."""
    try:
        with transaction.atomic():
            consume(ids, keys, now)
    except Exception:
        logger.exception("consumer %s failed for %d people; repeated in %s", consumer.key, len(ids), RETRY_AFTER)
        mark(ids, consumer.own_key, not_before=now + RETRY_AFTER, backfill=is_backfill)
