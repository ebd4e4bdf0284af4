"""Leases on tenant × lane: one worker drains at a time, and a killed one is replaced when its lease runs out."""

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet

from scrm.lib import clock
from tenants.lanes import Lane
from tenants.models import LaneLease

# After a drain that raised: how long the lane rests, so that a poisoned row costs an attempt now and then, not a loop.
REST_SECONDS = 15


def take(tenant_id: int, lane: Lane, holder: str) -> bool:
    """Lease the lane until now + lane.lease_seconds. False when another holder's lease still runs."""
    now = clock.wall()
    until = now + timedelta(seconds=lane.lease_seconds)
    if _of(tenant_id, lane).filter(leased_until__gt=now).exists():
        return False
    with transaction.atomic():
        row = LaneLease.objects.select_for_update().filter(tenant_id=tenant_id, lane=lane.name).first()
        if row is None:
            fresh = LaneLease(tenant_id=tenant_id, lane=lane.name, holder=holder, leased_until=until, visited_at=now)
            LaneLease.objects.bulk_create([fresh], ignore_conflicts=True)
            return LaneLease.objects.filter(tenant_id=tenant_id, lane=lane.name, holder=holder).exists()
        if row.leased_until and row.leased_until > now:
            return False
        row.holder, row.leased_until, row.visited_at = holder, until, now
        row.save(update_fields=["holder", "leased_until", "visited_at"])
        return True


def release(tenant_id: int, lane: Lane, holder: str) -> None:
    """Give the lane free, if it is still ours."""
    _mine(tenant_id, lane, holder).update(leased_until=None, holder="")


def rest(tenant_id: int, lane: Lane, holder: str) -> None:
    """Keep the lane closed for a moment after an error, if it is still ours."""
    _mine(tenant_id, lane, holder).update(leased_until=clock.wall() + timedelta(seconds=REST_SECONDS), holder="")


def _of(tenant_id: int, lane: Lane) -> QuerySet[LaneLease]:
    return LaneLease.objects.filter(tenant_id=tenant_id, lane=lane.name)


def _mine(tenant_id: int, lane: Lane, holder: str) -> QuerySet[LaneLease]:
    return _of(tenant_id, lane).filter(holder=holder)
