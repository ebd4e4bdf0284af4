"""The inbox drained: claim due events, read again what they say is dirty, tell the handlers, settle, in one transaction each.

An entity's events are handled together and in order; different entities do not wait for each other. A batch that a
handler refuses is taken apart, so that one bad row delays only itself.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Min, Q, QuerySet, When, Window
from django.db.models.functions import Coalesce, Greatest, RowNumber

from scrm.lib import clock
from tenants import jobs, locks
from wecom_bridge import contracts
from wecom_bridge.callbacks.rows import GROUP_SETTLES
from wecom_bridge.gateway import CallError, Gateway, gateway_for
from wecom_bridge.models import Corp, InboundEvent
from wecom_bridge.services import pace
from wecom_bridge.services.backoff import next_try
from wecom_bridge.services.dirty import ENDS, Dirty, fact_of, proven_ends, read_again, to_batches
from wecom_bridge.services.errors import in_words
from wecom_bridge.services.parallel import run_all

logger = logging.getLogger(__name__)

OPEN = InboundEvent.OPEN
BATCH = 200
MOST_OF_ONE = 500
WIDTH = 8
# Entities read before the first of them is settled: with a call that runs into its time-out (13 s) in each of three rounds, they are
# done before the worker's own limit (45 s), which would throw all of it away.
TOGETHER = 24
# Short, because the welcome lane shares these processes and a code lives 20 seconds.
SLICE = timedelta(seconds=4)
# What a slice may work before it makes room for a welcome: with newcomers that come without a pause it would else begin, claim and end
# for a handful of entities. A welcome that waits for it has still 18 of its 20 seconds.
LEAST = timedelta(seconds=1)
CLAIM = timedelta(seconds=90)
MAX_ATTEMPTS = 8
BREATH = timedelta(seconds=0.5)  # a row that is due but held by another drain is not asked for without a pause

LANE = "inbound"


def drain(deadline: datetime) -> bool:
    """Work until nothing is due or the slice is over; True when it stopped with work left."""
    began = clock.wall()
    stop = min(deadline, began + SLICE)
    while clock.wall() < stop:
        rows = claim(clock.wall())
        if not rows:
            return False
        stop = _handle(rows, stop, began + LEAST)
    return InboundEvent.objects.filter(_due(clock.wall())).exists()


def _due(now: datetime) -> Q:
    return Q(lane=LANE, state__in=OPEN, next_attempt_at__lte=now) & _unclaimed(now)


def _unclaimed(now: datetime) -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lt=now)


@transaction.atomic
def claim(now: datetime, limit: int = BATCH) -> list[InboundEvent]:
    """Due events, with the older open ones of the same entities; those of entities that another drain holds are left to it.

    An event that has not settled yet waits for a reading of its own, or a state from before it would be taken for its
    result. One reading answers at most MOST_OF_ONE events, the oldest: an entity in a flood does not hold the others up,
    and no more than twice as many of its rows are read. One claim of a merchant at a time.
    """
    locks.lock_in_transaction("inbox-claim")  # two that touch whole entities would wait for each other's rows
    events = InboundEvent.objects
    due = list(
        events.select_for_update(skip_locked=True)
        .filter(_due(now))
        .order_by("next_attempt_at", "id")
        .values_list("pk", "entity_key")[:limit]
    )
    keys = {key for _pk, key in due}
    foremost = _foremost(keys, now)
    locked = events.select_for_update(skip_locked=True).filter(pk__in=foremost, state__in=OPEN)
    columns = ("pk", "entity_key", "state", "next_attempt_at")
    found: list[Any] = list(locked.order_by("occurred_at", "id").values_list(*columns, named=True))
    held = _held_elsewhere(keys, now) | {foremost[pk] for pk in foremost.keys() - {row.pk for row in found}}
    slow = pace.slowed(keys - held, now)
    chosen = _choose([row for row in found if row.entity_key not in held and row.entity_key not in slow], now)
    events.filter(pk__in=chosen.all).update(claimed_until=now + CLAIM)
    events.filter(pk__in=chosen.due).update(attempts=F("attempts") + 1)
    _wait_to_settle(keys - held - slow.keys(), now)
    # An entity in other hands becomes due again in a moment, or this loop would find it at once for ever.
    events.filter(pk__in=[pk for pk, key in due if key in held]).update(next_attempt_at=now + timedelta(seconds=1))
    for key, at in slow.items():
        _slow_down(key, at)
    rows = list(events.filter(pk__in=chosen.all).order_by("occurred_at", "id"))
    for row in rows:
        row.is_charged = row.pk in chosen.due
    return rows


def _open_of(keys: Iterable[str]) -> QuerySet[InboundEvent]:
    return InboundEvent.objects.filter(entity_key__in=keys, state__in=OPEN, lane=LANE)


def _foremost(keys: set[str], now: datetime) -> dict[int, str]:
    """pk → entity, of each entity's first MOST_OF_ONE due events and as many that wait for another try.

    Those of a lapsed claim come first: its drain may be settling them just now, which shows in their locks.
    """
    place = Window(
        RowNumber(),
        partition_by=[F("entity_key"), Case(When(next_attempt_at__lte=now, then=True), default=False)],
        order_by=[F("claimed_until").asc(nulls_last=True), F("occurred_at").asc(), F("id").asc()],
    )
    rows = _open_of(keys).filter(Q(next_attempt_at__lte=now) | Q(state=InboundEvent.State.RETRY))
    return dict(rows.annotate(place=place).filter(place__lte=MOST_OF_ONE).values_list("pk", "entity_key"))


def _wait_to_settle(keys: set[str], now: datetime) -> None:
    later = now + GROUP_SETTLES
    rows = _open_of(keys).filter(state=InboundEvent.State.WAITING, next_attempt_at__gt=now, next_attempt_at__lt=later)
    rows.update(next_attempt_at=later)


def _slow_down(key: str, at: datetime) -> None:
    rows = _open_of([key]).filter(next_attempt_at__lt=at)
    rows.filter(state=InboundEvent.State.WAITING).update(last_error=InboundEvent.SLOWED)
    rows.update(next_attempt_at=at)


@dataclass
class _Chosen:
    """Of the open events of some entities: those due, and older ones that wait for another try and go with them uncounted."""

    due: set[int] = field(default_factory=set)
    riding: set[int] = field(default_factory=set)

    @property
    def all(self) -> set[int]:
        return self.due | self.riding


def _choose(found: Sequence[Any], now: datetime) -> _Chosen:
    chosen = _Chosen()
    taken: Counter[str] = Counter()
    for row in found:
        if row.next_attempt_at <= now and taken[row.entity_key] < MOST_OF_ONE:
            taken[row.entity_key] += 1
            chosen.due.add(row.pk)
    for row in found:
        is_waiting = row.next_attempt_at > now and row.state == InboundEvent.State.RETRY
        if is_waiting and taken[row.entity_key] < MOST_OF_ONE:
            taken[row.entity_key] += 1
            chosen.riding.add(row.pk)
    return chosen


def _held_elsewhere(keys: set[str], now: datetime) -> set[str]:
    """Entities with an open event that another drain has claimed."""
    claimed = _open_of(keys).filter(claimed_until__gte=now)
    return set(claimed.order_by().values_list("entity_key", flat=True).distinct())


def _handle(rows: list[InboundEvent], stop: datetime, polite: datetime) -> datetime:
    """Read and settle some entities at a time, so that what a slow WeCom answered is kept; what the slice has no time for goes back.

    polite: from when on a welcome that waits for a process ends the slice. Returns the end of the slice.
    """
    for corp in Corp.objects.filter(pk__in={row.corp_id for row in rows}):
        every = _group([row for row in rows if row.corp_id == corp.pk])
        _settle_notices(corp, [dirty for dirty in every if dirty.is_notice])
        dirties = [dirty for dirty in every if not dirty.is_notice]
        if not dirties:
            continue
        try:
            gateway = gateway_for(corp, level="commands")
        except CallError as error:
            for dirty in dirties:
                _put_back(dirty.rows, error)
            continue
        while dirties and clock.wall() < stop:
            some = dirties[:TOGETHER]
            read, unasked = _read(some, gateway, stop)
            _settle(corp, read)
            dirties = [*unasked, *dirties[TOGETHER:]]
            if jobs.is_waiting("welcome"):
                stop = min(stop, max(polite, clock.wall()))
        _give_back([row for dirty in dirties for row in dirty.rows])
    return stop


def _settle_notices(corp: Corp, dirties: list[Dirty]) -> None:
    """Nothing is read for these, so that they need neither a token nor a WeCom that answers."""
    for start in range(0, len(dirties), TOGETHER):
        _settle(corp, dirties[start : start + TOGETHER])


def _give_back(rows: Sequence[InboundEvent]) -> None:
    """Claimed together, but nothing was done for them: due at once, and no attempt counted."""
    for charged in (True, False):
        mine = [row for row in rows if row.is_charged == charged]
        if mine:
            held = InboundEvent.objects.filter(pk__in=[row.pk for row in mine], claimed_until=mine[0].claimed_until)
            held.update(claimed_until=None, attempts=F("attempts") - int(charged))


def _group(rows: Sequence[InboundEvent]) -> list[Dirty]:
    grouped: dict[str, Dirty] = {}
    for row in rows:
        entity = row.entity_key.partition(":")[2]
        grouped.setdefault(entity, Dirty(entity, [])).rows.append(row)
    return list(grouped.values())


def _read(dirties: list[Dirty], gateway: Gateway, stop: datetime) -> tuple[list[Dirty], list[Dirty]]:
    """Those that could be read, and those for which the slice had no time; the others go back with their error.

    After `stop` no reading begins: a WeCom that answers nothing costs a slice one time-out, not one after the other.
    """
    read: list[Dirty] = []
    unasked = deque(dirties)
    for dirty, outcome in run_all(lambda one: read_again(one, gateway), _until(stop, unasked), width=WIDTH):
        if isinstance(outcome, Dirty):
            read.append(outcome)
        else:
            _put_back(dirty.rows, outcome)
    return read, list(unasked)


def _until(stop: datetime, dirties: deque[Dirty]) -> Iterator[Dirty]:
    while dirties and clock.wall() < stop:
        yield dirties.popleft()


def _settle(corp: Corp, dirties: list[Dirty]) -> None:
    if not dirties:
        return
    try:
        settled = _apply(corp, dirties)
    except Exception as error:
        if len(dirties) == 1:
            logger.exception("event of %s could not be applied", dirties[0].entity)
            _put_back(dirties[0].rows, error)
            return
        for dirty in dirties:
            _settle(corp, [dirty])
        return
    pace.note_read({dirty.rows[0].entity_key: dirty.digest for dirty in settled if not dirty.is_notice})


@transaction.atomic
def _apply(corp: Corp, dirties: list[Dirty]) -> list[Dirty]:
    """Facts and settled rows in one transaction. Rows whose claim lapsed meanwhile are another drain's to settle, and left out."""
    rows = [row for dirty in dirties for row in dirty.rows]
    until = rows[0].claimed_until
    mine = InboundEvent.objects.select_for_update().filter(pk__in=[row.pk for row in rows], claimed_until=until)
    held = set(mine.order_by("id").values_list("pk", flat=True))
    ours = [dirty for dirty in dirties if all(row.pk in held for row in dirty.rows)]
    for kind, batch in to_batches(ours, corp):
        for handler in contracts.handlers_for(kind):
            handler(batch)
    for dirty in ours:
        _tell_events(corp, dirty)
    settled = [row.pk for dirty in ours for row in dirty.rows]
    InboundEvent.objects.filter(pk__in=settled).update(
        state=InboundEvent.State.DONE, settled_at=clock.wall(), claimed_until=None, last_error=""
    )
    return ours


def _tell_events(corp: Corp, dirty: Dirty) -> None:
    """The events themselves, to those who asked for their kind."""
    for row in dirty.rows:
        handlers = contracts.event_handlers_for(row.event, row.change_type)
        if handlers:
            fact = fact_of(row)
            for handler in handlers:
                handler(corp, fact)


def _tell_ends(rows: Sequence[InboundEvent]) -> None:
    """That a relation ended is proved by its event, whatever becomes of the reading: told at once, in a transaction of its own.

    The rows stay open, or parked, for the reading; hearing of the end again then, or from a replay, changes nothing.
    """
    for dirty in _group(rows):
        facts = proven_ends(dirty)
        if not facts:
            continue
        corp = dirty.rows[0].corp
        batch = contracts.PeopleBatch(corp=corp, source="callback", read_at=clock.now(), events=facts)
        try:
            with transaction.atomic():
                for handler in contracts.handlers_for("people"):
                    handler(batch)
                _tell_events(corp, Dirty(dirty.entity, [row for row in dirty.rows if row.change_type in ENDS]))
        except Exception:
            logger.exception("the end of a relation of %s could not be told", dirty.entity)


def _put_back(rows: Sequence[InboundEvent], error: Exception) -> None:
    """Try later, or park: after MAX_ATTEMPTS, or at once for a refusal that time does not cure."""
    now = clock.wall()
    call = error if isinstance(error, CallError) else None
    if call is not None:
        _tell_ends(rows)
    for row in rows:
        is_over = (row.is_charged and row.attempts >= MAX_ATTEMPTS) or (call is not None and not call.retryable)
        held = call is not None and call.held
        InboundEvent.objects.filter(pk=row.pk, claimed_until=row.claimed_until).update(
            state=InboundEvent.State.PARKED if is_over and not held else InboundEvent.State.RETRY,
            attempts=row.attempts - row.is_charged if held else row.attempts,
            next_attempt_at=max(row.next_attempt_at, next_try(row.attempts, now, call.retry_after if call else None)),
            claimed_until=None,
            last_error=in_words(error),
        )


def next_due() -> datetime | None:
    """The domain instant at which the next event can be claimed."""
    free_at = Greatest("next_attempt_at", Coalesce("claimed_until", "next_attempt_at"))
    first = InboundEvent.objects.filter(lane=LANE, state__in=OPEN).aggregate(at=Min(free_at))["at"]
    return max(first, clock.wall() + BREATH) + clock.offset() if first else None
