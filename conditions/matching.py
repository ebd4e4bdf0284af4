"""Many trees for a few people: what they say, and when they may next say otherwise, in few statements.

A leaf that stands in several trees is asked once, and what a set field holds once for all leaves about it (conditions.holdings). Each
statement answers LEAVES of the others, a column each: the planner's time grows with the columns, a round trip's does not.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, reduce
from operator import or_
from typing import Any, TypeVar

from conditions.compiler.asking import Ask
from conditions.compiler.trees import compile_node, truth_of
from conditions.holdings import gathered
from conditions.people import people
from conditions.recheck import boundaries_of, earliest
from conditions.tree import Group, Leaf, Negation, Node, leaves, parse

LEAVES = 50
PEOPLE = 1000
Tree = dict[str, Any]
Columns = dict[Hashable, Any]
Said = tuple[int, dict[Hashable, Any]]
Others = Callable[[bool, Sequence[int]], Iterator[dict[int, dict[Hashable, Any]]]]
Key = TypeVar("Key", bound=Hashable)


def matches_of(trees: Mapping[Key, Tree], root_ids: Collection[int], now: datetime) -> dict[Key, set[int]]:
    """For each tree, those of the given people for whom it holds. A tree that names a field which nobody registers any more has no
    answer: its key is left out."""
    nodes = {key: parse(tree) for key, tree in trees.items()}
    ask = Ask(now)
    asked = [leaf for leaf in _distinct(nodes.values()) if ask.operator(leaf) is not None]
    known_keys = {leaf.key for leaf in asked}
    answered = {key: node for key, node in nodes.items() if all(leaf.key in known_keys for leaf in leaves(node))}
    found: dict[Key, set[int]] = {key: set() for key in answered}

    holdings = gathered(asked, ask)
    held = {leaf.key for holding in holdings for leaf in holding.leaves}

    def columns(alone: bool) -> Columns:
        how = replace(ask, alone=alone)
        return {leaf.key: truth_of(compile_node(leaf, how)) for leaf in asked if leaf.key not in held}

    def others(alone: bool, ids: Sequence[int]) -> Iterator[dict[int, dict[Hashable, Any]]]:
        how = replace(ask, alone=alone)
        return (holding.answers(ids, how) for holding in holdings)

    for pk, known in _asked(columns, root_ids, others):
        for key, node in answered.items():
            if holds(node, known):
                found[key].add(pk)
    return found


def rechecks_of(trees: Mapping[Key, Tree], root_ids: Collection[int], now: datetime) -> dict[Key, dict[int, datetime]]:
    """For each tree, person → the next instant after now at which it may answer otherwise. Who never will is left out."""
    nodes = {key: parse(tree) for key, tree in trees.items()}
    ask = Ask(now)
    asked = list(_distinct(nodes.values()))

    @cache
    def columns(alone: bool) -> Columns:
        ahead = {
            leaf.key: boundaries_of(field, leaf, now, alone=alone) for leaf in asked if (field := ask.field(leaf.field))
        }
        return {key: earliest(expressions) for key, expressions in ahead.items() if expressions}

    if not columns(True):  # nothing depends on time
        return {key: {} for key in nodes}
    timed = {key: {leaf.key for leaf in leaves(node)} for key, node in nodes.items()}
    found: dict[Key, dict[int, datetime]] = {key: {} for key in nodes}
    for pk, known in _asked(columns, root_ids):
        for key, keys in timed.items():
            ahead = [at for one in keys if (at := known.get(one)) is not None]
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


def _nothing_else(_alone: bool, _ids: Sequence[int]) -> Iterator[dict[int, dict[Hashable, Any]]]:
    return iter(())


def _asked(
    columns: Callable[[bool], Columns], root_ids: Collection[int], others: Others = _nothing_else
) -> Iterator[Said]:
    """(person, key → value) for those of the ids that are people: of the columns, and of what the others say of all they are asked.
    Most have no branches: half the work will do."""
    everybody = list(dict.fromkeys(root_ids))
    rooted = people().model._default_manager.filter(root__in=everybody)
    with_branches = set(rooted.order_by().values_list("root_id", flat=True).distinct())
    for alone in (True, False):
        ids = [pk for pk in everybody if (pk in with_branches) is not alone]
        made = columns(alone) if ids else {}
        for start in range(0, len(ids), PEOPLE):
            some = ids[start : start + PEOPLE]
            besides = list(others(alone, some))
            for pk, said in _asked_of(made, some):
                yield pk, reduce(or_, (answers[pk] for answers in besides), said)


def _asked_of(columns: Columns, ids: Sequence[int]) -> Iterator[Said]:
    rows = people().filter(pk__in=ids)
    known: dict[int, dict[Hashable, Any]] = {} if columns else {pk: {} for pk in rows.values_list("pk", flat=True)}
    asked = list(columns)
    for start in range(0, len(asked), LEAVES):
        keys = asked[start : start + LEAVES]
        named = {f"_column{index}": columns[key] for index, key in enumerate(keys)}
        for pk, *values in rows.annotate(**named).values_list("pk", *named):
            known.setdefault(pk, {}).update(zip(keys, values, strict=True))
    # Who became somebody's branch between two statements is nobody to speak of.
    yield from ((pk, said) for pk, said in known.items() if len(said) == len(columns))
