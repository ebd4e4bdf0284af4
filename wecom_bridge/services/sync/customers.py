"""Each guide's customers: read page by page into staging, several guides at once."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from scrm.lib import clock
from scrm.lib.db.bulk import update_rows
from wecom_bridge.gateway import CallError, Gateway
from wecom_bridge.models import StagedRow, SyncRun, SyncUnit
from wecom_bridge.services.errors import in_words
from wecom_bridge.services.parallel import run_all
from wecom_bridge.services.sync import staging
from wecom_bridge.services.sync.pause import note_error

WIDTH = 8
FLUSH_ROWS = 1_000
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
            update_rows(SyncUnit, [_unit_row(unit) for unit in self.units.values()])
        self.rows.clear()
        self.units.clear()


def _unit_row(unit: SyncUnit) -> dict[str, Any]:
    return {name: getattr(unit, name) for name in ("id", "state", "cursor", "fetched", "last_error")}


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
