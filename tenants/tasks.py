"""Task bases that cannot forget their scope, and the one task that drains any lane."""

import os
import socket
import uuid
from datetime import timedelta
from typing import Any

from celery import Task, shared_task
from django.db import transaction

from scrm.lib import clock
from tenants import jobs, lanes
from tenants.context import TenantUnavailable, public_scope, tenant_scope
from tenants.models import DueHint, LaneLease

_HOLDER = f"{socket.gethostname()}:{os.getpid()}"


class TenantTask(Task):
    """A task that cannot start without naming its tenant: leaving tenant_id out is a TypeError."""

    typing = False  # the signature check would reject tenant_id, which run() never sees

    def __call__(self, *args: Any, tenant_id: int, **kwargs: Any) -> Any:
        with tenant_scope(tenant_id):
            return super().__call__(*args, **kwargs)


class PublicTask(Task):
    """A task about the shared tables alone."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with public_scope():
            return super().__call__(*args, **kwargs)


@shared_task(base=PublicTask, name="tenants.drain_lane")
def drain_lane(tenant_id: int, lane: str) -> None:
    """Lease tenant × lane, drain one slice, forget the hints that were there before it began."""
    drain_now(tenant_id, lanes.get(lane))


def drain_now(tenant_id: int, lane: lanes.Lane) -> bool:
    """Drain one slice of a lane in this process. False when another worker holds the lease or the tenant is away."""
    holder = f"{_HOLDER}:{uuid.uuid4().hex[:8]}"
    with public_scope():
        if not _take_lease(tenant_id, lane, holder):
            return False
        seen = list(
            DueHint.objects.filter(tenant_id=tenant_id, lane=lane.name, due_at__lte=clock.wall()).values_list("pk", flat=True)
        )
    more = False
    try:
        with tenant_scope(tenant_id):
            more = lane.drain(clock.wall() + timedelta(seconds=lanes.SLICE_SECONDS))
            later = lane.next_due() if lane.next_due else None
            if later is not None and not more:
                jobs.nudge(lane.name, due_at=later)
    except TenantUnavailable:
        pass
    except Exception:
        _release(tenant_id, lane, holder)
        raise
    with public_scope():
        DueHint.objects.filter(pk__in=seen).delete()
        _release(tenant_id, lane, holder)
        if more or DueHint.objects.filter(tenant_id=tenant_id, lane=lane.name, due_at__lte=clock.wall()).exists():
            jobs.send_drain(tenant_id, lane)
            if more:
                DueHint.objects.create(tenant_id=tenant_id, lane=lane.name, due_at=clock.wall())
    return True


def _take_lease(tenant_id: int, lane: lanes.Lane, holder: str) -> bool:
    if not lane.exclusive:
        return True
    now = clock.wall()
    until = now + timedelta(seconds=lane.lease_seconds)
    with transaction.atomic():
        row = (
            LaneLease.objects.select_for_update(skip_locked=True).filter(tenant_id=tenant_id, lane=lane.name).first()
        )
        if row is None:
            fresh = LaneLease(tenant_id=tenant_id, lane=lane.name, holder=holder, leased_until=until, visited_at=now)
            return bool(LaneLease.objects.bulk_create([fresh], ignore_conflicts=True)) and _is_held_by(
                tenant_id, lane, holder
            )
        if row.leased_until and row.leased_until > now:
            return False
        row.holder, row.leased_until, row.visited_at = holder, until, now
        row.save(update_fields=["holder", "leased_until", "visited_at"])
        return True


def _is_held_by(tenant_id: int, lane: lanes.Lane, holder: str) -> bool:
    return LaneLease.objects.filter(tenant_id=tenant_id, lane=lane.name, holder=holder).exists()


def _release(tenant_id: int, lane: lanes.Lane, holder: str) -> None:
    if not lane.exclusive:
        return
    with public_scope():
        LaneLease.objects.filter(tenant_id=tenant_id, lane=lane.name, holder=holder).update(leased_until=None, holder="")
