"""Rows about a person → Q. Built of EXISTS and coalesced sums, which are never null."""

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db.models import BigIntegerField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from conditions import windows
from conditions.compiler.asking import Ask
from conditions.compiler.sequences import InOrder
from conditions.operators import ValueType
from conditions.registry import Field
from conditions.tree import Leaf


def of_rows(field: Field, leaf: Leaf, ask: Ask, *, negated: bool) -> Q:
    """A statement about rows, or its complement."""
    how = {ValueType.SET: _set, ValueType.FACTS: _facts, ValueType.SEQUENCE: _sequence}[field.type]
    found = how(field, leaf, ask)
    return ~found if negated else found


def rows_of(field: Field, leaf: Leaf, ask: Ask) -> QuerySet[Any]:
    """The rows a leaf is about, of its window."""
    rows = field.rows_for(leaf)
    if leaf.window is not None:
        rows = rows.filter(windows.rows_within(field.at, windows.span(leaf.window, ask.now)))
    return rows.exclude(**{f"{field.at}__gt": ask.now}) if ask.as_of and field.at else rows


def _paths(field: Field) -> tuple[str, str]:
    return field.person, f"{field.person}__root"


def _exists(field: Field, rows: QuerySet[Any]) -> Q:
    return reduce(or_, (Q(Exists(rows.filter(**{path: OuterRef("pk")}))) for path in _paths(field)))


def _held(field: Field, leaf: Leaf) -> Q:
    """A set that stands in a column of the root."""
    assert field.held is not None
    if leaf.op == "all":
        return reduce(and_, (field.held([value]) for value in leaf.value))
    found = field.held([] if leaf.op in ("empty", "not_empty") else leaf.value)
    return ~found if leaf.op in ("none", "empty") else found


def _set(field: Field, leaf: Leaf, ask: Ask) -> Q:
    if field.held is not None:
        return _held(field, leaf)
    rows = rows_of(field, leaf, ask)
    if leaf.op in ("empty", "not_empty"):
        found = _exists(field, rows)
        return found if leaf.op == "not_empty" else ~found
    if leaf.op == "all":
        return reduce(and_, (_exists(field, rows.filter(**{field.value: value})) for value in leaf.value))
    found = _exists(field, rows.filter(**{f"{field.value}__in": leaf.value}))
    return found if leaf.op == "any" else ~found


def _facts(field: Field, leaf: Leaf, ask: Ask) -> Q:
    rows = rows_of(field, leaf, ask)
    if leaf.op == "never" or (leaf.op == "count_at_most" and leaf.value == 0):
        return ~_exists(field, rows)
    if leaf.op == "count_at_least" and leaf.value == 1:
        return _exists(field, rows)
    if leaf.op == "last_older_than":
        return _exists(field, rows) & ~_exists(
            field, rows.filter(**{f"{field.at}__gt": ask.now - timedelta(days=leaf.value)})
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


def _sequence(field: Field, leaf: Leaf, ask: Ask) -> Q:
    rows = rows_of(field, leaf, ask).filter(**{f"{field.value}__in": leaf.value})
    hers = [rows.filter(**{path: OuterRef("pk")}).values_list(field.value, field.at) for path in _paths(field)]
    found = Q(InOrder(hers, leaf))
    return ~found if leaf.op == "not_in_order" else found
