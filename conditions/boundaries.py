"""Boundaries in time, kept as marks: for each reader of a time-relative tree, when to look at whom again.

A reader (`segment:12`, `rule:3`) has at most one boundary per person. Its marks carry the key `recheck:<reader>`, which it
lists among what it reads, so a boundary wakes nobody else.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from conditions import sweeps
from conditions.dirty import LANE
from conditions.matching import rechecks_of
from conditions.models import DirtyMark
from scrm.lib.db.bulk import insert_rows
from tenants import jobs


def recheck_key(reader: str) -> str:
    """The mark key of a reader's boundaries."""
    return f"recheck:{reader}"


def schedule(reader: str, tree: dict[str, Any], contact_ids: Iterable[int] | None, now: datetime) -> None:
    """Replace the reader's boundaries of these people (None: of everybody) by those after `now`. A few statements, however many."""
    if contact_ids is None:
        _schedule_everybody(reader, tree, now)
    else:
        schedule_many({reader: tree}, contact_ids, now)


def schedule_many(trees: Mapping[str, dict[str, Any]], contact_ids: Iterable[int], now: datetime) -> None:
    """The same for several readers (reader → its tree), in a number of statements that does not grow with theirs."""
    keys, ids = {reader: recheck_key(reader) for reader in trees}, set(contact_ids)
    if not keys or not ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {DirtyMark._meta.db_table}"
            " WHERE field_key = ANY(%s) AND contact_id = ANY(%s) AND not_before IS NOT NULL",
            [list(keys.values()), list(ids)],
        )
    found = rechecks_of(trees, ids, now)
    due = [(who, keys[reader], at) for reader, ahead in found.items() for who, at in ahead.items()]
    if due:
        rows = [{"contact_id": who, "field_key": key, "marked_at": now, "not_before": at} for who, key, at in due]
        insert_rows(DirtyMark, [{**row, "is_backfill": False} for row in rows])
        jobs.nudge(LANE, due_at=min(at for _who, _key, at in due))  # of others it was told when they were written


def _schedule_everybody(reader: str, tree: dict[str, Any], now: datetime) -> None:
    """The same for everybody at once: rows are read once, and marks that stand as they should are left alone. One statement. What is
    due waits to be worked off, and stays."""
    key, found = recheck_key(reader), sweeps.rechecks(tree, now)
    if found is None:
        DirtyMark.objects.filter(field_key=key, not_before__gt=now).delete()
        return
    due, params = found
    with connection.cursor() as cursor:
        cursor.execute(_REPLACE.format(marks=DirtyMark._meta.db_table, due=due), [*params, key, now, key, now, key])
        (earliest,) = cursor.fetchone()
    if earliest is not None:
        jobs.nudge(LANE, due_at=earliest)


_REPLACE = """
WITH due AS MATERIALIZED (SELECT id, at FROM ({due}) AS ahead (id, at) WHERE at IS NOT NULL), gone AS (
    DELETE FROM {marks} AS m WHERE m.field_key = %s AND m.not_before > %s
        AND NOT EXISTS (SELECT 1 FROM due WHERE due.id = m.contact_id AND due.at = m.not_before)
), made AS (
    INSERT INTO {marks} (contact_id, field_key, marked_at, not_before, is_backfill)
    SELECT due.id, %s, %s, due.at, false FROM due WHERE NOT EXISTS (
        SELECT 1 FROM {marks} AS m WHERE m.field_key = %s AND m.not_before IS NOT NULL AND m.contact_id = due.id AND m.not_before = due.at)
)
SELECT min(at) FROM due
"""


def forget(reader: str) -> None:
    """Drop the reader's boundaries: it is off, archived or gone."""
    DirtyMark.objects.filter(field_key=recheck_key(reader)).delete()
