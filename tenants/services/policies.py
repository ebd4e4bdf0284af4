"""What a merchant decided, kept in its row (Tenant.policy): one section per app, read where it is needed."""

from typing import Any

from django.db import transaction

from tenants.context import current_tenant
from tenants.models import Tenant


@transaction.atomic
def change_policy(section: str, **values: Any) -> dict[str, Any]:
    """Set values of a section of the policy of the tenant in scope, the others stay; the section as it is then. The caller audits."""
    row = Tenant.objects.select_for_update().get(pk=current_tenant().pk)
    chosen = {**(row.policy.get(section) or {}), **values}
    row.policy = {**row.policy, section: chosen}
    row.save(update_fields=["policy"])
    current_tenant().policy = row.policy
    return chosen
