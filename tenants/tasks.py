"""Task bases that cannot forget their scope, and the one task that drains any lane."""

from pathlib import Path
from typing import Any

from celery import Task, shared_task
from django.conf import settings

from tenants import lanes
from tenants.audit import Actor
from tenants.context import public_scope, tenant_scope
from tenants.drains import drain_now
from tenants.models import Tenant
from tenants.provision.steps import provision
from tenants.services.lifecycle import drop

__all__ = ["PublicTask", "TenantTask", "drain_lane", "drain_now"]


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


# Killed before the shortest lease ends, so that two workers never drain one lane of a tenant.
@shared_task(base=PublicTask, name="tenants.drain_lane", soft_time_limit=45, time_limit=lanes.MIN_LEASE_SECONDS - 5)
def drain_lane(tenant_id: int, lane: str) -> None:
    """Drain one slice of a lane of a tenant."""
    drain_now(tenant_id, lanes.get(lane))


@shared_task(base=PublicTask, name="tenants.drain_slow_lane", soft_time_limit=1740, time_limit=1800)
def drain_slow_lane(tenant_id: int, lane: str) -> None:
    """The same for a lane with a step that takes long and cannot be cut."""
    drain_now(tenant_id, lanes.get(lane))


@shared_task(base=PublicTask, name="tenants.provision")
def provision_tenant(tenant_id: int) -> None:
    """Build a merchant's schema, or go on where an earlier attempt stopped."""
    provision(tenant_id)


@shared_task(base=PublicTask, name="tenants.drop", soft_time_limit=3500, time_limit=3600)
def drop_tenant(tenant_id: int, typed_slug: str, operator: dict[str, Any]) -> None:
    """Dump and delete a suspended merchant; what stops it is written to its row, and shown by the console."""
    try:
        drop(tenant_id, typed_slug, folder=Path(settings.MEDIA_ROOT) / "dumps", by=Actor(**operator))
    except Exception as error:
        Tenant.objects.filter(pk=tenant_id).update(last_error=f"{type(error).__name__}: {error}"[:2000])
        raise
