"""Empties the schemas that a committing test wrote in, and fills them again from a copy.

Some hundred tests wait for this, and a schema has more than a hundred tables: what each connection can prepare once, and what
the database need not check, is left out.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from django.db import IntegrityError, connection, transaction

HOME = "helpers"  # a schema beside those of the tests
FEW = 1_000  # rows of a table
FEW_UNCHECKED = 20_000
LASTING = {"public": ("django_migrations", "tenants_tenant", "tenants_domain")}  # tables that no test empties


class Filled(NamedTuple):
    """A table with rows. newest: the last transaction that wrote one of them; the same figures are the same rows."""

    table: str
    rows: int  # or FEW_UNCHECKED and one
    newest: int


def prepare(schema: str) -> None:
    """Make the function that tells which tables have rows. Its statements are planned once per connection; all of them in one
    query are planned each time, which takes longer than everything else here."""
    look = (
        "RETURN QUERY SELECT '{0}', count(*), max(xmin::text::bigint) FROM (SELECT xmin FROM {0} LIMIT {1}) AS found"
        " HAVING count(*) > 0;"
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema])
        names = [f'"{schema}"."{name}"' for (name,) in cursor.fetchall() if name not in _lasting(schema)]
        looks = "\n".join(look.format(name, FEW_UNCHECKED + 1) for name in names)
        cursor.execute(
            f'CREATE SCHEMA IF NOT EXISTS {HOME}; CREATE FUNCTION {HOME}."{schema}"()'
            f" RETURNS TABLE (name text, rows bigint, newest bigint) LANGUAGE plpgsql AS $$ BEGIN {looks} END $$"
        )


def filled(schema: str) -> list[Filled]:
    """Every table of the schema that has rows."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM {HOME}."{schema}"()')
        return [Filled(*row) for row in cursor.fetchall()]


def empty(schema: str, *, but: frozenset[Filled] = frozenset()) -> bool:
    """Leave no rows except these, if all of these are there as they were; else none at all. Whether they were.

    Looked at again afterwards, since a thread of the test may have committed meanwhile.
    """
    found = set(filled(schema))
    kept = but if but <= found else frozenset()
    while found := found - kept:
        _delete(found)
        found = set(filled(schema))
    return bool(kept)


def numbers(schema: str) -> dict[str, int]:
    """Sequence → the last number it gave."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sequencename, last_value FROM pg_sequences"
            " WHERE schemaname = %s AND last_value IS NOT NULL AND sequencename <> ALL(%s)",
            [schema, _lasting_sequences(schema)],
        )
        return dict(cursor.fetchall())


def count_on_from(schema: str, last: Mapping[str, int]) -> None:
    """Let the sequences go on after these numbers; those that are not named, from the start."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass, coalesce(number, start_value), number IS NOT NULL)"
            " FROM pg_sequences LEFT JOIN unnest(%s::text[], %s::bigint[]) AS last (name, number) ON name = sequencename"
            " WHERE schemaname = %s AND (last_value IS NOT NULL OR number IS NOT NULL) AND sequencename <> ALL(%s)",
            [list(last), list(last.values()), schema, _lasting_sequences(schema)],
        )


@contextmanager
def unchecked() -> Iterator[bool]:
    """One transaction, in which foreign keys are not looked after, where the server lets us. Whether it does.

    For many rows: the server forgets what it has prepared.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        may = connection.pg_version >= 150_000  # type: ignore[attr-defined]  # the stubs know every database, this is PostgreSQL
        if may:
            cursor.execute("SELECT has_parameter_privilege('session_replication_role', 'SET')")
            (may,) = cursor.fetchone()
        if may:
            cursor.execute("SET LOCAL session_replication_role = replica")
        yield may


def _delete(found: Collection[Filled]) -> None:
    """In one statement, after which all of them are gone, so that their order does not matter. Locked as TRUNCATE does: what a
    thread of the test has not committed yet is waited for. TRUNCATE makes files anew for each table, each of its indexes, and all
    that refer to it: deleting few rows is ten times as fast, and many, if nobody looks for what refers to each."""
    named = ", ".join(table.table for table in found)
    deleted = ", ".join(f"_{number} AS (DELETE FROM {table.table})" for number, table in enumerate(found))
    most = max(table.rows for table in found)
    with unchecked() if most > FEW else nullcontext(True) as may, connection.cursor() as cursor:
        try:
            with transaction.atomic():
                if may and most <= FEW_UNCHECKED:
                    cursor.execute(f"LOCK TABLE {named}; WITH {deleted} SELECT 1")
                else:
                    cursor.execute(f"TRUNCATE {named} CASCADE")
        except IntegrityError:  # rows came to a table that is not among these
            cursor.execute(f"TRUNCATE {named} CASCADE")


def _lasting(schema: str) -> tuple[str, ...]:
    return LASTING.get(schema, ("django_migrations",))


def _lasting_sequences(schema: str) -> list[str]:
    return [f"{name}_id_seq" for name in _lasting(schema)]
