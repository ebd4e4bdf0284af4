"""Builds, enters and clears the tests' two merchants."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from scrm.lib import clock
from tenants.context import public_scope, tenant_scope
from tenants.models import Domain, Tenant, TenantState, new_schema_name
from tenants.provision import steps
from tenants.provision.seeds import lay_seeds
from tests.support import emptying

ROOT = Path(__file__).resolve().parents[2]
SLUGS = ("acme", "globex")
FIRST_ID = {"acme": 1_000_000, "globex": 1}
_SOURCES = (
    "[a-z]*/migrations/*.py",
    "[a-z]*/*/migrations/*.py",
    "accounts/presets.py",
    "tenants/provision/*.py",
    "tenants/upgrade.py",
    "tests/support/world.py",
    "tests/support/database.py",
    "tests/support/emptying.py",
    "scrm/lib/db/**/*.py",
)


def tenant(slug: str) -> Tenant:
    """A merchant's row, read afresh."""
    return Tenant.objects.get(slug=slug)


def build() -> None:
    """Make both merchants in a database that has none."""
    for slug in SLUGS:
        _build_tenant(slug)
        emptying.prepare(tenant(slug).schema_name)
    emptying.prepare("public")


@contextmanager
def rolled_back() -> Iterator[None]:
    """Inside acme, in a transaction that leaves nothing behind."""
    outermost = transaction.atomic()
    outermost._from_testcase = True  # type: ignore[attr-defined]  # lets atomic(durable=True) stand inside, as TestCase does
    with outermost:
        try:
            with tenant_scope(tenant("acme")):
                yield
        finally:
            transaction.set_rollback(True)


@contextmanager
def committed() -> Iterator[None]:
    """Inside acme, with real commits; the rows are cleared afterwards."""
    try:
        with tenant_scope(tenant("acme")):
            yield
    finally:
        clear()


def clear() -> None:
    """Empty what a committing test may have written, lay the seeds again, forget other merchants."""
    if connection.in_atomic_block:
        raise RuntimeError("a test left a transaction open")
    _execute("SET lock_timeout = '15s'")
    with public_scope():
        for other in Tenant.objects.exclude(slug__in=SLUGS):
            _execute(f'DROP SCHEMA IF EXISTS "{other.schema_name}" CASCADE')
        emptying.empty("public")
        emptying.count_on_from("public", {})
        Domain.objects.exclude(domain__in=[f"{slug}.testserver" for slug in SLUGS]).delete()
        Tenant.objects.exclude(slug__in=SLUGS).delete()
        Tenant.objects.filter(slug__in=SLUGS).update(
            state=TenantState.ACTIVE, is_sandbox=True, clock_offset_seconds=0, policy={}, suspended_at=None
        )
    for slug in SLUGS:
        _clear_tenant(tenant(slug))
    _execute("RESET lock_timeout")


def _clear_tenant(row: Tenant) -> None:
    """Few tests touch the seeds: they are left where they lie, and laid anew only where they are not as they were laid."""
    schema = row.schema_name
    seeds = _laid.get(schema, _Seeds(frozenset(), {}))
    if emptying.empty(schema, but=seeds.tables):
        emptying.count_on_from(schema, seeds.numbers)
        return
    emptying.count_on_from(schema, {})
    lay_seeds(row)
    _laid[schema] = _Seeds(frozenset(emptying.filled(schema)), emptying.numbers(schema))


@dataclass(frozen=True)
class _Seeds:
    """What the seeds of a schema are when nobody touched them."""

    tables: frozenset[emptying.Filled]
    numbers: dict[str, int]


_laid: dict[str, _Seeds] = {}


def _build_tenant(slug: str) -> None:
    with public_scope():
        row = Tenant.objects.create(
            slug=slug, name=slug.title(), schema_name=new_schema_name(), created_at=clock.wall(), is_sandbox=True
        )
        Domain.objects.create(domain=f"{slug}.testserver", tenant=row, is_primary=True, verified_at=clock.wall())
    steps.create_schema(row)
    steps.create_tables(row)
    _start_ids_at(row.schema_name, FIRST_ID[slug])
    lay_seeds(row)
    with public_scope():
        row.state, row.provision_step = TenantState.ACTIVE, "active"
        row.save(update_fields=["state", "provision_step"])


def _start_ids_at(schema: str, first: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = %s", [schema])
        names = [name for (name,) in cursor.fetchall()]
        for name in names:
            cursor.execute(f'ALTER SEQUENCE "{schema}"."{name}" START WITH {first} RESTART')


@dataclass(frozen=True)
class Copy:
    """What acme and the public schema held at a moment."""

    rows: dict[str, bytes]  # table → its rows, as COPY writes them
    numbers: dict[str, dict[str, int]]  # schema → sequence → the last number it gave


def copied() -> Copy:
    """Keep everything that is committed for acme."""
    copy = Copy({}, {})
    with connection.cursor() as cursor:
        for schema in ("public", tenant("acme").schema_name):
            filled = {found.table for found in emptying.filled(schema)}
            for table in (name for name in _referred_first(cursor, schema) if name in filled):
                kept = io.BytesIO()
                cursor.copy_expert(f"COPY {table} TO STDOUT (FORMAT binary)", kept)
                copy.rows[table] = kept.getvalue()
            copy.numbers[schema] = emptying.numbers(schema)
    return copy


def lay(copy: Copy) -> None:
    """Let acme and the public schema hold again what was kept."""
    for schema in copy.numbers:
        emptying.empty(schema)
    with emptying.unchecked(), connection.cursor() as cursor:
        for table, rows in copy.rows.items():
            cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT binary)", io.BytesIO(rows))
    for schema, numbers in copy.numbers.items():
        emptying.count_on_from(schema, numbers)


def _referred_first(cursor: Any, schema: str) -> list[str]:
    """The schema's tables, each after those it refers to: foreign keys are checked at every statement."""
    cursor.execute(
        'SELECT format(\'"%%s"."%%s"\', schemaname, tablename), array_agg(format(\'"%%s"."%%s"\', schemaname, other.relname))'
        " FILTER (WHERE other.relname <> tablename) FROM pg_tables"
        " LEFT JOIN pg_constraint ON contype = 'f' AND conrelid = format('%%I.%%I', schemaname, tablename)::regclass"
        " LEFT JOIN pg_class AS other ON other.oid = confrelid WHERE schemaname = %s GROUP BY schemaname, tablename",
        [schema],
    )
    return list(TopologicalSorter({table: others or () for table, others in cursor.fetchall()}).static_order())


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@lru_cache(maxsize=1)
def digest() -> str:
    """A name for what a test database is made from."""
    found = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            found.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:32]
