"""Work over the whole table: room for it, and the next boundaries in time of everybody at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Value

from conditions import registry
from conditions.compiler.asking import Ask
from conditions.compiler.sweeping import counted_for_roots, join
from conditions.compiler.trees import compile_node
from conditions.people import people
from conditions.recheck import LAST, earliest, is_timed, of_values, row_delays, rows_ahead
from conditions.registry import Field
from conditions.tree import Group, Leaf, Node, leaves, parse

# A subquery under OR becomes a table in memory of the people it finds, 40 bytes each by the planner's reckoning; beyond twice
# work_mem it runs the subquery once per person instead. So much holds six million people.
WORK_MEM = "128MB"


# Rows that leave a window take from a total what is positive. So `at least` is never reached by whom all rows within reach do not bring
# there; and `at most` was never passed by whom they do not take beyond.
_SUM = "COALESCE(sum(GREATEST(measured, 0)), 0)"
TOTALS = {
    "count_at_least": "count(*) >=",
    "count_at_most": "count(*) >",
    "sum_at_least": f"{_SUM} >=",
    "sum_at_most": f"{_SUM} >",
}


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
    """A SELECT of (id, at) for everybody: an instant no later than the first at which time alone changes her answer. None when no leaf
    depends on time.

    Who is left out, though recheck_at names an instant: whom a total cannot concern, since rows that leave a window only take from it; and
    who is kept out by what time does not change. When a fact changes that, she is decided anew, and her boundary with it.
    """
    root = parse(tree)
    values: list[Any] = []
    parts: list[str] = []
    params: list[Any] = []
    for leaf in leaves(root):
        field = registry.find(leaf.field)
        if field is None:
            continue
        values += of_values(field, leaf, now)
        if delays := row_delays(field, leaf, now):
            sql, given = _of_rows(field, leaf, delays, now)
            parts.append(sql)
            params += given
    if values:
        sql, given = people().annotate(_at=earliest(values)).values_list("pk", "_at").query.sql_with_params()
        parts.append(sql)
        params += given
    if not parts:
        return None
    known, of_known = _whom_time_may_move(root, now).values_list("pk").query.sql_with_params()
    sql = (
        f"SELECT found.id, min(found.at) FROM ({' UNION ALL '.join(parts)}) AS found (id, at)"
        f" WHERE found.at IS NOT NULL AND found.id IN ({known}) GROUP BY found.id"
    )
    return sql, [*params, *of_known]


def _of_rows(field: Field, leaf: Leaf, delays: Sequence[timedelta], now: datetime) -> tuple[str, list[Any]]:
    """The boundaries of one leaf about rows: one reading of the rows that are, or will be, within its longest reach."""
    longest, total = delays[-1], TOTALS.get(leaf.op)
    measured = field.amount if leaf.op.startswith("sum") else Value(1)
    rows = rows_ahead(field, leaf, now - longest)
    sql, params = rows.values_list(field.person, field.at, measured).query.sql_with_params()
    picked = "max(at) + %s" if leaf.op == LAST else "min(at) + %s"
    given: list[Any] = [longest]
    for shorter in delays[:-1]:
        picked = f"LEAST({picked}, min(at) FILTER (WHERE at > %s) + %s)"
        given += [now - shorter, shorter]
    found = f"SELECT person, {picked} AS at FROM ({counted_for_roots(sql, 'person, at, measured')}) AS ahead GROUP BY person"
    if total is None:
        return found, [*given, *params]
    return f"{found} HAVING {total} %s", [*given, *params, leaf.value]


def _whom_time_may_move(root: Node, now: datetime) -> QuerySet[Any]:
    """Everybody for whom those parts of an outermost 全部满足 hold that time does not change."""
    rows = people()
    if isinstance(root, Group) and root.kind == "all":
        ask = Ask(now, sweep=True)
        for part in root.parts:
            if not any(is_timed(leaf, now) for leaf in leaves(part)):
                rows = rows.filter(join(compile_node(part, ask)))
    return rows
