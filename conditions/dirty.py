"""Marks: a person's field changed, or a boundary in time will come. The loop is conditions.drain."""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from conditions.models import DirtyMark
from scrm.lib import clock
from tenants import jobs

LANE = "conditions"


def mark(
    contact_ids: Iterable[int], *field_keys: str, not_before: datetime | None = None, backfill: bool = False
) -> None:
    """Write a mark per person and key, in the caller's transaction, and nudge the loop after commit.

    Branch ids are fine: the loop resolves roots. not_before: a domain instant before which nobody looks.
    backfill: only the first sync told us; rules note it and act on nobody.
    """
    ids = list(dict.fromkeys(contact_ids))
    if not ids or not field_keys:
        return
    table = connection.ops.quote_name(DirtyMark._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, field_key, marked_at, not_before, is_backfill)"  # noqa: S608 - our own name
            " SELECT contact_id, field_key, %s, %s, %s"
            " FROM unnest(%s::bigint[]) AS people (contact_id) CROSS JOIN unnest(%s::text[]) AS keys (field_key)",
            [clock.now(), not_before, backfill, ids, list(dict.fromkeys(field_keys))],
        )
    jobs.nudge(LANE, due_at=not_before)
