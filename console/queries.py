"""How the merchants are, from the shared tables alone: the list costs the same for ten and for a thousand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet

from scrm.lib import clock
from tenants.models import Domain, DueHint, LaneLease, SchemaUpgrade, Tenant
from tenants.provision.snapshot import head_digest

# A hint still unserved after this long says that the workers do not keep up (or are not there).
LATE = timedelta(minutes=2)


@dataclass(frozen=True)
class Health:
    """What the console shows of one merchant.

    backlog: due hints nobody served yet; oldest: since when; is_late: older than LATE; synced_at: the last drain of the
    sync lane began; is_at_head: the schema is of this release; upgrade_error: why not.
    """

    tenant: Tenant
    host: str
    backlog: int
    oldest: datetime | None
    is_late: bool
    synced_at: datetime | None
    is_at_head: bool
    upgrade_error: str


def list_tenants(text: str = "") -> QuerySet[Tenant]:
    """Merchants, newest first."""
    rows: QuerySet[Tenant] = Tenant.objects.order_by("-pk")
    if text:
        rows = rows.filter(Q(slug__icontains=text) | Q(name__icontains=text))
    return rows


def health_of(tenants: Sequence[Tenant]) -> list[Health]:
    """Four queries for any number of merchants."""
    ids, now = [tenant.pk for tenant in tenants], clock.wall()
    hints: dict[int, dict[str, Any]] = {
        row["tenant_id"]: dict(row)
        for row in DueHint.objects.filter(tenant_id__in=ids, due_at__lte=now)
        .values("tenant_id")
        .annotate(backlog=Count("pk"), oldest=Min("due_at"))
    }
    synced = dict(
        LaneLease.objects.filter(tenant_id__in=ids, lane="sync").values_list("tenant_id").annotate(at=Max("visited_at"))
    )
    upgrades = {row.tenant_id: row for row in SchemaUpgrade.objects.filter(tenant_id__in=ids, target=head_digest())}
    hosts = dict(Domain.objects.filter(tenant_id__in=ids, is_primary=True).values_list("tenant_id", "domain"))
    return [
        Health(
            tenant=tenant,
            host=hosts.get(tenant.pk, ""),
            backlog=hints.get(tenant.pk, {}).get("backlog", 0),
            oldest=hints.get(tenant.pk, {}).get("oldest"),
            is_late=tenant.pk in hints and hints[tenant.pk]["oldest"] < now - LATE,
            synced_at=synced.get(tenant.pk),
            is_at_head=tenant.pk in upgrades and upgrades[tenant.pk].state == "done",
            upgrade_error=upgrades[tenant.pk].last_error if tenant.pk in upgrades else "",
        )
        for tenant in tenants
    ]
