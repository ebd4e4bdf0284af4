"""tenant_scope() and public_scope() are the only ways in."""

import pytest
from django.db import connection, transaction
from django_tenants.postgresql_backend.base import DatabaseWrapper

from accounts.models import Role, User
from scrm.lib import where
from tenants.context import (
    NoScope,
    TenantUnavailable,
    TransactionAcrossTenants,
    current_tenant,
    public_scope,
    tenant_scope,
)
from tenants.models import Tenant, TenantState
from tests.support.core import in_thread, make_user

pytestmark = pytest.mark.django_db


def test_a_test_starts_inside_acme(acme):
    assert current_tenant() == acme
    assert Role.objects.filter(key="guide").exists()


def test_one_merchant_sees_nothing_of_the_other(acme, globex):
    ours = make_user()

    with tenant_scope(globex):
        assert not User.objects.filter(pk=ours.pk).exists()
        theirs = make_user()

    assert ours.pk >= 1_000_000 > theirs.pk


def test_leaving_a_scope_restores_the_one_around_it(acme, globex):
    with tenant_scope(globex):
        with public_scope():
            assert Tenant.objects.count() == 2
        assert current_tenant() == globex
        assert _schema() == globex.schema_name
    assert current_tenant() == acme
    assert _schema() == acme.schema_name


def test_a_query_in_no_scope_is_refused(db):
    from contextvars import Context

    with pytest.raises(NoScope):
        Context().run(lambda: User.objects.count())


def test_a_tenants_model_in_public_scope_is_refused(db):
    from contacts.models import Contact

    with public_scope(), pytest.raises(NoScope):
        Contact.objects.count()


@pytest.mark.django_db(transaction=True)
def test_a_thread_works_in_its_own_scope(acme, globex):
    with tenant_scope(globex):
        assert in_thread(_schema, tenant=acme).result() == acme.schema_name
        assert _schema() == globex.schema_name


@pytest.mark.django_db(transaction=True)
def test_a_rollback_does_not_leave_another_schema_behind(acme, globex):
    with tenant_scope(globex):
        _schema()
    with pytest.raises(ZeroDivisionError), public_scope(), transaction.atomic(), tenant_scope(globex):
        _schema()
        raise ZeroDivisionError
    assert _schema() == acme.schema_name


@pytest.mark.django_db(transaction=True)
def test_a_transaction_stays_with_its_merchant(acme, globex):
    with transaction.atomic():
        with pytest.raises(TransactionAcrossTenants), tenant_scope(globex):
            pytest.fail("one transaction wrote for two merchants")
        with tenant_scope(acme), public_scope():
            assert Tenant.objects.count() == 2
        assert current_tenant() == acme


def test_a_suspended_merchant_is_refused_by_row_as_by_id(globex):
    Tenant.objects.filter(pk=globex.pk).update(state=TenantState.SUSPENDED)
    globex.refresh_from_db()
    for named in (globex, globex.pk):
        with pytest.raises(TenantUnavailable), tenant_scope(named):
            pytest.fail("the door was open")
        with tenant_scope(named, states=(TenantState.SUSPENDED,)):
            assert _schema() == globex.schema_name


def test_a_scope_that_cannot_be_entered_leaves_nothing_behind(acme, globex, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(DatabaseWrapper, "set_settings_schema", _breaks_for(globex))
        with pytest.raises(OSError), tenant_scope(globex):
            pytest.fail("it was entered")

    assert current_tenant() == acme
    assert where.scope_name.get() == acme.schema_name
    assert _schema() == acme.schema_name


def _breaks_for(tenant):
    known = DatabaseWrapper.set_settings_schema

    def breaks(self, schema_name):
        if schema_name == tenant.schema_name:
            raise OSError("the server went away")
        known(self, schema_name)

    return breaks


def test_the_rows_of_a_committing_test_are_gone(db):
    assert User.objects.count() == 0


def _schema() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return str(cursor.fetchone()[0])
