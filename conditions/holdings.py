"""Set fields that several leaves ask: what each person holds is read once, and every leaf is answered from it.

Two hundred segments that name tags would be as many subqueries; the tags of a person are a handful of rows.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conditions.compiler.asking import Ask
from conditions.compiler.rows import paths, rows_of
from conditions.operators import ValueType
from conditions.registry import Field
from conditions.tree import Leaf

LEAST = 2  # leaves; one alone is a subquery among the others


@dataclass(frozen=True)
class Holding:
    """Leaves that ask the same rows of one set field, differing in their operators and values."""

    field: Field
    leaves: Sequence[Leaf]

    def answers(self, ids: Collection[int], ask: Ask) -> dict[int, dict[Hashable, bool]]:
        """Person → what each of the leaves says of her. One statement, two where somebody may have branches."""
        held = self._held(ids, ask)
        return {pk: {leaf.key: _says(leaf, held.get(pk, set())) for leaf in self.leaves} for pk in ids}

    def _held(self, ids: Collection[int], ask: Ask) -> Mapping[int, set[str]]:
        rows = rows_of(self.field, self.leaves[0], ask)
        if not any(leaf.op in ("empty", "not_empty") for leaf in self.leaves):
            wanted = {value for leaf in self.leaves for value in leaf.value}
            rows = rows.filter(**{f"{self.field.value}__in": list(wanted)})
        held: dict[int, set[str]] = defaultdict(set)
        for path in paths(self.field, ask):
            mine = rows.filter(**{f"{path}__in": list(ids)}).order_by().values_list(path, self.field.value)
            for pk, value in mine:
                held[pk].add(str(value))
        return held


def gathered(asked: Iterable[Leaf], ask: Ask) -> list[Holding]:
    """The set fields that several of the leaves ask, each with its leaves. A set that stands in a column of the root is cheaper there."""
    found: dict[Hashable, list[Leaf]] = defaultdict(list)
    for leaf in asked:
        field = ask.field(leaf.field)
        if field is not None and field.type == ValueType.SET and field.held is None:
            found[leaf.rows_key].append(leaf)
    return [Holding(_known(ask, leaves[0]), leaves) for leaves in found.values() if len(leaves) >= LEAST]


def _known(ask: Ask, leaf: Leaf) -> Field:
    field = ask.field(leaf.field)
    assert field is not None  # gathered() looked
    return field


def _says(leaf: Leaf, held: set[str]) -> bool:
    """As docs/conditions.md has it. Values are compared as text, as the database compares what a tree names with a column."""
    if leaf.op in ("empty", "not_empty"):
        return bool(held) is (leaf.op == "not_empty")
    named: set[Any] = {str(value) for value in leaf.value}
    if leaf.op == "all":
        return named <= held
    return bool(named & held) is (leaf.op == "any")
