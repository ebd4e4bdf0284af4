"""The steps that open a merchant. Each is one transaction that also records it, so a killed run goes on where it stood."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants import backfills, jobs, locks
from tenants.context import public_scope, tenant_scope
from tenants.models import Domain, SchemaUpgrade, Tenant, TenantState
from tenants.provision.seeds import lay_seeds
from tenants.provision.snapshot import snapshot

logger = logging.getLogger(__name__)
ANY_STATE = tuple(TenantState)


class Incomplete(RuntimeError):
    """Tables of the tenant apps are missing from the tenant's own schema."""


def provision(tenant_id: int) -> Tenant:
    """Bring a merchant from its row to ACTIVE. Called again after an error, it resumes; on an active one it does nothing.

    An error is written to Tenant.last_error and raised.
    """
    with public_scope(), locks.session_lock(f"provision:{tenant_id}") as taken:
        if not taken:
            raise Conflict(_("这个商户正在开通,请稍候。"))
        tenant = Tenant.objects.get(pk=tenant_id)
        if tenant.state != TenantState.PROVISIONING:
            return tenant
        try:
            for name, step in _remaining(tenant):
                step(tenant)
                logger.info("provisioned %s: %s", tenant.slug, name)
        except Exception as error:
            tenant.last_error = f"{type(error).__name__}: {error}"[:2000]
            tenant.save(update_fields=["last_error"])
            raise
        return tenant


def _remaining(tenant: Tenant) -> list[tuple[str, Callable[[Tenant], None]]]:
    names = [name for name, _step in STEPS]
    done = names.index(tenant.provision_step) + 1 if tenant.provision_step in names else 0
    return list(STEPS[done:])


@transaction.atomic
def create_schema(tenant: Tenant) -> None:
    """The empty schema, distributed where the server knows how (elsewhere the setting is a word nobody reads)."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL citus.enable_schema_based_sharding = on")
        cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{tenant.schema_name}"')
    _record(tenant, "schema")


@transaction.atomic
def create_tables(tenant: Tenant) -> None:
    """Replay the snapshot, one top-level statement per call, and record its migrations."""
    head = snapshot()
    now = clock.wall()
    with tenant_scope(tenant, states=ANY_STATE), connection.cursor() as cursor:
        for statement in head.statements:
            cursor.execute(statement)
        cursor.executemany(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)",
            [(app, name, now) for app, name in head.migrations],
        )
    SchemaUpgrade.objects.update_or_create(
        tenant_id=tenant.pk, target=head.digest, defaults={"state": "done", "started_at": now, "finished_at": now}
    )
    _record(tenant, "tables")


@transaction.atomic
def check_tables(tenant: Tenant) -> None:
    """Every table stands in the merchant's own schema: otherwise the search path would find the platform's."""
    missing = missing_tables(tenant)
    if missing:
        raise Incomplete(f"{tenant.schema_name} lacks {', '.join(sorted(missing))}")
    _record(tenant, "checked")


@transaction.atomic
def lay_rows(tenant: Tenant) -> None:
    """Seed rows; a merchant born at this release has no data to move."""
    lay_seeds(tenant)
    with tenant_scope(tenant, states=ANY_STATE):
        backfills.mark_all_done()
    _record(tenant, "seeded")


@transaction.atomic
def activate(tenant: Tenant) -> None:
    """Open the door: a host of its own, and the first look at every lane."""
    host = f"{tenant.slug}.{settings.BASE_DOMAIN}"
    if not Domain.objects.filter(tenant=tenant).exists():
        Domain.objects.create(tenant=tenant, domain=host, is_primary=True, verified_at=clock.wall())
    tenant.state, tenant.last_error = TenantState.ACTIVE, ""
    tenant.save(update_fields=["state", "last_error"])
    _record(tenant, "active")
    jobs.nudge_every_lane(tenant.pk)


def missing_tables(tenant: Tenant) -> frozenset[str]:
    """Tables of the tenant apps that the merchant's own schema does not have.

    Asked for by name: a list of the schema's tables reads the catalogue of all merchants.
    """
    named = {f'"{tenant.schema_name}"."{name}"': name for name in snapshot().tables}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", [list(named)])
        return frozenset(named[name] for (name,) in cursor.fetchall())


def _record(tenant: Tenant, step: str) -> None:
    tenant.provision_step = step
    tenant.save(update_fields=["provision_step"])


STEPS: tuple[tuple[str, Callable[[Tenant], None]], ...] = (
    ("schema", create_schema),
    ("tables", create_tables),
    ("checked", check_tables),
    ("seeded", lay_rows),
    ("active", activate),
)
