"""The only two ways into a schema: tenant_scope() and public_scope(). Everything else refuses to query.

django-tenants keeps the schema as session state and restores the wrong one in threads (its class-level stack) or drops our
fields (its FakeTenant), so its own context managers are not used anywhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection as _connection

from scrm.lib import clock, where
from tenants.models import Tenant, TenantState

PUBLIC = "public"
connection: Any = _connection  # with the methods of django-tenants' wrapper


class NoScope(RuntimeError):
    """A query or a task ran outside of any tenant's scope."""


class TenantUnavailable(RuntimeError):
    """The tenant does not exist, or is not in a state to be worked for."""


@dataclass(frozen=True)
class Scope:
    """Whose data the code at hand may touch; tenant is None on the platform's own side."""

    tenant: Tenant | None


_scope: ContextVar[Scope | None] = ContextVar("tenant_scope", default=None)


def current_scope() -> Scope | None:
    """The scope entered last, or None."""
    return _scope.get()


def current_tenant() -> Tenant:
    """The tenant in scope. Raises NoScope in public scope and outside of any."""
    scope = _scope.get()
    if scope is None or scope.tenant is None:
        raise NoScope("no tenant in scope")
    return scope.tenant


def get_tenant(tenant_id: int, *, states: tuple[str, ...] = (TenantState.ACTIVE,)) -> Tenant:
    """A tenant by id. Raises TenantUnavailable when it is missing or in another state."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None or tenant.state not in states:
        raise TenantUnavailable(f"tenant {tenant_id} is {tenant.state if tenant else 'unknown'}")
    return tenant


@contextmanager
def tenant_scope(tenant: Tenant | int, *, states: tuple[str, ...] = (TenantState.ACTIVE,)) -> Iterator[Tenant]:
    """Work inside one tenant: search path, domain clock, cache keys, files, logs.

    Given an id, the row is read afresh. Raises TenantUnavailable for a suspended or unknown one.
    """
    row = get_tenant(tenant, states=states) if isinstance(tenant, int) else tenant
    if row.clock_offset_seconds and not settings.ALLOW_SANDBOX:
        raise TenantUnavailable(f"tenant {row.slug} has a shifted clock, which this site refuses (ALLOW_SANDBOX)")
    previous_tenant = getattr(connection, "tenant", None)
    token, name_token = _scope.set(Scope(row)), where.scope_name.set(row.schema_name)
    connection.set_tenant(row)
    try:
        with clock.shifted(row.clock_offset):
            yield row
    finally:
        _scope.reset(token)
        where.scope_name.reset(name_token)
        _restore(previous_tenant)


@contextmanager
def public_scope() -> Iterator[None]:
    """Work on the shared tables alone, outside of any tenant."""
    previous_tenant = getattr(connection, "tenant", None)
    token, name_token = _scope.set(Scope(None)), where.scope_name.set(PUBLIC)
    connection.set_schema_to_public()
    try:
        with clock.shifted(timedelta()):
            yield
    finally:
        _scope.reset(token)
        where.scope_name.reset(name_token)
        _restore(previous_tenant)


def _restore(previous: object) -> None:
    if isinstance(previous, Tenant):
        connection.set_tenant(previous)
    else:
        connection.set_schema_to_public()
