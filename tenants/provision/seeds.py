"""The rows every merchant starts with. Apps register theirs in AppConfig.ready():

    provision.register_seed("accounts.roles", seed_roles)

A seed is called inside tenant_scope, in a transaction with all others, and must leave rows alone that exist already.
"""

from collections.abc import Callable

from django.db import transaction

from tenants.context import tenant_scope
from tenants.models import Tenant, TenantState

Seed = Callable[[Tenant], None]
_seeds: dict[str, Seed] = {}


def register_seed(name: str, seed: Seed) -> None:
    """Add a seed; they run in order of registration, lower layers first. Raises ValueError when the name is taken."""
    if _seeds.get(name, seed) is not seed:
        raise ValueError(f"seed {name} is registered twice")
    _seeds[name] = seed


def lay_seeds(tenant: Tenant) -> None:
    """Run every seed in the tenant, all or none."""
    with tenant_scope(tenant, states=tuple(TenantState)), transaction.atomic():
        for seed in _seeds.values():
            seed(tenant)
