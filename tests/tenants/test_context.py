"""tenant_scope() and public_scope() are the only ways in."""

import pytest
from django.db import connection

from accounts.models import Role, User
from tenants.context import NoScope, current_tenant, public_scope, tenant_scope
from tenants.models import Tenant
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
    from django.db import transaction

    with tenant_scope(globex):
        _schema()
    with pytest.raises(ZeroDivisionError), transaction.atomic(), tenant_scope(globex):
        _schema()
        raise ZeroDivisionError
    assert _schema() == acme.schema_name


def test_the_rows_of_a_committing_test_are_gone(db):
    assert User.objects.count() == 0


def _schema() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return str(cursor.fetchone()[0])
