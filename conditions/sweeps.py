"""Work over the whole table: room for it, and the next boundaries in time of everybody at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection

from conditions import registry
from conditions.compiler.sweeping import counted_for_roots
from conditions.people import people
from conditions.recheck import earliest, of_values, rows_ahead
from conditions.tree import leaves, parse

# A subquery under OR becomes a table in memory of the people it finds, 40 bytes each by the planner's reckoning; beyond twice
# work_mem it runs the subquery once per person instead. So much holds six million people.
WORK_MEM = "128MB"


@contextmanager
def room() -> Iterator[None]:
    """What a statement with compile_tree(…, sweep=True) wants, within the caller's transaction. Compiling a statement to machine code
    (jit) takes longer than such a statement runs."""
    wanted = {"work_mem": WORK_MEM, "jit": "off"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join("current_setting(%s)" for _name in wanted), list(wanted))
        before = dict(zip(wanted, cursor.fetchone(), strict=True))
        cursor.execute("SELECT pg_size_bytes(%s) >= pg_size_bytes(%s)", [before["work_mem"], WORK_MEM])
        if cursor.fetchone()[0]:
            wanted["work_mem"] = before["work_mem"]
        _set(wanted)
    try:
        yield
    finally:
        if not connection.needs_rollback:  # else the settings go with what is rolled back
            _set(before)


def _set(values: dict[str, str]) -> None:
    with connection.cursor() as cursor:
        for name, value in values.items():
            cursor.execute(f"SET LOCAL {name} = %s", [value])


def rechecks(tree: dict[str, Any], now: datetime) -> tuple[str, list[Any]] | None:
    """A SELECT of (id, at) for everybody: what recheck_at says of each. None when no leaf depends on time."""
    values: list[Any] = []
    parts: list[str] = []
    params: list[Any] = []
    for leaf in leaves(parse(tree)):
        field = registry.find(leaf.field)
        if field is None:
            continue
        values += of_values(field, leaf, now)
        for rows, delay in rows_ahead(field, leaf, now):
            sql, given = rows.values_list(field.person, field.at).query.sql_with_params()
            parts.append(f"SELECT person, at + %s FROM ({counted_for_roots(sql, 'person, at')}) AS ahead")
            params += [delay, *given]
    if values:
        sql, given = people().annotate(_at=earliest(values)).values_list("pk", "_at").query.sql_with_params()
        parts.append(sql)
        params += given
    if not parts:
        return None
    known, of_known = people().values_list("pk").query.sql_with_params()
    sql = (
        f"SELECT found.id, min(found.at) FROM ({' UNION ALL '.join(parts)}) AS found (id, at)"
        f" WHERE found.at IS NOT NULL AND found.id IN ({known}) GROUP BY found.id"
    )
    return sql, [*params, *of_known]
