"""`manage.py upgrade`: the shared schema, one merchant as a canary, then the others in parallel; resumable.

A merchant whose SchemaUpgrade row for the present head says done costs nothing: a release without migrations is one query,
whatever their number. Code of the previous release goes on working while this runs: it works on schemas N and N+1.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Exists, OuterRef

from scrm.lib import clock
from tenants import children, jobs, lanes, locks
from tenants.context import public_scope, tenant_scope
from tenants.models import DueHint, SchemaUpgrade, Tenant, TenantState
from tenants.provision.snapshot import head_digest
from tenants.provision.steps import ANY_STATE, Incomplete, missing_tables
from tenants.sides import labels_of

logger = logging.getLogger(__name__)
LOCK_TIMEOUT = "10s"


@dataclass
class Report:
    """Slugs brought to the head, and slug → error of those that were not."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped_at_canary: bool = False


def upgrade(*, parallel: int = 1, slug: str | None = None) -> Report:
    """Bring public and every merchant to the head. A canary that fails stops the rest; other failures do not."""
    with public_scope():
        migrate_public()
        waiting = list(behind(slug))
    report = Report()
    if not waiting:
        return report
    _note(report, waiting[0], upgrade_one(waiting[0].pk))
    if report.failed:
        report.stopped_at_canary = True
        return report
    rest = waiting[1:]
    for tenant, error in zip(rest, _run([tenant.pk for tenant in rest], parallel), strict=True):
        _note(report, tenant, error)
    return report


def behind(slug: str | None = None) -> Iterator[Tenant]:
    """Merchants with tables whose schema is not known to be at the head: sandboxes first, as canaries."""
    at_head = SchemaUpgrade.objects.filter(tenant_id=OuterRef("pk"), target=head_digest(), state="done")
    rows = Tenant.objects.filter(~Exists(at_head)).exclude(state=TenantState.DROPPING)
    rows = rows.exclude(state=TenantState.PROVISIONING, provision_step__in=["", "schema"])
    return rows.filter(**({"slug": slug} if slug else {})).order_by("-is_sandbox", "pk").iterator()


def upgrade_one(tenant_id: int) -> str:
    """Migrate one merchant's schema to the head and note it. Returns "" or the error."""
    with public_scope(), locks.session_lock(f"upgrade:{tenant_id}") as taken:
        if not taken:
            return "another upgrade is at work on it"
        tenant = Tenant.objects.get(pk=tenant_id)
        row, _made = SchemaUpgrade.objects.update_or_create(
            tenant_id=tenant_id, target=head_digest(),
            defaults={"state": "running", "started_at": clock.wall(), "finished_at": None, "last_error": ""},
        )  # fmt: skip
        try:
            migrate_schema(tenant)
        except Exception as error:
            logger.exception("upgrade of %s failed", tenant.slug)
            row.state, row.last_error = "failed", f"{type(error).__name__}: {error}"[:2000]
        else:
            row.state = "done"
        row.finished_at = clock.wall()
        row.save(update_fields=["state", "last_error", "finished_at"])
        if row.state == "done" and tenant.state == TenantState.ACTIVE:
            DueHint.objects.create(tenant_id=tenant_id, lane="backfills", due_at=clock.wall())
            jobs.send_drain(tenant_id, lanes.get("backfills"))
        return row.last_error


def migrate_schema(tenant: Tenant) -> None:
    """Apply what is missing, each migration in its own transaction; a lock that is not free soon fails, to be tried again.

    Raises Incomplete when a table of the tenant apps is missing afterwards.
    """
    with tenant_scope(tenant, states=ANY_STATE):
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        try:
            executor = MigrationExecutor(connection)
            executor.loader.check_consistent_history(connection)
            executor.migrate(executor.loader.graph.leaf_nodes())
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
        missing = missing_tables(tenant)
    if missing:
        raise Incomplete(f"{tenant.schema_name} lacks {', '.join(sorted(missing))}")


def migrate_public() -> None:
    """Bring the shared schema to the head: the migrations of the apps that have tables in it, and no others.

    Those of the merchants' apps would change nothing there, and Django would still picture every model at every step of theirs.
    """
    executor = MigrationExecutor(connection)
    executor.loader.check_consistent_history(connection)
    here = labels_of(settings.SHARED_APPS)
    executor.migrate([leaf for leaf in executor.loader.graph.leaf_nodes() if leaf[0] in here])


def _run(ids: list[int], parallel: int) -> Iterator[str]:
    if parallel <= 1 or len(ids) <= 1:
        yield from map(upgrade_one, ids)
        return
    name = connection.settings_dict["NAME"]
    with ProcessPoolExecutor(
        parallel, mp_context=get_context("spawn"), initializer=children.begin, initargs=(name,)
    ) as pool:
        yield from pool.map(children.upgrade_child, ids)


def _note(report: Report, tenant: Tenant, error: str) -> None:
    if error:
        report.failed[tenant.slug] = error
    else:
        report.done.append(tenant.slug)
