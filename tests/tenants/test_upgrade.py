"""Public first, then a canary, then the rest; a failure is written down, and the next run takes up what is left."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from scrm.lib import clock
from tenants import upgrade as module
from tenants.context import public_scope
from tenants.models import DueHint, SchemaUpgrade, Tenant, TenantState, new_schema_name
from tenants.provision import steps
from tenants.provision.snapshot import head_digest
from tenants.upgrade import upgrade

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def public_is_at_head(monkeypatch):
    """The shared schema takes seconds to look through and is at the head in every test but one."""
    monkeypatch.setattr(module, "migrate_public", lambda: None)


@pytest.fixture
def at_head(acme, globex):
    """Both merchants are known to be at the head."""
    for tenant in (acme, globex):
        SchemaUpgrade.objects.update_or_create(tenant_id=tenant.pk, target=head_digest(), defaults={"state": "done"})


def test_merchants_at_the_head_cost_nothing(at_head, public_is_at_head, django_assert_num_queries):
    with public_scope():
        Tenant.objects.exists()  # the search path is set once per scope
        with django_assert_num_queries(1):
            assert list(module.behind()) == []
    assert upgrade() == module.Report()


def test_the_canary_that_fails_stops_the_rest(acme, globex, public_is_at_head, monkeypatch):
    monkeypatch.setattr(module, "migrate_schema", lambda tenant: 1 / 0)

    report = upgrade()

    assert report.stopped_at_canary
    assert len(report.failed) == 1
    row = SchemaUpgrade.objects.get()
    assert row.state == "failed" and "ZeroDivisionError" in row.last_error


def test_a_later_failure_is_written_down_and_taken_up_again(acme, globex, public_is_at_head, monkeypatch):
    broken = [globex.pk]

    def migrate(tenant):
        if tenant.pk in broken:
            raise OSError("no space left")

    monkeypatch.setattr(module, "migrate_schema", migrate)
    first = upgrade()
    assert first.done == ["acme"] and "no space left" in first.failed["globex"]

    broken.clear()
    assert upgrade() == module.Report(done=["globex"])
    assert SchemaUpgrade.objects.get(tenant_id=globex.pk).last_error == ""
    assert DueHint.objects.filter(tenant_id=globex.pk, lane="backfills").exists()


def test_sandboxes_go_first_and_unborn_merchants_not_at_all(acme, globex, public_is_at_head):
    with public_scope():
        Tenant.objects.filter(pk=acme.pk).update(is_sandbox=False)
        Tenant.objects.create(slug="unborn", name="x", schema_name=new_schema_name(), created_at=clock.wall())
        assert [tenant.slug for tenant in module.behind()] == ["globex", "acme"]
        assert [tenant.slug for tenant in module.behind("acme")] == ["acme"]
        Tenant.objects.filter(pk=acme.pk).update(state=TenantState.DROPPING)
        assert [tenant.slug for tenant in module.behind()] == ["globex"]


def test_a_missing_table_is_a_failure_not_a_success(at_head, acme, public_is_at_head):
    with public_scope(), connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE "{acme.schema_name}".ledger_backfill RENAME TO elsewhere')
    SchemaUpgrade.objects.filter(tenant_id=acme.pk).delete()
    try:
        assert "ledger_backfill" in upgrade().failed["acme"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER TABLE "{acme.schema_name}".elsewhere RENAME TO ledger_backfill')


@pytest.mark.parametrize("parallel", [1, 2])
def test_schemas_of_the_release_before_are_brought_to_the_head(at_head, parallel):
    """The whole command, public included, over real schemas; with two, in processes of their own."""
    with public_scope():
        behind = []
        for number in range(3):
            tenant = Tenant.objects.create(
                slug=f"old-{number}", name="x", schema_name=new_schema_name(), created_at=clock.wall()
            )
            behind.append(steps.provision(tenant.pk))
    for tenant in behind:
        forget_last_migration(tenant)

    call_command("upgrade", parallel=parallel)

    for tenant in behind:
        assert SchemaUpgrade.objects.get(tenant_id=tenant.pk, target=head_digest()).state == "done"
        assert not steps.missing_tables(tenant)


def forget_last_migration(tenant: Tenant) -> None:
    """As if the merchant had been opened before analytics existed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename LIKE 'analytics%%'",
            [tenant.schema_name],
        )
        tables = ", ".join(f'"{tenant.schema_name}"."{name}"' for (name,) in cursor.fetchall())
        cursor.execute(f"DROP TABLE {tables} CASCADE")
        cursor.execute(f"DELETE FROM \"{tenant.schema_name}\".django_migrations WHERE app = 'analytics'")
    SchemaUpgrade.objects.filter(tenant_id=tenant.pk).delete()


def test_the_command_says_who_failed(acme, globex, public_is_at_head, monkeypatch, capsys):
    monkeypatch.setattr(module, "migrate_schema", lambda tenant: 1 / 0)
    with pytest.raises(CommandError, match="first merchant failed"):
        call_command("upgrade", parallel=1)
    assert "acme failed: ZeroDivisionError" in capsys.readouterr().err
