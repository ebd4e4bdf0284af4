"""Many trees for a few people: what they say, and when they may next say otherwise, in few statements.

A leaf that stands in several trees is asked once. Each statement answers LEAVES of them, a column each: the planner's time grows
with the columns, a round trip's does not.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import BooleanField, Case, Value, When

from conditions.compiler.asking import Ask
from conditions.compiler.trees import EVERYBODY, UnknownField, compile_node
from conditions.people import people
from conditions.recheck import boundaries_of, earliest
from conditions.tree import Group, Leaf, Negation, Node, leaves, parse

LEAVES = 50
PEOPLE = 1000
Tree = dict[str, Any]
Columns = dict[Hashable, Any]
Key = TypeVar("Key", bound=Hashable)


def matches_of(trees: Mapping[Key, Tree], root_ids: Collection[int], now: datetime) -> dict[Key, set[int]]:
    """For each tree, those of the given people for whom it holds. A tree that names a field which nobody registers any more has no
    answer: its key is left out."""
    nodes = {key: parse(tree) for key, tree in trees.items()}
    ask = Ask(now)
    columns: Columns = {}
    for leaf in _distinct(nodes.values()):
        try:
            held = compile_node(leaf, ask)
        except UnknownField:
            continue
        columns[leaf.key] = _column(held)
    answered = {key: node for key, node in nodes.items() if all(leaf.key in columns for leaf in leaves(node))}
    found: dict[Key, set[int]] = {key: set() for key in answered}
    for pk, known in _asked(columns, root_ids):
        for key, node in answered.items():
            if holds(node, known):
                found[key].add(pk)
    return found


def rechecks_of(trees: Mapping[Key, Tree], root_ids: Collection[int], now: datetime) -> dict[Key, dict[int, datetime]]:
    """For each tree, person → the next instant after now at which it may answer otherwise. Who never will is left out."""
    nodes = {key: parse(tree) for key, tree in trees.items()}
    ask = Ask(now)
    columns: Columns = {}
    for leaf in _distinct(nodes.values()):
        field = ask.field(leaf.field)
        expressions = boundaries_of(field, leaf, now) if field else []
        if expressions:
            columns[leaf.key] = earliest(expressions)
    timed = {key: {leaf.key for leaf in leaves(node)} & columns.keys() for key, node in nodes.items()}
    found: dict[Key, dict[int, datetime]] = {key: {} for key in nodes}
    if columns:
        for pk, known in _asked(columns, root_ids):
            for key, asked in timed.items():
                ahead = [known[one] for one in asked if known[one] is not None]
                if ahead:
                    found[key][pk] = min(ahead)
    return found


def holds(node: Node, known: Mapping[Hashable, Any]) -> bool:
    """What a tree says, from what its leaves (by their keys) say."""
    if isinstance(node, Leaf):
        return bool(known[node.key])
    if isinstance(node, Negation):
        return not holds(node.part, known)
    return _group_holds(node, known)


def _group_holds(node: Group, known: Mapping[Hashable, Any]) -> bool:
    parts = (holds(part, known) for part in node.parts)
    if node.kind == "all":
        return all(parts)
    return any(parts) if node.kind == "any" else sum(parts) >= node.least


def _distinct(nodes: Iterable[Node]) -> Iterator[Leaf]:
    return iter({leaf.key: leaf for node in nodes for leaf in leaves(node)}.values())


def _column(held: Any) -> Any:
    if held == EVERYBODY:
        return Value(True)
    return Case(When(held, then=Value(True)), default=Value(False), output_field=BooleanField())


def _asked(columns: Columns, root_ids: Collection[int]) -> Iterator[tuple[int, dict[Hashable, Any]]]:
    """(person, key of a column → its value) for those of the ids that are people."""
    everybody = list(dict.fromkeys(root_ids))
    for start in range(0, len(everybody), PEOPLE):
        yield from _asked_of(columns, everybody[start : start + PEOPLE])


def _asked_of(columns: Columns, ids: Sequence[int]) -> Iterator[tuple[int, dict[Hashable, Any]]]:
    rows = people().filter(pk__in=ids)
    known: dict[int, dict[Hashable, Any]] = {pk: {} for pk in rows.values_list("pk", flat=True)}
    asked = list(columns)
    for start in range(0, len(asked), LEAVES):
        keys = asked[start : start + LEAVES]
        named = {f"_column{index}": columns[key] for index, key in enumerate(keys)}
        for pk, *values in rows.annotate(**named).values_list("pk", *named):
            known.setdefault(pk, {}).update(zip(keys, values, strict=True))
    # Who became somebody's branch between two statements is nobody to speak of.
    yield from ((pk, said) for pk, said in known.items() if len(said) == len(columns))
