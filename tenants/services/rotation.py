"""Key rotation: every secret column of every merchant, and of the shared tables, under the newest of FIELD_KEYS.

In slices, each its own short transaction; a value is written only where it still is what was read, so what somebody saves
meanwhile wins (and is under the newest key anyway). Done values are recognised by themselves, so a run that was stopped is
simply run again. All keys stay readable throughout; the old one may go when nothing is left under it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, models

from scrm.lib import crypto, privacy
from tenants import audit
from tenants.audit import Actor
from tenants.context import public_scope, tenant_scope
from tenants.models import Tenant, TenantState

SLICE = 200
WITH_TABLES = (TenantState.ACTIVE, TenantState.SUSPENDED)


@dataclass
class Report:
    """Values by what was found of them. unreadable: `where column #id`, for which no key is known."""

    rotated: int = 0
    newest: int = 0
    unreadable: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.rotated + self.newest + len(self.unreadable)


def rotate_keys(*, only: Tenant | None = None, dry_run: bool = False, by: Actor) -> Report:
    """Re-encrypt what is not under the newest key. dry_run counts only; `rotated` is then what would be."""
    report = Report()
    if only is None:
        with public_scope():
            _rotate_here(report, "public", list(_models(settings.SHARED_APPS)), dry_run)
    for tenant in [only] if only else _tenants():
        before = report.rotated
        with tenant_scope(tenant, states=WITH_TABLES):
            _rotate_here(report, tenant.slug, list(_models(settings.TENANT_APPS)), dry_run)
            if report.rotated > before and not dry_run:
                audit.record("secrets.rotated", by=by, values=report.rotated - before)
    return report


def _tenants() -> list[Tenant]:
    with public_scope():
        return list(Tenant.objects.filter(state__in=WITH_TABLES).order_by("pk"))


def _models(app_names: list[str]) -> Iterator[type[models.Model]]:
    """Models of these apps with a column of class secret."""
    for model in apps.get_models():
        config = apps.get_app_config(model._meta.app_label)
        listed = config.name in app_names or f"{type(config).__module__}.{type(config).__name__}" in app_names
        if listed and secret_columns(model):
            yield model


def secret_columns(model: type[models.Model]) -> list[str]:
    """Database names of the columns that the privacy registry calls secret."""
    if model._meta.proxy:
        return []
    names = [name for name, label in privacy.classes_of(model).items() if label == privacy.SECRET]
    return [str(model._meta.get_field(name).column) for name in names]  # type: ignore[union-attr]  # secret columns are fields, no relations


def _rotate_here(report: Report, where: str, with_secrets: list[type[models.Model]], dry_run: bool) -> None:
    for model in with_secrets:
        last: Any = None
        while (last := _slice(report, where, model, last, dry_run)) is not None:
            pass


def _slice(report: Report, where: str, model: type[models.Model], after: Any, dry_run: bool) -> Any:
    """Some rows after a key; the last key seen, None at the end. Ciphertexts are read and written as they are."""
    table, key, columns = model._meta.db_table, model._meta.pk.column, secret_columns(model)
    beyond, given = (f'WHERE "{key}" > %s', [after]) if after is not None else ("", [])
    listed = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT "{key}", {listed} FROM "{table}" {beyond} ORDER BY "{key}" LIMIT {SLICE}', given)
        rows = cursor.fetchall()
        for pk, *values in rows:
            for column, value in zip(columns, values, strict=True):
                if value and (fresh := _fresh(report, f"{where} {table}.{column} #{pk}", value)) and not dry_run:
                    same = f'UPDATE "{table}" SET "{column}" = %s WHERE "{key}" = %s AND "{column}" = %s'
                    cursor.execute(same, [fresh, pk, value])
    return rows[-1][0] if rows else None


def _fresh(report: Report, place: str, value: str) -> str | None:
    """The ciphertext under the newest key; None when it is that already, or cannot be read."""
    if crypto.is_newest(value):
        report.newest += 1
        return None
    try:
        fresh = crypto.rotate(value)
    except ValueError:
        report.unreadable.append(place)
        return None
    report.rotated += 1
    return fresh
