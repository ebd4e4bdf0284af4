"""The loop: claims marks, resolves roots, calls the consumers whose reads they touch, deletes the marks it saw. One transaction
per batch, so a mark is gone exactly when its consequences stand.

A batch is of people: whoever has a mark among those claimed comes with everything of hers that is due, because some marks say whose
doing the others are (conditions.dirty). Boundaries in time have a share of each batch, however many changes pour in.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Min, Q

from conditions.consumers import Consume, Consumer, all_consumers, one_batch, read_anew
from conditions.dirty import CAUSE, EVERYTHING, coming_of, mark
from conditions.models import DirtyMark
from conditions.people import families
from scrm.lib import clock
from tenants import locks

logger = logging.getLogger(__name__)
LOCK = "conditions.drain"  # held by each batch; whoever switches a consumer on or off takes it too
BATCH = 1000  # marks by which people are claimed
TIMED = 250  # of them, boundaries and repeats that are due: at least so many, while so many wait
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
    claimed, root_of = _claim(now)
    if not claimed:
        return 0
    touched = _touched_people(claimed, root_of)
    with coming_of(_causes(touched, root_of)), one_batch():
        for consumer in all_consumers():
            _tell(consumer, touched, now)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {DirtyMark._meta.db_table} WHERE id = ANY(%s)", [[row.pk for row in claimed]])
    return len(claimed)


def next_due() -> datetime | None:
    """The domain instant of the next boundary."""
    found: datetime | None = DirtyMark.objects.filter(not_before__isnull=False).aggregate(at=Min("not_before"))["at"]
    return found


def count_due() -> int:
    """How many marks are to be worked off now."""
    return DirtyMark.objects.filter(_due(clock.now())).count()


def _due(now: datetime) -> Q:
    return Q(not_before__isnull=True) | Q(not_before__lte=now)


def _claim(now: datetime) -> tuple[list[DirtyMark], dict[int, int]]:
    """All that is due of the people whose turn it is; and contact id → root id of them."""
    ids = _whose_turn(now)
    if not ids:
        return [], {}
    root_of = families(ids)
    rows = DirtyMark.objects.select_for_update(skip_locked=True).filter(_due(now))
    return list(rows.filter(contact_id__any_of=ids | set(root_of)).order_by("id")), root_of


def _whose_turn(now: datetime) -> set[int]:
    """Contact ids of the oldest changes and of the boundaries that have been due for longest."""
    changes = DirtyMark.objects.filter(not_before__isnull=True).order_by("id").values_list("contact_id", flat=True)
    timed = DirtyMark.objects.filter(not_before__lte=now).order_by("not_before", "id")
    due = list(timed.values_list("contact_id", flat=True)[:BATCH])
    changed = list(changes[: BATCH - min(TIMED, len(due))])
    return {*changed, *due[: BATCH - len(changed)]}


def _touched_people(claimed: list[DirtyMark], root_of: dict[int, int]) -> dict[int, Touched]:
    touched: dict[int, Touched] = defaultdict(Touched)
    for row in claimed:
        root_id = root_of.get(row.contact_id)
        if root_id is not None:  # an erased person has nothing left to decide
            keys = touched[root_id].backfill if row.is_backfill else touched[root_id].news
            keys.add(row.field_key)
    return touched


def _causes(touched: dict[int, Touched], root_of: dict[int, int]) -> dict[int, frozenset[str]]:
    """Contact id → the keys of her marks that say whose doing the others are, of those who have such marks."""
    named = {pk: frozenset(key for key in person.news if key.startswith(CAUSE)) for pk, person in touched.items()}
    return {pk: named[root_id] for pk, root_id in root_of.items() if named.get(root_id)}


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
        read_anew()
        logger.exception("consumer %s failed for %d people; repeated in %s", consumer.key, len(ids), RETRY_AFTER)
        mark(ids, consumer.own_key, *consumer.again(keys), not_before=now + RETRY_AFTER, backfill=is_backfill)
