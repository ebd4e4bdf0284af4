"""A tenant for a benchmark, made as the product makes one, and removed afterwards."""

from django.db import connection

from scrm.lib import clock
from tenants.context import public_scope
from tenants.models import Tenant, new_schema_name
from tenants.provision.steps import provision


def make_tenant(slug: str) -> Tenant:
    """A freshly provisioned tenant; one of that name left by an earlier run goes first."""
    with public_scope():
        for old in Tenant.objects.filter(slug=slug):
            drop_tenant(old)
        row = Tenant.objects.create(
            slug=slug, name=slug, schema_name=new_schema_name(), is_sandbox=True, created_at=clock.wall()
        )
        return provision(row.pk)


def drop_tenant(tenant: Tenant) -> None:
    """Its schema, its row, and what hangs on it."""
    with public_scope():
        with connection.cursor() as cursor:
            cursor.execute(f'DROP SCHEMA IF EXISTS "{tenant.schema_name}" CASCADE')
        Tenant.objects.filter(pk=tenant.pk).delete()
