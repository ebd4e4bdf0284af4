"""Draining one lane of one tenant: lease, work for a slice, forget the hints that were there before it began."""

import os
import socket
import uuid
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet

from scrm.lib import clock
from tenants import jobs, leases
from tenants.context import TenantUnavailable, public_scope, tenant_scope
from tenants.lanes import SLICE_SECONDS, Lane
from tenants.models import DueHint

_PROCESS = f"{socket.gethostname()[:32]}:{os.getpid()}"


def drain_now(tenant_id: int, lane: Lane) -> bool:
    """Drain one slice of a lane in this process. False when another worker holds the lease.

    A hint that arrives while the drain is at work stays: it is looked for after the lease is given back, so either this
    call asks for another drain, or the hint's own message finds the lease free. A message that finds the lease held costs one
    question, and for some moments no further ones are sent: nudges by the hundred are answered by the holder's last look.
    When the drain raises, all hints stay and the lane rests for a moment.
    """
    holder = f"{_PROCESS}:{uuid.uuid4().hex[:8]}"
    with public_scope():
        if lane.exclusive and not leases.take(tenant_id, lane, holder):
            jobs.wait_for_holder(tenant_id, lane.name)
            return False
        jobs.end_wake(tenant_id, lane.name)
        seen = list(_due_hints(tenant_id, lane).values_list("pk", flat=True))
        try:
            more = _work(tenant_id, lane, seen)
        except BaseException:
            leases.rest(tenant_id, lane, holder)
            raise
        if more:  # before the others go, so that the lane never looks quiet in between
            DueHint.objects.create(tenant_id=tenant_id, lane=lane.name, due_at=clock.wall())
        DueHint.objects.filter(pk__in=seen)._raw_delete(DEFAULT_DB_ALIAS)  # in one statement: nothing hangs on a hint
        if lane.exclusive:
            leases.release(tenant_id, lane, holder)
            jobs.end_wake(tenant_id, lane.name)  # of a message that found the lease held
        if _due_hints(tenant_id, lane).exists():
            jobs.send_drain(tenant_id, lane)
    return True


def _due_hints(tenant_id: int, lane: Lane) -> QuerySet[DueHint]:
    return DueHint.objects.filter(tenant_id=tenant_id, lane=lane.name, due_at__lte=clock.wall())


def _work(tenant_id: int, lane: Lane, seen: list[int]) -> bool:
    """One slice inside the tenant; plans the next drain when the lane knows when that is."""
    try:
        with tenant_scope(tenant_id), jobs.own_nudges(tenant_id, lane, seen):
            more = lane.drain(clock.wall() + timedelta(seconds=SLICE_SECONDS))
            later = lane.next_due() if lane.next_due and not more else None
            if later is not None:
                _plan(tenant_id, lane, clock.to_wall(later), seen)
            return more
    except TenantUnavailable:
        return False  # suspended or gone; resuming hints every lane


def _plan(tenant_id: int, lane: Lane, due_at: datetime, seen: list[int]) -> None:
    """A hint for later, unless an earlier one will bring a drain that plans again."""
    waiting = DueHint.objects.filter(tenant_id=tenant_id, lane=lane.name, due_at__lte=due_at).exclude(pk__in=seen)
    if not lane.exclusive or not waiting.exists():
        DueHint.objects.create(tenant_id=tenant_id, lane=lane.name, due_at=max(due_at, clock.wall()))
