"""Boundaries in time as a full build finds them."""

from datetime import datetime
from typing import Any

from django.db import connection

from conditions import sweeps


def swept_rechecks(tree: dict[str, Any], now: datetime) -> dict[int, datetime]:
    """Person → her boundary, for everybody who has one."""
    found = sweeps.rechecks(tree, now)
    if found is None:
        return {}
    with sweeps.room(), connection.cursor() as cursor:
        cursor.execute(*found)
        return dict(cursor.fetchall())
