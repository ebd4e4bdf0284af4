"""One value per person → Q: columns of the root contact, and where the lot of a seed puts her."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import reduce
from operator import and_
from typing import Any

from django.db.models import BigIntegerField, BooleanField, Case, DateField, DateTimeField, Func, Q, Value, When
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

from conditions import windows
from conditions.compiler.asking import Ask
from conditions.operators import ValueType
from conditions.registry import Field
from conditions.tree import Leaf


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
    "not_in_share": "in_share",
}


def single(field: Field, leaf: Leaf, ask: Ask, *, negated: bool) -> Q:
    """A statement about a value, or its complement."""
    if leaf.op in ("empty", "not_empty"):
        is_empty = (leaf.op == "empty") != negated
        found = _emptiness(field, ask, is_empty=is_empty)
        return found if is_empty else _narrowed(field, leaf, found)
    positive = _COMPLEMENTS.get(leaf.op)
    if positive is not None:
        leaf, negated = replace(leaf, op=positive), not negated
    condition = _SINGLE[leaf.op](_expression(field, ask), leaf, ask)
    return Q(_IsNotTrue(condition)) if negated else _narrowed(field, leaf, Q(condition))


def _expression(field: Field, ask: Ask) -> Any:
    """The value. Seen from a past day, a moment after it has not come yet, nor a day that follows from it."""
    assert field.expression is not None
    expression = field.expression(ask.now)
    moment = expression if field.type == ValueType.MOMENT else field.follows
    if not ask.as_of or moment is None or field.is_planned:
        return expression
    kind = DateTimeField() if field.type == ValueType.MOMENT else DateField()
    return Case(When(LessThanOrEqual(moment, ask.now), then=expression), output_field=kind)


def _narrowed(field: Field, leaf: Leaf, holds: Q) -> Q:
    return holds & field.narrow(leaf) if field.narrow else holds


def _emptiness(field: Field, ask: Ask, *, is_empty: bool) -> Q:
    expression = _expression(field, ask)
    if field.type == ValueType.TEXT:
        return (
            Q(Exact(Coalesce(expression, Value("")), Value(""))) if is_empty else Q(GreaterThan(expression, Value("")))
        )
    return Q(IsNull(expression, is_empty))


def _between(expression: Any, leaf: Leaf, ask: Ask) -> Any:
    low, high = leaf.value
    return _IsTrue(Q(GreaterThanOrEqual(expression, low)) & Q(LessThanOrEqual(expression, high)))


def _within(expression: Any, leaf: Leaf, ask: Ask) -> Any:
    assert leaf.window is not None
    span = windows.span(leaf.window, ask.now)
    tests: list[Any] = []
    if span.start is not None:
        tests.append((GreaterThan if span.rolling else GreaterThanOrEqual)(expression, span.start))
    if span.end is not None:
        tests.append((LessThanOrEqual if span.rolling else LessThan)(expression, span.end))
    return _IsTrue(reduce(and_, (Q(test) for test in tests)))


def _upcoming(expression: Any, leaf: Leaf, ask: Ask) -> Any:
    """Month and day among those of the next days, today included; 29 February stands on the 28th in a common year."""
    today = ask.now.astimezone(windows.zone()).date()
    days = [today + timedelta(days=ahead) for ahead in range(leaf.value + 1)]
    wanted = {day.month * 100 + day.day for day in days}
    if any((day.month, day.day) == (2, 28) and (day + timedelta(days=1)).month == 3 for day in days):
        wanted.add(229)
    return In(ExtractMonth(expression) * 100 + ExtractDay(expression), sorted(wanted))


class _Place(Func):
    """Where the lot of a seed puts an id: the first 32 bits of an MD5, as a number."""

    template = "(('x' || substr(md5(%(expressions)s::text), 1, 8))::bit(32)::bigint)"
    arg_joiner = " || "
    output_field = BigIntegerField()


def _in_share(expression: Any, leaf: Leaf, ask: Ask) -> Any:
    """from ≤ place × 100 / 2^32 < to, as whole numbers: 2^32 / 10,000 places to a hundredth of a per cent."""
    start, end = (-(-int(Decimal(str(leaf.value[key])) * 100) * 2**32 // 10_000) for key in ("from", "to"))
    place = _Place(Value(f"{leaf.value['seed']}:"), expression)
    return _IsTrue(Q(GreaterThanOrEqual(place, start)) & Q(LessThan(place, end)))


_SINGLE: dict[str, Callable[[Any, Leaf, Ask], Any]] = {
    "is": lambda expression, leaf, ask: Exact(expression, leaf.value),
    "contains": lambda expression, leaf, ask: Contains(expression, leaf.value),
    "starts_with": lambda expression, leaf, ask: StartsWith(expression, leaf.value),
    "eq": lambda expression, leaf, ask: Exact(expression, leaf.value),
    "gte": lambda expression, leaf, ask: GreaterThanOrEqual(expression, leaf.value),
    "lte": lambda expression, leaf, ask: LessThanOrEqual(expression, leaf.value),
    "between": _between,
    "in": lambda expression, leaf, ask: In(expression, leaf.value),
    "yes": lambda expression, leaf, ask: _IsTrue(expression),
    "within": _within,
    "older_than": lambda expression, leaf, ask: LessThanOrEqual(expression, ask.now - timedelta(days=leaf.value)),
    "upcoming": _upcoming,
    "in_share": _in_share,
}
