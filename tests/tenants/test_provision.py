"""Opening a merchant from the snapshot leaves what the migrations would have left, and can be resumed anywhere."""

from dataclasses import replace

import pytest
from django.core.management import call_command
from django.db import connection, migrations

from accounts.models import Role
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants import backfills, locks
from tenants.context import public_scope, tenant_scope
from tenants.ledger.models import RetentionRule
from tenants.models import Domain, DueHint, SchemaUpgrade, Tenant, TenantState, new_schema_name
from tenants.provision import seeds, snapshot, steps
from tests.support.catalogue import catalogue
from tests.support.core import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def newborn(db):
    with public_scope():
        return Tenant.objects.create(
            slug="initech", name="Initech", schema_name=new_schema_name(), created_at=clock.wall()
        )


def test_a_replayed_schema_is_a_migrated_schema(newborn):
    with public_scope():
        migrated = Tenant.objects.create(
            slug="hooli", name="Hooli", schema_name=new_schema_name(), created_at=clock.wall(), state=TenantState.ACTIVE
        )
        steps.create_schema(migrated)
        call_command("migrate_schemas", tenant=True, schema_name=migrated.schema_name, verbosity=0, interactive=False)
        seeds.lay_seeds(migrated)
        with tenant_scope(migrated):
            backfills.mark_all_done()
    provisioned = steps.provision(newborn.pk)

    ours, theirs = catalogue(provisioned.schema_name), catalogue(migrated.schema_name)
    for kind in theirs:
        assert ours[kind] == theirs[kind], kind
    assert len(theirs["columns"]) > 400 and len(theirs["indexes"]) > 100
    assert rows(provisioned) == rows(migrated)


def test_a_new_merchant_can_be_worked_in(newborn):
    tenant = steps.provision(newborn.pk)

    assert tenant.state == TenantState.ACTIVE
    assert Domain.objects.get(tenant=tenant).domain == "initech.testserver"
    assert SchemaUpgrade.objects.get(tenant_id=tenant.pk).target == snapshot.head_digest()
    assert DueHint.objects.filter(tenant_id=tenant.pk).exists()
    with tenant_scope(tenant):
        assert Role.objects.filter(key__isnull=False).count() == 10
        assert RetentionRule.objects.exists()


def test_no_foreign_key_is_deferrable_and_none_leaves_the_schema(newborn):
    tenant = steps.provision(newborn.pk)
    keys = [row for row in catalogue(tenant.schema_name)["constraints"] if row[2] == "f"]

    assert len(keys) > 50
    assert not [row for row in keys if row[3] or row[4]]
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM pg_constraint o JOIN pg_class here ON here.oid = o.conrelid
               JOIN pg_class there ON there.oid = o.confrelid
               WHERE o.contype = 'f' AND here.relnamespace <> there.relnamespace"""
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("broken", [name for name, _step in steps.STEPS])
def test_it_goes_on_where_it_broke(newborn, monkeypatch, broken):
    def breaks(tenant):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(steps, "STEPS", tuple((name, breaks if name == broken else step) for name, step in steps.STEPS))
        with pytest.raises(OSError):
            steps.provision(newborn.pk)
    row = Tenant.objects.get(pk=newborn.pk)
    assert row.state == TenantState.PROVISIONING
    assert "the disk is full" in row.last_error

    row = steps.provision(newborn.pk)
    assert (row.state, row.last_error, row.provision_step) == (TenantState.ACTIVE, "", "active")
    assert not steps.missing_tables(row)


def test_a_step_that_breaks_halfway_leaves_nothing_of_itself(newborn, monkeypatch):
    head = snapshot.snapshot()
    half = replace(head, statements=(*head.statements[:20], "SELECT 1/0"))
    with monkeypatch.context() as patch:
        patch.setattr(steps, "snapshot", lambda: half)
        with pytest.raises(Exception, match="division by zero"):
            steps.provision(newborn.pk)

    with public_scope():
        assert steps.missing_tables(newborn) == snapshot.snapshot().tables
    assert steps.provision(newborn.pk).state == TenantState.ACTIVE


def test_two_at_once_open_it_once(acme, newborn):
    with public_scope(), locks.session_lock(f"provision:{newborn.pk}"):
        second = in_thread(lambda: steps.provision(newborn.pk), tenant=acme)
        with pytest.raises(Conflict):
            second.result()


def test_opening_an_open_merchant_does_nothing(newborn):
    steps.provision(newborn.pk)
    with tenant_scope(Tenant.objects.get(pk=newborn.pk)):
        Role.objects.filter(key="guide").update(name="顾问")
    steps.provision(newborn.pk)
    with tenant_scope(Tenant.objects.get(pk=newborn.pk)):
        assert Role.objects.get(key="guide").name == "顾问"


def test_a_missing_table_keeps_the_door_shut(newborn, monkeypatch):
    with public_scope():
        steps.create_schema(newborn)
        steps.create_tables(newborn)
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TABLE "{newborn.schema_name}".accounts_user CASCADE')
    with pytest.raises(steps.Incomplete, match="accounts_user"):
        steps.provision(newborn.pk)


class Refused(migrations.Migration):
    operations = [migrations.RunPython(migrations.RunPython.noop)]


def test_a_data_move_in_a_migration_is_refused():
    with pytest.raises(snapshot.NotReplayable, match="backfills"):
        list(snapshot._sql_of(Refused.operations, Refused("0009_fill", "contacts")))


def test_sql_without_a_list_is_refused():
    with pytest.raises(snapshot.NotReplayable, match="list"):
        list(snapshot._sql_of([migrations.RunSQL("SELECT 1; SELECT 2")], Refused("0009_sql", "contacts")))


def test_recorded_sql_is_replayed_in_order():
    operations = [migrations.RunSQL(["A", "B"]), migrations.SeparateDatabaseAndState([migrations.RunSQL(["C"])])]
    assert list(snapshot._sql_of(operations, Refused("0009_sql", "contacts"))) == ["A", "B", "C"]


def rows(tenant):
    """Every row of a schema but ids, instants and what is born with the tenant."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [tenant.schema_name])
        for (table,) in cursor.fetchall():
            cursor.execute(
                f"SELECT to_jsonb(t) - 'id' - 'applied' - 'updated_at' FROM \"{tenant.schema_name}\".\"{table}\" t"
            )
            found[table] = sorted(str(row) for (row,) in cursor.fetchall())
    return found
