"""Tree → Q over root contacts. Every leaf is true or false for a person; negation is pushed down to the leaves.

SQL's third value never surfaces: above the leaves stand only AND and OR, for which "unknown" acts like false, and a negated
leaf is spelled out (NOT EXISTS, IS NOT TRUE). Rows of a person are looked up by two index probes, her own and her branches':
one probe on coalesce(root, id) could use no index, and a person who changed would cost a scan.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db.models import (
    BigIntegerField,
    BooleanField,
    Count,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce, ExtractDay, ExtractMonth
from django.db.models.lookups import (
    Contains,
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThan,
    LessThanOrEqual,
    StartsWith,
)

from conditions import registry, windows
from conditions.operators import ValueType
from conditions.recheck import recheck_at, recheck_expression
from conditions.registry import Field
from conditions.tree import Group, Leaf, Negation, Node, parse

__all__ = ["UnknownField", "compile_leaf", "compile_tree", "recheck_at", "recheck_expression"]

NOBODY = Q(pk__in=[])
EVERYBODY = Q()


class UnknownField(LookupError):
    """A leaf names a field or operator that is not registered. Validated trees have none, until an app goes."""


def compile_tree(tree: dict[str, Any], now: datetime) -> Q:
    """The people a valid tree holds for at a domain instant, as a Q over conditions.people.people().

    Raises UnknownField.
    """
    return _compile(parse(tree), now, negated=False)


def _compile(node: Node, now: datetime, *, negated: bool) -> Q:
    if isinstance(node, Negation):
        return _compile(node.part, now, negated=not negated)
    if isinstance(node, Leaf):
        return compile_leaf(node, now, negated=negated)
    return _compile_group(node, now, negated)


def _compile_group(node: Group, now: datetime, negated: bool) -> Q:
    joined_by_and = (node.kind == "all") != negated
    if not node.parts:
        return EVERYBODY if joined_by_and else NOBODY
    parts = [_compile(part, now, negated=negated) for part in node.parts]
    return reduce(and_ if joined_by_and else _either, parts)


def _either(left: Q, right: Q) -> Q:
    """OR, where an empty Q means everybody (Django's own drops it)."""
    return EVERYBODY if not left or not right else or_(left, right)


def compile_leaf(leaf: Leaf, now: datetime, *, negated: bool = False) -> Q:
    """One statement, or its complement."""
    field = registry.find(leaf.field)
    if field is None or field.operator(leaf.op) is None:
        raise UnknownField(f"{leaf.field} {leaf.op}")
    if field.type == ValueType.SET:
        return _negate_rows(_set(field, leaf, now), negated)
    if field.type == ValueType.FACTS:
        return _negate_rows(_facts(field, leaf, now), negated)
    return _single(field, leaf, now, negated)


# --- One value per person ---------------------------------------------------------------------------------------


class _IsNotTrue(Func):
    template = "(%(expressions)s) IS NOT TRUE"
    output_field = BooleanField()


class _IsTrue(_IsNotTrue):
    template = "(%(expressions)s) IS TRUE"


_COMPLEMENTS = {
    "is_not": "is",
    "not_contains": "contains",
    "ne": "eq",
    "not_in": "in",
    "no": "yes",
    "not_within": "within",
    "not_upcoming": "upcoming",
}


def _single(field: Field, leaf: Leaf, now: datetime, negated: bool) -> Q:
    if leaf.op in ("empty", "not_empty"):
        is_empty = (leaf.op == "empty") != negated
        found = _emptiness(field, now, is_empty=is_empty)
        return found if is_empty else _narrowed(field, leaf, found)
    positive = _COMPLEMENTS.get(leaf.op)
    if positive is not None:
        leaf, negated = replace(leaf, op=positive), not negated
    assert field.expression is not None
    condition = _SINGLE[leaf.op](field.expression(now), leaf, now)
    return Q(_IsNotTrue(condition)) if negated else _narrowed(field, leaf, Q(condition))


def _narrowed(field: Field, leaf: Leaf, holds: Q) -> Q:
    return holds & field.narrow(leaf) if field.narrow else holds


def _emptiness(field: Field, now: datetime, *, is_empty: bool) -> Q:
    assert field.expression is not None
    expression = field.expression(now)
    if field.type == ValueType.TEXT:
        return (
            Q(Exact(Coalesce(expression, Value("")), Value(""))) if is_empty else Q(GreaterThan(expression, Value("")))
        )
    return Q(IsNull(expression, is_empty))


def _between(expression: Any, leaf: Leaf, now: datetime) -> Any:
    low, high = leaf.value
    return _IsTrue(Q(GreaterThanOrEqual(expression, low)) & Q(LessThanOrEqual(expression, high)))


def _within(expression: Any, leaf: Leaf, now: datetime) -> Any:
    assert leaf.window is not None
    span = windows.span(leaf.window, now)
    tests: list[Any] = []
    if span.start is not None:
        tests.append((GreaterThan if span.rolling else GreaterThanOrEqual)(expression, span.start))
    if span.end is not None:
        tests.append((LessThanOrEqual if span.rolling else LessThan)(expression, span.end))
    return _IsTrue(reduce(and_, (Q(test) for test in tests)))


def _upcoming(expression: Any, leaf: Leaf, now: datetime) -> Any:
    """Month and day among those of the next days, today included; 29 February stands on the 28th in a common year."""
    today = now.astimezone(windows.zone()).date()
    days = [today + timedelta(days=ahead) for ahead in range(leaf.value + 1)]
    wanted = {day.month * 100 + day.day for day in days}
    if any((day.month, day.day) == (2, 28) and (day + timedelta(days=1)).month == 3 for day in days):
        wanted.add(229)
    return In(ExtractMonth(expression) * 100 + ExtractDay(expression), sorted(wanted))


_SINGLE: dict[str, Callable[[Any, Leaf, datetime], Any]] = {
    "is": lambda expression, leaf, now: Exact(expression, leaf.value),
    "contains": lambda expression, leaf, now: Contains(expression, leaf.value),
    "starts_with": lambda expression, leaf, now: StartsWith(expression, leaf.value),
    "eq": lambda expression, leaf, now: Exact(expression, leaf.value),
    "gte": lambda expression, leaf, now: GreaterThanOrEqual(expression, leaf.value),
    "lte": lambda expression, leaf, now: LessThanOrEqual(expression, leaf.value),
    "between": _between,
    "in": lambda expression, leaf, now: In(expression, leaf.value),
    "yes": lambda expression, leaf, now: _IsTrue(expression),
    "within": _within,
    "older_than": lambda expression, leaf, now: LessThanOrEqual(expression, now - timedelta(days=leaf.value)),
    "upcoming": _upcoming,
}


# --- Rows about a person ----------------------------------------------------------------------------------------


def _negate_rows(condition: Q, negated: bool) -> Q:
    """Row conditions are built of EXISTS and coalesced sums, which are never null."""
    return ~condition if negated else condition


def _paths(field: Field) -> tuple[str, str]:
    return field.person, f"{field.person}__root"


def _exists(field: Field, rows: QuerySet[Any]) -> Q:
    return reduce(or_, (Q(Exists(rows.filter(**{path: OuterRef("pk")}))) for path in _paths(field)))


def _rows(field: Field, leaf: Leaf, now: datetime) -> QuerySet[Any]:
    rows = field.rows_for(leaf)
    if leaf.window is not None:
        rows = rows.filter(windows.rows_within(field.at, windows.span(leaf.window, now)))
    return rows


def _held(field: Field, leaf: Leaf) -> Q:
    """A set that stands in a column of the root."""
    assert field.held is not None
    if leaf.op == "all":
        return reduce(and_, (field.held([value]) for value in leaf.value))
    found = field.held([] if leaf.op in ("empty", "not_empty") else leaf.value)
    return ~found if leaf.op in ("none", "empty") else found


def _set(field: Field, leaf: Leaf, now: datetime) -> Q:
    if field.held is not None:
        return _held(field, leaf)
    rows = _rows(field, leaf, now)
    if leaf.op in ("empty", "not_empty"):
        found = _exists(field, rows)
        return found if leaf.op == "not_empty" else ~found
    if leaf.op == "all":
        return reduce(and_, (_exists(field, rows.filter(**{field.value: value})) for value in leaf.value))
    found = _exists(field, rows.filter(**{f"{field.value}__in": leaf.value}))
    return found if leaf.op == "any" else ~found


def _facts(field: Field, leaf: Leaf, now: datetime) -> Q:
    rows = _rows(field, leaf, now)
    if leaf.op == "never" or (leaf.op == "count_at_most" and leaf.value == 0):
        return ~_exists(field, rows)
    if leaf.op == "count_at_least" and leaf.value == 1:
        return _exists(field, rows)
    if leaf.op == "last_older_than":
        return _exists(field, rows) & ~_exists(
            field, rows.filter(**{f"{field.at}__gt": now - timedelta(days=leaf.value)})
        )
    compare = GreaterThanOrEqual if leaf.op.endswith("at_least") else LessThanOrEqual
    measure = Sum(field.amount) if leaf.op.startswith("sum") else Count("*")
    return Q(compare(_total(field, rows, measure), Value(leaf.value)))


def _total(field: Field, rows: QuerySet[Any], measure: Any) -> Any:
    """The measure over her own rows plus that over her branches'; of no rows: 0."""
    parts: Sequence[Any] = [
        Coalesce(
            Subquery(
                rows.filter(**{path: OuterRef("pk")}).values(_one=F(path)).annotate(_measure=measure).values("_measure")
            ),
            Value(0),
            output_field=BigIntegerField(),
        )
        for path in _paths(field)
    ]
    return parts[0] + parts[1]
