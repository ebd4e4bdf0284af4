"""Marks: a person's field changed, or a boundary in time will come. The loop is conditions.drain.

Some marks tell no change but whose doing the others of the same person are (CAUSE). What the loop's consumers mark of a person comes
of what was marked of her, so within the loop her causes are written beside it: now, or, for what is put off, for then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import connection

from conditions.models import DirtyMark
from scrm.lib import clock
from tenants import jobs

LANE = "conditions"
EVERYTHING = "*"  # a person appeared, or two became one: whatever a consumer reads may have changed
CAUSE = "cause:"  # how the key of a mark begins that says whose doing the others are
Causes = Mapping[int, frozenset[str]]
_is_backfill: ContextVar[bool] = ContextVar("marks_are_backfill", default=False)
_causes: ContextVar[Causes] = ContextVar("causes_of_the_batch", default=MappingProxyType({}))


@contextmanager
def coming_of(causes: Causes) -> Iterator[None]:
    """What is marked of these contacts within comes of what these keys name."""
    token = _causes.set(causes)
    try:
        yield
    finally:
        _causes.reset(token)


def causes_of(contact_id: int) -> frozenset[str]:
    """The keys of the causes of what is written of a contact now: within the loop those of her marks at hand."""
    return _causes.get().get(contact_id, frozenset())


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


def mark(
    contact_ids: Iterable[int], *field_keys: str, not_before: datetime | None = None, backfill: bool | None = None
) -> None:
    """Write a mark per person and key, in the caller's transaction, and nudge the loop after commit.

    Branch ids are fine: the loop resolves roots. not_before: a domain instant before which nobody looks.
    backfill: only the first sync told us; by default as told_by() says.
    """
    ids, keys = list(dict.fromkeys(contact_ids)), list(dict.fromkeys(field_keys))
    if not ids or not keys:
        return
    absorbed = _is_backfill.get() if backfill is None else backfill
    _insert(ids, keys, not_before, is_backfill=absorbed)
    if not absorbed:  # nobody acts on the others, whoever caused them
        _mark_causes(ids, not_before, but=keys)
    jobs.nudge(LANE, due_at=not_before)


def mark_selected(pairs: str, params: Sequence[Any]) -> None:
    """As mark, for each row (contact_id, field_key) of a SELECT: for what a statement knows of many people."""
    table = connection.ops.quote_name(DirtyMark._meta.db_table)
    asks = bool(_causes.get()) and not _is_backfill.get()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, field_key, marked_at, is_backfill)"
            f" SELECT contact_id, field_key, %s, %s FROM ({pairs}) AS told (contact_id, field_key)"
            + (" RETURNING contact_id" if asks else ""),
            [clock.now(), _is_backfill.get(), *params],
        )
        found = cursor.rowcount
        told = {pk for (pk,) in cursor.fetchall()} if asks else set()
    _mark_causes(told, None)
    if found:
        jobs.nudge(LANE)


def _mark_causes(contact_ids: Iterable[int], not_before: datetime | None, but: Sequence[str] = ()) -> None:
    together: dict[frozenset[str], list[int]] = {}
    for pk in contact_ids if _causes.get() else ():
        together.setdefault(causes_of(pk) - set(but), []).append(pk)
    for keys, ids in together.items():
        if keys:
            _insert(ids, sorted(keys), not_before, is_backfill=False)


def _insert(ids: list[int], keys: list[str], not_before: datetime | None, *, is_backfill: bool) -> None:
    table = connection.ops.quote_name(DirtyMark._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, field_key, marked_at, not_before, is_backfill)"
            " SELECT contact_id, field_key, %s, %s, %s"
            " FROM unnest(%s::bigint[]) AS people (contact_id) CROSS JOIN unnest(%s::text[]) AS keys (field_key)",
            [clock.now(), not_before, is_backfill, ids, keys],
        )
