"""Is there anything left to do now? Sandbox drivers ask before they move the clock.

Apps register what counts: `quiet.register("inbox", count_unhandled)`; the function runs inside tenant_scope and returns how
many rows are due at this domain instant.
"""

from collections.abc import Callable

from scrm.lib import clock
from tenants.context import current_tenant
from tenants.models import DueHint, LaneLease

_counters: dict[str, Callable[[], int]] = {}


def register(name: str, count: Callable[[], int]) -> None:
    """Add a counter of pending rows. Raises ValueError when the name is taken by another."""
    if _counters.get(name, count) is not count:
        raise ValueError(f"quiet counter {name} is registered twice")
    _counters[name] = count


def pending() -> dict[str, int]:
    """What is left to do now in the tenant in scope, by name; all zero means quiet."""
    now, tenant_id = clock.wall(), current_tenant().pk
    return {
        # Rows first, hints last: a drain that ends in between has turned its rows into what is counted after.
        **{name: count() for name, count in sorted(_counters.items())},
        "lanes_at_work": LaneLease.objects.filter(tenant_id=tenant_id, leased_until__gt=now).exclude(holder="").count(),
        "due_hints": DueHint.objects.filter(tenant_id=tenant_id, due_at__lte=now).count(),
    }
