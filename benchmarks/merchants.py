"""Merchants made for a measurement, and their removal."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection

from tenants import upgrade
from tenants.context import public_scope
from tenants.models import Domain, DueHint, LaneLease, PlatformAudit, SchemaUpgrade, Tenant

_PREFIX = "bench-"


def migrate_public() -> None:
    """The shared schema at the head."""
    with public_scope():
        upgrade.migrate_public()


def slug() -> str:
    """A slug nobody has."""
    return _PREFIX + secrets.token_hex(6)


def drop_all(schemas: Iterable[str] = (), *, keep: Iterable[int] = ()) -> None:
    """Remove every merchant of this module but those of the ids to keep, and further schemas by name."""
    with public_scope():
        rows = list(Tenant.objects.filter(slug__startswith=_PREFIX).exclude(pk__in=list(keep)))
        for schema in [*(row.schema_name for row in rows), *schemas]:
            with connection.cursor() as cursor:
                cursor.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        ids = [row.pk for row in rows]
        for model in (DueHint, LaneLease, SchemaUpgrade, PlatformAudit):
            model.objects.filter(tenant_id__in=ids).delete()
        Domain.objects.filter(tenant_id__in=ids).delete()
        Tenant.objects.filter(pk__in=ids).delete()


@contextmanager
def database(name: str) -> Iterator[None]:
    """Work in another database of the server."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before
