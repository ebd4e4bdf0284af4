"""Marks: a person's field changed, or a boundary in time will come. The loop is conditions.drain."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from django.db import connection

from conditions.models import DirtyMark
from scrm.lib import clock
from tenants import jobs

LANE = "conditions"
_is_backfill: ContextVar[bool] = ContextVar("marks_are_backfill", default=False)


@contextmanager
def told_by(source: str) -> Iterator[None]:
    """Marks written within are of a fact source: those of `backfill` (the first sync) are noted by rules, never acted upon.

    For handlers of batches: `with dirty.told_by(batch.source): …`.
    """
    token = _is_backfill.set(source == "backfill")
    try:
        yield
    finally:
        _is_backfill.reset(token)


def is_backfill() -> bool:
    """Whether what is written here only the first sync tells (`told_by`)."""
    return _is_backfill.get()


EVERYTHING = "*"  # a person appeared, or two became one: whatever a consumer reads may have changed


def mark(
    contact_ids: Iterable[int], *field_keys: str, not_before: datetime | None = None, backfill: bool | None = None
) -> None:
    """Write a mark per person and key, in the caller's transaction, and nudge the loop after commit.

    Branch ids are fine: the loop resolves roots. not_before: a domain instant before which nobody looks.
    backfill: only the first sync told us; by default as told_by() says.
    """
    ids = list(dict.fromkeys(contact_ids))
    if not ids or not field_keys:
        return
    table = connection.ops.quote_name(DirtyMark._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, field_key, marked_at, not_before, is_backfill)"
            " SELECT contact_id, field_key, %s, %s, %s"
            " FROM unnest(%s::bigint[]) AS people (contact_id) CROSS JOIN unnest(%s::text[]) AS keys (field_key)",
            [
                clock.now(),
                not_before,
                _is_backfill.get() if backfill is None else backfill,
                ids,
                list(dict.fromkeys(field_keys)),
            ],
        )
    jobs.nudge(LANE, due_at=not_before)


def mark_selected(pairs: str, params: Sequence[Any]) -> None:
    """As mark, for each row (contact_id, field_key) of a SELECT: for what a statement knows of many people."""
    table = connection.ops.quote_name(DirtyMark._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, field_key, marked_at, is_backfill)"
            f" SELECT contact_id, field_key, %s, %s FROM ({pairs}) AS told (contact_id, field_key)",
            [clock.now(), _is_backfill.get(), *params],
        )
        found = cursor.rowcount
    if found:
        jobs.nudge(LANE)
