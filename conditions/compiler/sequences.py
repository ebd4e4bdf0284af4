"""Events in an order, found in one pass: an event may stand at a place of the sequence when, of the events that may stand at the
place before it, the latest one that is strictly earlier is near enough. So each place is one running maximum over the events in
the order of their instants, and no pair of events is ever compared with another.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import BooleanField, Expression, QuerySet

from conditions.tree import Leaf

# Up to the last instant before the event's own: instants have microseconds.
_BEFORE = "ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL '1 microsecond' PRECEDING"


class InOrder(Expression):
    """Whether some of the rows (kind, at) of the given querysets, taken together, happened in the order that a leaf asks for."""

    output_field = BooleanField()

    def __init__(self, rows: Sequence[QuerySet[Any]], leaf: Leaf) -> None:
        super().__init__()
        self.leaf = leaf
        self.queries = [one.query.clone() for one in rows]
        for query in self.queries:
            query.subquery = True

    def get_source_expressions(self) -> list[Any]:
        return list(self.queries)

    def set_source_expressions(self, exprs: Sequence[Any]) -> None:
        self.queries = list(exprs)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        parts = [query.as_sql(compiler, connection) for query in self.queries]
        events = " UNION ALL ".join(sql for sql, _params in parts)
        sql, params = in_order(events, [one for _sql, params in parts for one in params], self.leaf)
        return f"EXISTS({sql})", params


def in_order(events: str, params: Sequence[Any], leaf: Leaf, whose: str = "") -> tuple[str, list[Any]]:
    """A SELECT of the events that end such a sequence; `events` is one of rows (kind, at). whose: the column of a person, where the
    events are many people's, rows (person, kind, at); then it selects her.
    """
    near, gap = ("", []) if leaf.gap is None else (" AND at <= before + %s", [timedelta(days=leaf.gap)])
    first, *middle = leaf.value[:-1]
    rule = "kind = %s"
    columns, frame = (
        (f"{whose}, kind, at", f"(PARTITION BY {whose} {_BEFORE})") if whose else ("kind, at", f"({_BEFORE})")
    )
    sql, found = f"SELECT {columns} FROM ({events}) AS rows ({columns})", list(params)
    given: list[Any] = [first]
    for following in [*middle, leaf.value[-1]]:
        sql = f"SELECT {columns}, max(CASE WHEN {rule} THEN at END) OVER {frame} AS before FROM ({sql}) AS place"
        found = [*given, *found]
        rule, given = f"kind = %s AND before IS NOT NULL{near}", [following, *gap]
    return f"SELECT {whose or 1} FROM ({sql}) AS place WHERE {rule}", [*found, *given]
