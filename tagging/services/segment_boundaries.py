"""Boundaries in time of many segments for a batch of people, in a constant number of statements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from conditions.boundaries import recheck_key
from conditions.dirty import LANE
from conditions.models import DirtyMark
from conditions.people import people
from conditions.recheck import recheck_expression
from tagging.models import Segment
from tagging.services.segment_entries import reader, table
from tenants import jobs


def schedule(segments: Sequence[Segment], root_ids: Sequence[int], now: datetime) -> None:
    """Replace the boundaries of these people by those after `now`; trees without time cost nothing."""
    due = {recheck_key(reader(one.pk)): at for one in segments if (at := recheck_expression(one.tree, now)) is not None}
    if not due:
        return
    DirtyMark.objects.filter(field_key__in=list(due), not_before__isnull=False, contact_id__in=root_ids).delete()
    selects, params = [], []
    for key, expression in due.items():
        rows = people().filter(pk__in=root_ids).annotate(_at=expression)
        sql, given = rows.values_list("pk", "_at").query.sql_with_params()
        selects.append(
            f"SELECT %s::text AS field_key, due.id, due.at FROM ({sql}) AS due (id, at) WHERE due.at IS NOT NULL"
        )
        params += [key, *given]
    _insert(" UNION ALL ".join(selects), params, now)


def _insert(due: str, params: Sequence[Any], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH made AS (INSERT INTO {table(DirtyMark)} (contact_id, field_key, marked_at, not_before, is_backfill)"
            f" SELECT due.id, due.field_key, %s, due.at, false FROM ({due}) AS due RETURNING not_before)"
            " SELECT min(not_before) FROM made",
            [now, *params],
        )
        (earliest,) = cursor.fetchone()
    if earliest is not None:
        jobs.nudge(LANE, due_at=earliest)
