"""Counting in the process, and adding what was counted to the tenant's rows.

A worker flushes when its slice ends, the web process beside its nudges. A killed process loses the figures of one slice:
figures are not facts.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db import Error, connection, transaction
from psycopg2.extras import execute_values

from scrm.lib import clock
from tenants.context import current_tenant
from wecom_bridge.figures.buckets import SIZE, bucket_of

logger = logging.getLogger(__name__)

Key = tuple[str, str, str]  # name, label, code

_ADD = """
INSERT INTO {table} ({columns}) VALUES %s
ON CONFLICT ({key}) DO UPDATE SET
  count = {table}.count + excluded.count,
  total_ms = {table}.total_ms + excluded.total_ms,
  buckets = (SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY n)
             FROM unnest({table}.buckets, excluded.buckets) WITH ORDINALITY AS u(a, b, n))
"""
_COLUMNS = "name, label, code, count, total_ms, buckets"


class _Tally:
    """One figure, not yet written."""

    __slots__ = ("buckets", "count", "total_ms")

    def __init__(self) -> None:
        self.count, self.total_ms, self.buckets = 0, 0.0, [0] * SIZE

    def note(self, milliseconds: float) -> None:
        self.count += 1
        self.total_ms += milliseconds
        self.buckets[bucket_of(milliseconds)] += 1


_lock = threading.Lock()
_tallies: dict[int, dict[Key, _Tally]] = defaultdict(dict)


def observe(name: str, label: str, code: object, seconds: float, *, tenant_id: int | None = None) -> None:
    """Count one happening and how long it took, for the current tenant or the one named. Cheap; writes nothing."""
    owner = current_tenant().pk if tenant_id is None else tenant_id
    key = (name, label[:64], str(code)[:16])
    with _lock:
        tally = _tallies[owner].get(key)
        if tally is None:
            tally = _tallies[owner][key] = _Tally()
        tally.note(max(seconds, 0.0) * 1000)


def waiting() -> list[int]:
    """Tenants with something counted and not written."""
    with _lock:
        return [tenant_id for tenant_id, tallies in _tallies.items() if tallies]


def flush() -> None:
    """Add what was counted for the current tenant to her rows. Never raises: what cannot be written is lost, and logged."""
    tenant_id = current_tenant().pk
    with _lock:
        taken = _tallies.pop(tenant_id, {})
    if not taken:
        return
    try:
        with transaction.atomic():
            _write(taken, clock.wall().replace(second=0, microsecond=0))
    except Error as error:
        logger.warning("figures of tenant %s not written: %s", tenant_id, type(error).__name__)


def forget(tenant_id: int) -> None:
    """Drop what was counted for a tenant and not written: she is gone, or her tables are."""
    with _lock:
        _tallies.pop(tenant_id, None)


def _write(taken: dict[Key, _Tally], minute: datetime) -> None:
    # In one order everywhere, so that two processes never wait for each other.
    rows = [(*key, tally.count, round(tally.total_ms), tally.buckets) for key, tally in sorted(taken.items())]
    _add("servicetotal", _COLUMNS, "name, label, code", rows)
    _add("serviceminute", f"minute, {_COLUMNS}", "minute, name, label, code", [(minute, *row) for row in rows])


def _add(table: str, columns: str, key: str, rows: Iterable[tuple[object, ...]]) -> None:
    sql = _ADD.format(table=f"wecom_bridge_{table}", columns=columns, key=key)
    with connection.cursor() as cursor:
        execute_values(cursor.cursor, sql, rows)
