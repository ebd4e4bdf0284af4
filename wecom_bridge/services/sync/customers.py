"""Each guide's customers: read page by page into staging, several guides at once; then told to the handlers in big batches."""

import gc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db import transaction
from django.db.models import Q, TextField
from django.db.models.functions import Cast

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.gateway import CallError, Gateway, parse
from wecom_bridge.models import StagedRow, SyncRun, SyncUnit
from wecom_bridge.services.errors import in_words
from wecom_bridge.services.parallel import run_all
from wecom_bridge.services.sync import staging
from wecom_bridge.services.sync.pause import note_error

WIDTH = 8
FLUSH_ROWS = 1_000
APPLY_ROWS = 2_000
BAD_CURSOR = 50100

Page = tuple[list[dict[str, Any]], str]


@dataclass
class _Queue:
    """Guides to read; one who has another page comes back to the end of the line."""

    units: deque[SyncUnit]
    deadline: datetime

    def __iter__(self) -> Iterator[SyncUnit]:
        return self

    def __next__(self) -> SyncUnit:
        if not self.units or clock.wall() >= self.deadline:
            raise StopIteration
        return self.units.popleft()


@dataclass
class _Buffer:
    """Pages read but not yet written: rows, and the units as they will stand then."""

    rows: list[staging.Staged] = field(default_factory=list)
    units: dict[int, SyncUnit] = field(default_factory=dict)

    def flush(self) -> None:
        with transaction.atomic():
            if self.rows:
                staging.write(self.rows)
            SyncUnit.objects.bulk_update(self.units.values(), ["state", "cursor", "fetched", "last_error"])
        self.rows.clear()
        self.units.clear()


def open_units(run: SyncRun, kind: str) -> Any:
    """Units of a kind not settled yet."""
    return SyncUnit.objects.filter(run=run, kind=kind, state=SyncUnit.State.WAITING)


def due_units(run: SyncRun, kind: str, limit: int) -> list[SyncUnit]:
    """Units of a kind that may be read now."""
    due = Q(next_attempt_at=None) | Q(next_attempt_at__lte=clock.wall())
    return list(open_units(run, kind).filter(due).order_by("id")[:limit])


def fetch(run: SyncRun, gateway: Gateway, deadline: datetime) -> None:
    """Read until the slice is over or no guide is due. Raises Paused when WeCom wants to be left alone."""
    queue = _Queue(deque(due_units(run, "contacts", 5_000)), deadline)
    buffer = _Buffer()
    try:
        for unit, page in run_all(lambda one: gateway.get_customer_page(one.key, one.cursor), queue, width=WIDTH):
            if isinstance(page, CallError):
                _take_error(unit, page, queue, buffer)
            elif isinstance(page, Exception):
                _take_error(unit, CallError(f"broken answer: {in_words(page)}"), queue, buffer)
            else:
                _take_page(run, unit, page, queue, buffer)
            if len(buffer.rows) >= FLUSH_ROWS:
                buffer.flush()
    finally:
        buffer.flush()


def _take_page(run: SyncRun, unit: SyncUnit, page: Page, queue: _Queue, buffer: _Buffer) -> None:
    items, unit.cursor = page
    buffer.rows += [staging.staged_customer(run.pk, unit.key, item) for item in items]
    unit.fetched += len(items)
    unit.last_error = ""
    buffer.units[unit.pk] = unit
    if unit.cursor:
        queue.units.append(unit)
    else:
        unit.state = SyncUnit.State.FETCHED if unit.fetched else SyncUnit.State.EMPTY


def _take_error(unit: SyncUnit, error: CallError, queue: _Queue, buffer: _Buffer) -> None:
    """A cursor that is no longer good: this guide again from the beginning. Everything else: see pause."""
    buffer.flush()  # the unit's earlier pages first, so that what is written about it now is the last word
    if error.errcode != BAD_CURSOR:
        note_error(unit, error)
        return
    with transaction.atomic():
        StagedRow.objects.filter(run=unit.run_id, kind="contacts", unit_key=unit.key).delete()
        unit.cursor, unit.fetched = "", 0
        unit.save(update_fields=["cursor", "fetched"])
    queue.units.append(unit)


def apply(run: SyncRun, deadline: datetime) -> bool:
    """Tell the handlers what is staged, a batch per transaction; True when all of it is told."""
    while clock.wall() < deadline:
        with _no_collecting():
            some = _apply_some(run)
        if not some:
            return True
    return False


@contextmanager
def _no_collecting() -> Iterator[None]:
    """A batch makes some hundred thousand objects and drops them together: looking for cycles among them again and again
    took a fifth of its processor time. Between batches the collector runs as always."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@transaction.atomic
def _apply_some(run: SyncRun) -> bool:
    """The next rows, and how far we are, in one transaction: nobody writes staging any more, so ids are an order here."""
    fresh = SyncRun.objects.select_for_update(of=("self",)).select_related("corp").get(pk=run.pk)
    after = int(fresh.counts.get("applied_id", 0))
    staged = StagedRow.objects.filter(run=run, kind="contacts", pk__gt=after).order_by("pk")
    # As text: Django's JSON decoding of thousands of payloads costs more than reading them.
    rows = list(staged.values_list("pk", Cast("payload", TextField()))[:APPLY_ROWS])
    if not rows:
        return False
    source: c.Source = "backfill" if fresh.kind == "first" else "reconcile"
    batch = c.PeopleBatch(
        fresh.corp, source, fresh.started_at + clock.offset(), rows=_people([orjson.loads(text) for _pk, text in rows])
    )
    for handler in c.handlers_for("people"):
        handler(batch)
    fresh.counts = fresh.counts | {"applied_id": rows[-1][0], "applied": fresh.counts.get("applied", 0) + len(rows)}
    fresh.save(update_fields=["counts"])
    run.counts = fresh.counts
    return True


def _people(items: list[dict[str, Any]]) -> list[c.PersonRow]:
    """A row per customer, with the follows that these items tell of."""
    people: dict[str, tuple[c.ExternalContactInfo, list[c.FollowInfo]]] = {}
    for item in items:
        person, follow = parse.batch_entry(item)
        people.setdefault(person.external_userid, (person, []))[1].append(follow)
    return [c.PersonRow(person, tuple(follows), False) for person, follows in people.values()]
