"""The row of a callback, and its way into the tenant's schema: committed before anybody is told.

Callbacks that arrive together share a statement and a commit: the thread that finds nobody writing writes for all that
wait, and hands over to one of those who came meanwhile. One that cannot be written fails alone.
"""

import hashlib
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, connection
from psycopg2.extras import execute_values

from scrm.lib import clock
from tenants.models import Tenant
from wecom_bridge.callbacks.parsing import Event
from wecom_bridge.models import InboundEvent

# A group's details follow its event by about two seconds (reference 11.5): read earlier, they would be yesterday's.
GROUP_SETTLES = timedelta(seconds=2.5)
MAX_TOGETHER = 200

_INSERT = """
INSERT INTO {schema}.wecom_bridge_inboundevent
  (corp_id, digest, lane, event, change_type, entity_key, body, occurred_at, received_at, state, attempts,
   next_attempt_at, settled_at, last_error)
VALUES %s ON CONFLICT DO NOTHING
"""

Row = tuple[object, ...]


class NotStored(Exception):
    """No row was committed: the callback must not be acknowledged. The cause says why."""


def build(corp_pk: int, event: Event, plain: bytes) -> tuple[Row, datetime]:
    """(the row, when it will be due). received_at and next_attempt_at are wall time."""
    now = clock.wall()
    due = now + GROUP_SETTLES if event.entity.startswith("g:") else now
    state = InboundEvent.State.WAITING if event.lane else InboundEvent.State.IGNORED
    row = (
        corp_pk,
        hashlib.sha256(plain).hexdigest(),
        event.lane,
        event.event,
        event.change_type,
        f"{corp_pk}:{event.entity}" if event.entity else "",
        plain.decode("utf-8", "replace").replace("\x00", ""),
        event.occurred_at,
        now,
        state.value,
        0,
        due,
        None if event.lane else now,
        "",
    )
    return row, due


@dataclass
class _Waiter:
    row: Row
    woken: threading.Event = field(default_factory=threading.Event)
    is_leader: bool = False
    is_stored: bool = False  # only a commit says so; whatever ends the writer otherwise leaves it as it is
    error: Exception | None = None


class _Group:
    """The rows of one tenant that wait for a writer."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: list[_Waiter] = []
        self.has_leader = False

    def join(self, row: Row) -> _Waiter:
        waiter = _Waiter(row)
        with self.lock:
            self.waiting.append(waiter)
            if not self.has_leader:
                self.has_leader = waiter.is_leader = True
        return waiter

    def take(self) -> list[_Waiter]:
        with self.lock:
            taken, self.waiting = self.waiting[:MAX_TOGETHER], self.waiting[MAX_TOGETHER:]
        return taken

    def hand_over(self) -> None:
        with self.lock:
            if self.waiting:
                self.waiting[0].is_leader = True
                self.waiting[0].woken.set()
            else:
                self.has_leader = False


_groups: dict[str, _Group] = {}
_groups_lock = threading.Lock()


def store(tenant: Tenant, row: Row) -> None:
    """Write the row, or find it already there. Returns after the commit; raises NotStored when there was none."""
    with _groups_lock:
        group = _groups.setdefault(tenant.schema_name, _Group())
    waiter = group.join(row)
    if not waiter.is_leader:
        waiter.woken.wait()
    if waiter.is_leader:
        _lead(tenant, group)
    if not waiter.is_stored:
        raise NotStored from waiter.error


def _lead(tenant: Tenant, group: _Group) -> None:
    taken = group.take()
    try:
        _write_all(tenant, taken)
    finally:
        group.hand_over()
        for waiter in taken:
            waiter.woken.set()


def _write_all(tenant: Tenant, waiters: list[_Waiter]) -> None:
    try:
        insert(tenant, [waiter.row for waiter in waiters])
    except Exception as error:
        if len(waiters) == 1:
            waiters[0].error = error
            return
        for waiter in waiters:
            _write_all(tenant, [waiter])
    else:
        for waiter in waiters:
            waiter.is_stored = True


def insert(tenant: Tenant, rows: list[Row]) -> None:
    """One statement, committed by itself. A connection that died in idleness is replaced once.

    The table is named with its schema, and the cursor is the driver's: the usual way would first ask whether the connection
    lives and then set the search path, three round trips where this is one.
    """
    statement = _INSERT.format(schema=connection.ops.quote_name(tenant.schema_name))
    try:
        _execute(statement, rows)
    except (InterfaceError, OperationalError):
        if connection.in_atomic_block:
            raise
        connection.close()
        _execute(statement, rows)


def _execute(statement: str, rows: list[Row]) -> None:
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.cursor() as cursor:
        execute_values(cursor, statement, rows, page_size=MAX_TOGETHER)
