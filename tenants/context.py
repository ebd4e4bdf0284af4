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


class TransactionAcrossTenants(RuntimeError):
    """A transaction begun for one tenant was about to write for another."""


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

    Given an id, the row is read afresh. Raises TenantUnavailable for a suspended or unknown one, and TransactionAcrossTenants
    when a transaction that began inside another tenant is still open.
    """
    row = get_tenant(tenant, states=states) if isinstance(tenant, int) else _checked(tenant, states)
    if row.clock_offset_seconds and not settings.ALLOW_SANDBOX:
        raise TenantUnavailable(f"tenant {row.slug} has a shifted clock, which this site refuses (ALLOW_SANDBOX)")
    _refuse_change(row)
    with _entered(Scope(row), row.schema_name, row.clock_offset):
        yield row


@contextmanager
def public_scope() -> Iterator[None]:
    """Work on the shared tables alone, outside of any tenant."""
    with _entered(Scope(None), PUBLIC, timedelta()):
        yield


@contextmanager
def _entered(scope: Scope, name: str, clock_offset: timedelta) -> Iterator[None]:
    previous = getattr(connection, "tenant", None)
    token, name_token = _scope.set(scope), where.scope_name.set(name)
    try:
        _point_at(scope.tenant)
        with clock.shifted(clock_offset):
            yield
    finally:
        _scope.reset(token)
        where.scope_name.reset(name_token)
        _point_at(previous)


def _point_at(tenant: object) -> None:
    if isinstance(tenant, Tenant):
        connection.set_tenant(tenant)
    else:
        connection.set_schema_to_public()


def _checked(tenant: Tenant, states: tuple[str, ...]) -> Tenant:
    if tenant.state not in states:
        raise TenantUnavailable(f"tenant {tenant.pk} is {tenant.state}")
    return tenant


def _refuse_change(tenant: Tenant) -> None:
    """One transaction, one merchant: on many nodes it would not commit, on one it would hold the rows of both."""
    here, blocks = _scope.get(), connection.atomic_blocks
    if here is None or here.tenant is None or here.tenant.pk == tenant.pk:
        return
    if blocks and not blocks[-1]._from_testcase:
        raise TransactionAcrossTenants(
            f"tenant {tenant.pk} was entered inside a transaction of tenant {here.tenant.pk}"
        )
