"""Rows about a person, for work over the whole table: each leaf is one uncorrelated subquery of people, which PostgreSQL hashes.

A row of a branch counts for its root. Branches are few, so all of them are hashed and laid beside the rows. (A join with the
whole table of contacts would ask the same of a million who are nobody's branch.)
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import BooleanField, Expression, F, Q, QuerySet

from conditions.compiler.sequences import in_order
from conditions.people import people
from conditions.tree import Leaf


class Swept(Expression):
    """Whether a person is among those whom a subquery finds. joined: nothing but AND stands above, so that the planner may join."""

    output_field = BooleanField()
    conditional = True

    def __init__(
        self, rows: QuerySet[Any], *, having: str = "", given: Sequence[Any] = (), leaf: Leaf | None = None
    ) -> None:
        super().__init__()
        self.query = rows.query.clone()
        self.query.subquery = True
        self.person: Any = F("pk")
        self.having, self.given, self.leaf = having, list(given), leaf
        self.is_negated = self.joined = False

    def get_source_expressions(self) -> list[Any]:
        return [self.person, self.query]

    def set_source_expressions(self, exprs: Sequence[Any]) -> None:
        self.person, self.query = exprs

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        person, p_person = compiler.compile(self.person)
        rows, p_rows = self.query.as_sql(compiler, connection)
        sql, params = self._people(rows[1:-1], list(p_rows))  # a query within another comes in brackets
        if not self.is_negated:
            return f"{person} IN ({sql})", [*p_person, *params]
        if self.joined:
            return f"NOT EXISTS (SELECT 1 FROM ({sql}) AS found (id) WHERE found.id = {person})", [*params, *p_person]
        return f"NOT ({person} IN ({sql}))", [*p_person, *params]

    def _people(self, rows: str, params: list[Any]) -> tuple[str, list[Any]]:
        if self.leaf is not None and self.leaf.gap is None and len(self.leaf.value) == 2:
            # One before another, however long: no need to sort anybody's events.
            sql = counted_for_roots(rows, "person, kind, at")
            having = "min(at) FILTER (WHERE kind = %s) < max(at) FILTER (WHERE kind = %s)"
            return f"SELECT person FROM ({sql}) AS facts GROUP BY person HAVING {having}", [*params, *self.leaf.value]
        if self.leaf is not None:
            return in_order(counted_for_roots(rows, "person, kind, at"), params, self.leaf, whose="person")
        if self.having:
            sql = counted_for_roots(rows, "person, measured")
            return f"SELECT person FROM ({sql}) AS facts GROUP BY person HAVING {self.having}", [*params, *self.given]
        sql = counted_for_roots(rows, "person")
        # Under OR it becomes a table in memory, which the planner refuses to make when it expects too many rows.
        return (sql if self.joined else f"SELECT DISTINCT person FROM ({sql}) AS facts"), params


def negate(found: Q) -> Q:
    """The complement of a statement about rows, which is never null."""
    if len(found.children) == 1 and not found.negated and isinstance(found.children[0], Swept):
        found.children[0].is_negated = not found.children[0].is_negated
        return found
    return ~found


def join(held: Q) -> Q:
    """Tell the parts that stand under nothing but AND."""
    if held.connector == Q.AND and not held.negated:
        for part in held.children:
            if isinstance(part, Swept):
                part.joined = True
            elif isinstance(part, Q):
                join(part)
    return held


def counted_for_roots(rows: str, columns: str) -> str:
    """The rows (person, …) of a query, those of branches under their roots' ids."""
    table = people().model._meta.db_table
    others = "".join(f", theirs.{name.strip()}" for name in columns.split(",")[1:])
    return (
        f"SELECT COALESCE(branch.root_id, theirs.person) AS person{others} FROM ({rows}) AS theirs ({columns})"
        f' LEFT JOIN (SELECT id, root_id FROM "{table}" WHERE root_id IS NOT NULL) AS branch ON branch.id = theirs.person'
    )
