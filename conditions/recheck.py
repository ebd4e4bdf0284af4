"""When a person's answer may next change by time alone: per leaf an expression, the earliest of them per tree.

A rolling window has two boundaries: a row enters it `lag` after its instant and leaves it `lead` after. Evaluated at exactly such
an instant the answer is the new one. Nothing changes between; what changes by facts comes with a mark.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, DateTimeField, Func, Max, Min, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThan

from conditions import registry, windows
from conditions.operators import ValueType
from conditions.people import people
from conditions.registry import Field
from conditions.tree import Leaf, leaves, parse

LAST = "last_older_than"


def recheck_at(tree: dict[str, Any], contact_ids: Iterable[int], now: datetime) -> dict[int, datetime]:
    """Root contact id → the next instant after now at which the tree may answer otherwise. Who never will is left out."""
    expression = recheck_expression(tree, now)
    if expression is None:
        return {}
    rows = people().filter(pk__in=list(contact_ids)).annotate(_recheck=expression)
    return dict(rows.filter(_recheck__isnull=False).values_list("pk", "_recheck"))


def recheck_expression(tree: dict[str, Any], now: datetime) -> Any | None:
    """The same as an expression over root contacts, null for never; None when no leaf depends on time."""
    found: list[Any] = []
    for leaf in leaves(parse(tree)):
        field = registry.find(leaf.field)
        if field is not None:
            found += boundaries_of(field, leaf, now)
    return earliest(found) if found else None


def earliest(expressions: Sequence[Any]) -> Any:
    """The least of them that is not null."""
    return expressions[0] if len(expressions) == 1 else Least(*expressions)


def boundaries_of(field: Field, leaf: Leaf, now: datetime, *, alone: bool = False) -> list[Any]:
    """Expressions over root contacts, null for never, of which the earliest is when the leaf may answer otherwise. alone: none of the
    people asked has branches."""
    found = of_values(field, leaf, now)
    for delay in row_delays(field, leaf, now):
        found += _of_rows(field, leaf, delay, now, alone=alone)
    return found


def is_timed(leaf: Leaf, now: datetime) -> bool:
    """Whether time alone may change what a leaf says of anybody."""
    field = registry.find(leaf.field)
    return field is not None and bool(of_values(field, leaf, now) or row_delays(field, leaf, now))


def of_values(field: Field, leaf: Leaf, now: datetime) -> list[Any]:
    """Those that columns of the root tell."""
    own = [_if_ahead(field.boundary(now), now)] if field.boundary else []
    if field.type == ValueType.ANNIVERSARY and leaf.op in ("upcoming", "not_upcoming"):
        own.append(_anniversary(field, leaf, now))
    if field.type == ValueType.MOMENT:
        own += [_of_value(field, now, delay) for delay in _delays(leaf, now)]
    return own


def row_delays(field: Field, leaf: Leaf, now: datetime) -> list[timedelta]:
    """How long after the instant of a row a leaf about rows may answer otherwise, shortest first."""
    return _delays(leaf, now) if field.type in registry.ROWS else []


def rows_ahead(field: Field, leaf: Leaf, after: datetime) -> QuerySet[Any]:
    """The rows a leaf is about that are younger than an instant."""
    rows = field.rows_for(leaf).filter(**{f"{field.at}__gt": after})
    if field.type == ValueType.FACTS or not isinstance(leaf.value, list):
        return rows
    return rows.filter(**{f"{field.value}__in": leaf.value})


def _if_ahead(boundary: Any, now: datetime) -> Any:
    """A boundary that is past would wake its reader for ever."""
    return Case(When(GreaterThan(boundary, now), then=boundary), output_field=DateTimeField())


def _delays(leaf: Leaf, now: datetime) -> list[timedelta]:
    """How long after a row's instant the leaf may change its mind about it."""
    if leaf.op in ("older_than", LAST):
        return [timedelta(days=leaf.value)]
    if leaf.window is None:
        return []
    span = windows.span(leaf.window, now)
    return sorted({span.lag, span.lead}) if span.rolling else []


def _shifted(expression: Any, delay: timedelta) -> Any:
    return Func(expression, Value(delay), template="(%(expressions)s)", arg_joiner=" + ", output_field=DateTimeField())


def _of_value(field: Field, now: datetime, delay: timedelta) -> Any:
    assert field.expression is not None
    expression = field.expression(now)
    return Case(
        When(GreaterThan(expression, now - delay), then=_shifted(expression, delay)), output_field=DateTimeField()
    )


def _of_rows(field: Field, leaf: Leaf, delay: timedelta, now: datetime, *, alone: bool) -> list[Any]:
    """The first row to pass decides; of `last_older_than` the last."""
    rows, pick = rows_ahead(field, leaf, now - delay), Max if leaf.op == LAST else Min
    return [
        _shifted(
            Subquery(
                rows.filter(**{path: OuterRef("pk")}).values(path).annotate(_first=pick(field.at)).values("_first")
            ),
            delay,
        )
        for path in ([field.person] if alone else [field.person, f"{field.person}__root"])
    ]


def _anniversary(field: Field, leaf: Leaf, now: datetime) -> Any:
    """Local midnight of the next change: `value` days before the day, or the day after it.

    PostgreSQL adds years to 29 February as the written semantics do: 28 February in a common year.
    """
    assert field.expression is not None
    zone = windows.zone()
    today = Value(now.astimezone(zone).date())
    return _NextFlip(field.expression(now), today, Value(leaf.value), Value(str(zone)))


class _NextFlip(Func):
    """(birthday, today, days ahead, zone) → timestamptz, null for no birthday."""

    output_field = DateTimeField()
    arity = 4

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> tuple[str, Any]:
        parts = [compiler.compile(part) for part in self.get_source_expressions()]
        (birthday, p_birthday), (today, p_today), (ahead, p_ahead), (zone, p_zone) = parts

        def year_of(extra_years: int) -> tuple[str, list[Any]]:
            sql = (
                f"(({birthday}) + make_interval(years => (extract(year FROM ({today})::date)"
                f" - extract(year FROM ({birthday})))::int + {extra_years}))::date"
            )
            return sql, [*p_birthday, *p_today, *p_birthday]

        this, p_this = year_of(0)
        following, p_following = year_of(1)
        day = f"CASE WHEN {this} >= ({today})::date THEN {this} ELSE {following} END"
        p_day = [*p_this, *p_today, *p_this, *p_following]
        sql = (
            f"(SELECT ((CASE WHEN d - ({ahead})::int > ({today})::date THEN d - ({ahead})::int ELSE d + 1 END)::timestamp"
            f" AT TIME ZONE ({zone})::text) FROM (SELECT {day} AS d) AS anniversary)"
        )
        return sql, [*p_ahead, *p_today, *p_ahead, *p_zone, *p_day]
