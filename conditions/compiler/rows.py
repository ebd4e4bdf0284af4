"""Rows about a person → Q. Built of EXISTS and coalesced sums, which are never null."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import add, and_, or_
from typing import Any

from django.db.models import BigIntegerField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from conditions import windows
from conditions.compiler.asking import Ask
from conditions.compiler.sequences import InOrder
from conditions.compiler.sweeping import Swept, negate
from conditions.operators import ValueType
from conditions.registry import Field
from conditions.tree import Leaf


def of_rows(field: Field, leaf: Leaf, ask: Ask, *, negated: bool) -> Q:
    """A statement about rows, or its complement."""
    how = {ValueType.SET: _set, ValueType.FACTS: _facts, ValueType.SEQUENCE: _sequence}[field.type]
    found = how(field, leaf, ask)
    return negate(found) if negated else found


def rows_of(field: Field, leaf: Leaf, ask: Ask) -> QuerySet[Any]:
    """The rows a leaf is about, of its window."""
    rows = field.rows_for(leaf)
    if leaf.window is not None:
        rows = rows.filter(windows.rows_within(field.at, windows.span(leaf.window, ask.now)))
    return rows.exclude(**{f"{field.at}__gt": ask.now}) if ask.as_of and field.at else rows


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
        found = _exists(field, rows, ask)
        return found if leaf.op == "not_empty" else negate(found)
    if leaf.op == "all":
        return reduce(and_, (_exists(field, rows.filter(**{field.value: value}), ask) for value in leaf.value))
    found = _exists(field, rows.filter(**{f"{field.value}__in": leaf.value}), ask)
    return found if leaf.op == "any" else negate(found)


def _facts(field: Field, leaf: Leaf, ask: Ask) -> Q:
    rows = rows_of(field, leaf, ask)
    if leaf.op == "never" or (leaf.op == "count_at_most" and leaf.value == 0):
        return negate(_exists(field, rows, ask))
    if leaf.op == "count_at_least" and leaf.value == 1:
        return _exists(field, rows, ask)
    if leaf.op == "last_older_than":
        return _last_older_than(field, rows, ask.now - timedelta(days=leaf.value), ask)
    if ask.sweep:
        return _swept_total(field, rows, leaf)
    compare = GreaterThanOrEqual if leaf.op.endswith("at_least") else LessThanOrEqual
    measure = Sum(field.amount) if leaf.op.startswith("sum") else Count("*")
    return Q(compare(_total(field, rows, measure, ask), Value(leaf.value)))


def _sequence(field: Field, leaf: Leaf, ask: Ask) -> Q:
    rows = rows_of(field, leaf, ask).filter(**{f"{field.value}__in": leaf.value})
    if ask.sweep:
        found = Q(Swept(rows.values_list(field.person, field.value, field.at), leaf=leaf))
    else:
        hers = [rows.filter(**{path: OuterRef("pk")}).values_list(field.value, field.at) for path in paths(field, ask)]
        found = Q(InOrder(hers, leaf))
    return negate(found) if leaf.op == "not_in_order" else found


# --- Is there a row, and how much is it all together? --------------------------------------------------------------


def paths(field: Field, ask: Ask) -> list[str]:
    """From a row to the root it counts for: hers, and those of her branches where she may have any."""
    return [field.person] if ask.alone else [field.person, f"{field.person}__root"]


def _exists(field: Field, rows: QuerySet[Any], ask: Ask) -> Q:
    if ask.sweep:
        return Q(Swept(rows.values_list(field.person)))
    return reduce(or_, (Q(Exists(rows.filter(**{path: OuterRef("pk")}))) for path in paths(field, ask)))


def _last_older_than(field: Field, rows: QuerySet[Any], at: datetime, ask: Ask) -> Q:
    if ask.sweep:
        return Q(Swept(rows.values_list(field.person, field.at), having="max(measured) <= %s", given=[at]))
    return _exists(field, rows, ask) & ~_exists(field, rows.filter(**{f"{field.at}__gt": at}), ask)


def _total(field: Field, rows: QuerySet[Any], measure: Any, ask: Ask) -> Any:
    """The measure over her own rows plus that over her branches'; of no rows: 0."""
    parts: Sequence[Any] = [
        Coalesce(
            Subquery(
                rows.filter(**{path: OuterRef("pk")}).values(_one=F(path)).annotate(_measure=measure).values("_measure")
            ),
            Value(0),
            output_field=BigIntegerField(),
        )
        for path in paths(field, ask)
    ]
    return reduce(add, parts)


def _swept_total(field: Field, rows: QuerySet[Any], leaf: Leaf) -> Q:
    """Of whoever has no rows no group is made: where 0 would do, the people whose total would not are sought and left out."""
    is_sum, is_least = leaf.op.startswith("sum"), leaf.op.endswith("at_least")
    measure = "COALESCE(sum(measured), 0)" if is_sum else "count(*)"
    with_none = 0 >= leaf.value if is_least else 0 <= leaf.value
    compare = (">=" if is_least else "<=") if not with_none else ("<" if is_least else ">")
    asked = rows.values_list(field.person, field.amount if is_sum else Value(1))
    found = Q(Swept(asked, having=f"{measure} {compare} %s", given=[leaf.value]))
    return negate(found) if with_none else found
