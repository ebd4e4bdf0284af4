"""Boundaries in time, kept as marks: for each reader of a time-relative tree, when to look at whom again.

A reader (`segment:12`, `rule:3`) has at most one boundary per person. Its marks carry the key `recheck:<reader>`, which it
lists among what it reads, so a boundary wakes nobody else.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Min

from conditions import sweeps
from conditions.dirty import LANE
from conditions.models import DirtyMark
from conditions.people import people
from conditions.recheck import recheck_expression
from tenants import jobs


def recheck_key(reader: str) -> str:
    """The mark key of a reader's boundaries."""
    return f"recheck:{reader}"


def schedule(reader: str, tree: dict[str, Any], contact_ids: Iterable[int] | None, now: datetime) -> None:
    """Replace the reader's boundaries of these people (None: of everybody) by those after `now`. A few statements, however many."""
    if contact_ids is None:
        _schedule_everybody(reader, tree, now)
        return
    key, ids = recheck_key(reader), list(contact_ids)
    DirtyMark.objects.filter(field_key=key, not_before__isnull=False, contact_id__in=ids).delete()
    ahead = _ahead(tree, ids, now)
    if ahead is None:
        return
    sql, params = ahead
    table = connection.ops.quote_name(DirtyMark._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, field_key, marked_at, not_before, is_backfill)"
            f" SELECT due.id, %s, %s, due.at, false FROM ({sql}) AS due (id, at) WHERE due.at IS NOT NULL",
            [key, now, *params],
        )
    earliest = DirtyMark.objects.filter(field_key=key, not_before__isnull=False).aggregate(at=Min("not_before"))["at"]
    if earliest is not None:
        jobs.nudge(LANE, due_at=earliest)


def _ahead(tree: dict[str, Any], ids: list[int], now: datetime) -> tuple[str, Any] | None:
    expression = recheck_expression(tree, now)
    if expression is None:
        return None
    rows = people().filter(pk__in=ids).annotate(_at=expression)
    sql, params = rows.values_list("pk", "_at").query.sql_with_params()
    return sql, params


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
