"""One loop that keeps every lane moving: due hints each second, and a rolling sweep for whatever lost its hint.

Two schedulers at once do no harm: they send the same messages, and leases decide who drains.
"""

import logging
import math
import threading
from datetime import timedelta

from django.db import Error, close_old_connections, connection
from django.db.models import Exists, Min, OuterRef

from scrm.lib import clock
from scrm.lib.queue import send
from tenants import jobs, lanes
from tenants.context import public_scope
from tenants.models import DueHint, LaneLease, Tenant, TenantState

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
SWEEP_EVERY = timedelta(minutes=10)
OPENING_SHOULD_TAKE = timedelta(minutes=2)
_DUE_BATCH = 1000
_PAIRS_EVERY_TICKS = 60


class Scheduler:
    """Runs until stop() is called from a signal handler or another thread."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._ticks = 0

    def stop(self) -> None:
        """End after the step at hand."""
        self._stopping.set()

    def run(self) -> None:
        """Tick until stopped. A database that is away is logged and waited for."""
        while not self._stopping.is_set():
            try:
                self.tick()
            except Error:  # InterfaceError, of a connection that broke, is no DatabaseError
                logger.exception("the scheduler cannot reach the database; trying again")
            finally:
                close_old_connections()
            self._stopping.wait(TICK_SECONDS)

    def tick(self) -> None:
        """One step: send what is due, visit a bounded number of stale lanes."""
        with public_scope():
            send_due()
            if self._ticks % _PAIRS_EVERY_TICKS == 0:
                add_missing_pairs()
                resume_openings()
            sweep_step()
        self._ticks += 1


def send_due() -> int:
    """Ask for a drain of each tenant × lane with a hint due now and no running lease. Returns how many."""
    now = clock.wall()
    leased = LaneLease.objects.filter(tenant_id=OuterRef("tenant_id"), lane=OuterRef("lane"), leased_until__gt=now)
    due = (
        DueHint.objects.filter(due_at__lte=now, lane__in=[lane.name for lane in lanes.all_lanes()])
        .filter(~Exists(leased))
        .values_list("tenant_id", "lane")
        .annotate(first=Min("due_at"))
        .order_by("first")[:_DUE_BATCH]
    )
    pairs = [(tenant_id, lane) for tenant_id, lane, _first in due]
    for tenant_id, lane in pairs:
        jobs.send_drain(tenant_id, lanes.get(lane))
    return len(pairs)


def sweep_step() -> int:
    """Visit the stalest lanes not visited for SWEEP_EVERY, as many as keep the round on time. Returns how many."""
    now = clock.wall()
    swept = _swept_lanes()
    active = Tenant.objects.filter(pk=OuterRef("tenant_id"), state=TenantState.ACTIVE)
    stale = LaneLease.objects.filter(Exists(active), lane__in=swept, visited_at__lte=now - SWEEP_EVERY)
    rows = list(stale.order_by("visited_at")[: _step_size(len(swept))])
    LaneLease.objects.filter(pk__in=[row.pk for row in rows]).update(visited_at=now)
    for row in rows:
        jobs.send_drain(row.tenant_id, lanes.get(row.lane))
    return len(rows)


def add_missing_pairs() -> int:
    """Rows for tenants and lanes the sweep does not know yet, due at once. Returns how many were added."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO tenants_lanelease (tenant_id, lane, holder, visited_at)
            SELECT tenant.id, swept.lane, '', %s
            FROM tenants_tenant tenant CROSS JOIN unnest(%s::text[]) AS swept(lane)
            WHERE tenant.state = %s AND NOT EXISTS (
                SELECT 1 FROM tenants_lanelease known WHERE known.tenant_id = tenant.id AND known.lane = swept.lane
            )
            ON CONFLICT DO NOTHING
            """,
            [clock.wall() - SWEEP_EVERY, _swept_lanes(), TenantState.ACTIVE.value],
        )
        return int(cursor.rowcount)


def resume_openings() -> int:
    """Ask again for merchants whose opening was lost with its worker; one that failed waits for an operator."""
    lost = Tenant.objects.filter(
        state=TenantState.PROVISIONING, last_error="", created_at__lte=clock.wall() - OPENING_SHOULD_TAKE
    )
    ids = list(lost.values_list("pk", flat=True)[:20])
    for tenant_id in ids:
        send("tenants.provision", queue="bulk", kwargs={"tenant_id": tenant_id})
    return len(ids)


def _swept_lanes() -> list[str]:
    return [lane.name for lane in lanes.all_lanes() if lane.sweep]


def _step_size(lane_count: int) -> int:
    """Twice what a round of SWEEP_EVERY needs per tick, at least 20."""
    pairs = Tenant.objects.filter(state=TenantState.ACTIVE).count() * lane_count
    return max(20, math.ceil(2 * pairs * TICK_SECONDS / SWEEP_EVERY.total_seconds()))
