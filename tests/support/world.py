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

from django.db import IntegrityError, connection, transaction

from scrm.lib import clock
from tenants.context import public_scope, tenant_scope
from tenants.models import Domain, Tenant, TenantState, new_schema_name
from tenants.provision import steps
from tenants.provision.seeds import lay_seeds

ROOT = Path(__file__).resolve().parents[2]
SLUGS = ("acme", "globex")
FIRST_ID = {"acme": 1_000_000, "globex": 1}
FEW = 1_000  # rows of a table
LASTING = {"public": ("django_migrations", "tenants_tenant", "tenants_domain")}  # tables that no test empties
_SOURCES = (
    "[a-z]*/migrations/*.py",
    "[a-z]*/*/migrations/*.py",
    "accounts/presets.py",
    "tenants/provision/*.py",
    "tenants/upgrade.py",
    "tests/support/world.py",
    "tests/support/database.py",
    "scrm/lib/db/**/*.py",
)


def tenant(slug: str) -> Tenant:
    """A merchant's row, read afresh."""
    return Tenant.objects.get(slug=slug)


def build() -> None:
    """Make both merchants in a database that has none."""
    for slug in SLUGS:
        _build_tenant(slug)


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
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '15s'")
    with public_scope():
        for other in Tenant.objects.exclude(slug__in=SLUGS):
            _execute(f'DROP SCHEMA IF EXISTS "{other.schema_name}" CASCADE')
        _empty("public")
        Domain.objects.exclude(domain__in=[f"{slug}.testserver" for slug in SLUGS]).delete()
        Tenant.objects.exclude(slug__in=SLUGS).delete()
        Tenant.objects.filter(slug__in=SLUGS).update(
            state=TenantState.ACTIVE, is_sandbox=True, clock_offset_seconds=0, policy={}, suspended_at=None
        )
    for slug in SLUGS:
        _empty(tenant(slug).schema_name)
        lay_seeds(tenant(slug))
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


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
    numbers: dict[str, int]  # sequence → the last number it gave


def copied() -> Copy:
    """Keep everything that is committed for acme."""
    copy = Copy({}, {})
    with connection.cursor() as cursor:
        for schema in ("public", tenant("acme").schema_name):
            filled = _filled(cursor, schema)
            for table in (name for name in _referred_first(cursor, schema) if name in filled):
                kept = io.BytesIO()
                cursor.copy_expert(f"COPY {table} TO STDOUT (FORMAT binary)", kept)
                copy.rows[table] = kept.getvalue()
            cursor.execute(
                "SELECT format('%%I.%%I', schemaname, sequencename), last_value FROM pg_sequences"
                " WHERE schemaname = %s AND last_value IS NOT NULL AND sequencename <> ALL(%s)",
                [schema, _lasting_sequences(schema)],
            )
            copy.numbers.update(cursor.fetchall())
    return copy


def lay(copy: Copy) -> None:
    """Let acme and the public schema hold again what was kept."""
    for schema in ("public", tenant("acme").schema_name):
        _empty(schema)
    with transaction.atomic(), connection.cursor() as cursor:
        for table, rows in copy.rows.items():
            cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT binary)", io.BytesIO(rows))
        cursor.execute(
            "SELECT setval(name::regclass, number) FROM unnest(%s::text[], %s::bigint[]) AS last (name, number)",
            [list(copy.numbers), list(copy.numbers.values())],
        )


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


def _empty(schema: str) -> None:
    """No rows, and ids from the start again. TRUNCATE makes files anew for each table, each of its indexes, and all that refer
    to it: for the few rows of most tests, deleting them is ten times as fast."""
    with connection.cursor() as cursor:
        counts = _filled(cursor, schema)
        if counts:
            _delete(cursor, list(counts), are_few=max(counts.values()) <= FEW)
        cursor.execute(
            "SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass, start_value, false)"
            " FROM pg_sequences WHERE schemaname = %s AND last_value IS NOT NULL AND sequencename <> ALL(%s)",
            [schema, _lasting_sequences(schema)],
        )


def _filled(cursor: Any, schema: str) -> dict[str, int]:
    """Table → how many rows it has, at most FEW and one, of all that have any."""
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema])
    tables = [f'"{schema}"."{name}"' for (name,) in cursor.fetchall() if name not in _lasting(schema)]
    if not tables:
        return {}
    some = "SELECT '{0}', count(*) FROM (SELECT 1 FROM {0} LIMIT %s) AS found HAVING count(*) > 0"
    cursor.execute(" UNION ALL ".join(some.format(table) for table in tables), [FEW + 1] * len(tables))
    return dict(cursor.fetchall())


def _lasting(schema: str) -> tuple[str, ...]:
    return LASTING.get(schema, ("django_migrations",))


def _lasting_sequences(schema: str) -> list[str]:
    return [f"{name}_id_seq" for name in _lasting(schema)]


def _delete(cursor: Any, tables: list[str], *, are_few: bool) -> None:
    """In one statement, after which all of them are gone, so that their order does not matter. Locked as TRUNCATE does: what a
    thread of the test has not committed yet is waited for. If that brought rows to a table not among these, TRUNCATE finds them."""
    named = ", ".join(tables)
    deleted = ", ".join(f"_{number} AS (DELETE FROM {table})" for number, table in enumerate(tables))
    try:
        cursor.execute(f"LOCK TABLE {named}; WITH {deleted} SELECT 1" if are_few else f"TRUNCATE {named} CASCADE")
    except IntegrityError:
        cursor.execute(f"TRUNCATE {named} CASCADE")


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
