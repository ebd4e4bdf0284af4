"""Data moves of a release, per tenant: small steps with a cursor in a ledger, never in a migration.

    backfills.register(Backfill("contacts.pinyin", step=fill_pinyin))

`step(cursor, limit)` handles at most `limit` rows after the cursor and returns the next cursor, or None when done, and the
number of rows. It is called inside a transaction together with the ledger row, so a killed worker repeats nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from scrm.lib import clock
from tenants.ledger.models import Backfill as Ledger

BATCH = 1000
Cursor = dict[str, Any]


@dataclass(frozen=True)
class Backfill:
    """name: `<app>.<what>`, kept for ever in each tenant's ledger; never reuse one."""

    name: str
    step: Callable[[Cursor, int], tuple[Cursor | None, int]]


_backfills: dict[str, Backfill] = {}


def register(backfill: Backfill) -> None:
    """Add a backfill. Raises ValueError when the name is taken by another."""
    if _backfills.get(backfill.name, backfill) != backfill:
        raise ValueError(f"backfill {backfill.name} is registered twice")
    _backfills[backfill.name] = backfill


def mark_all_done() -> None:
    """A tenant born at this release has nothing to move."""
    now = clock.wall()
    Ledger.objects.bulk_create(
        [Ledger(name=name, state="done", updated_at=now) for name in _backfills], ignore_conflicts=True
    )


def pending() -> list[str]:
    """Names not yet done in the tenant in scope, in order of registration."""
    done = set(Ledger.objects.filter(state="done").values_list("name", flat=True))
    return [name for name in _backfills if name not in done]


def is_done(name: str) -> bool:
    """Whether the tenant in scope has nothing left to move for it. One query."""
    return Ledger.objects.filter(name=name, state="done").exists()


def drain(deadline: datetime) -> bool:
    """The lane: step through what is pending. True when the time ran out first.

    A step that raises marks its ledger row failed with the error; the next drain tries it again, the others go on.
    """
    for name in pending():
        try:
            while not _step(_backfills[name]):
                if clock.wall() >= deadline:
                    return True
        except Exception as error:
            _fail(name, error)
    return False


@transaction.atomic
def _step(backfill: Backfill) -> bool:
    """True when the backfill is over."""
    now = clock.wall()
    row, _made = Ledger.objects.select_for_update().get_or_create(name=backfill.name, defaults={"updated_at": now})
    if row.state == "done":
        return True
    cursor, rows = backfill.step(row.cursor, BATCH)
    row.state = "done" if cursor is None else "running"
    row.cursor, row.rows_done, row.updated_at, row.last_error = cursor or {}, row.rows_done + rows, now, ""
    row.save(update_fields=["state", "cursor", "rows_done", "updated_at", "last_error"])
    return cursor is None


def _fail(name: str, error: Exception) -> None:
    Ledger.objects.update_or_create(
        name=name,
        defaults={
            "state": "failed",
            "last_error": f"{type(error).__name__}: {error}"[:2000],
            "updated_at": clock.wall(),
        },
    )
