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
    """Replace the reader's boundaries of these people (None: of everybody) by those after `now`. Two statements."""
    key = recheck_key(reader)
    old = DirtyMark.objects.filter(field_key=key, not_before__isnull=False)
    ids = None if contact_ids is None else list(contact_ids)
    if ids is not None:
        old = old.filter(contact_id__in=ids)
    old.delete()
    ahead = sweeps.rechecks(tree, now) if ids is None else _ahead(tree, ids, now)
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


def forget(reader: str) -> None:
    """Drop the reader's boundaries: it is off, archived or gone."""
    DirtyMark.objects.filter(field_key=recheck_key(reader)).delete()
