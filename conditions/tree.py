"""A condition tree as values. The JSON form is documented in docs/conditions.md and checked by conditions.schema."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

VERSION = 1
# The kinds of groups, and the key under which the JSON form has their parts.
PARTS = {"all": "all", "any": "any", "at_least": "of"}
EVERYONE: dict[str, Any] = {"version": VERSION, "root": {"all": []}}


@dataclass(frozen=True)
class Leaf:
    """One statement about a person. window: see conditions.windows; None where the operator takes none. where: of fields about rows,
    trait → the values of which a row must have one. gap: of sequences, the most days from one event to the next."""

    field: str
    op: str
    value: Any = None
    window: dict[str, Any] | None = None
    where: dict[str, list[Any]] | None = None
    gap: int | None = None

    @property
    def key(self) -> str:
        """The same for two leaves that ask the same."""
        return json.dumps([self.field, self.op, self.value, self.window, self.where, self.gap], sort_keys=True)

    @property
    def rows_key(self) -> str:
        """The same for two leaves about the same rows of one field."""
        return json.dumps([self.field, self.window, self.where], sort_keys=True)

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Group:
    """`all`: every part holds (of no part: true). `any`: at least one holds (of no part: false). `at_least`: `least` of them hold."""

    kind: str
    parts: tuple["Node", ...]
    least: int = 0


@dataclass(frozen=True)
class Negation:
    """Holds exactly where the part does not."""

    part: "Node"


Node = Leaf | Group | Negation


def parse(tree: dict[str, Any]) -> Node:
    """The root node of a tree whose shape conditions.schema accepted."""
    return parse_node(tree["root"])


def parse_node(raw: dict[str, Any]) -> Node:
    """A node from its JSON form."""
    if "not" in raw:
        return Negation(parse_node(raw["not"]))
    for kind, name in PARTS.items():
        if kind in raw:
            least = int(raw[kind]) if kind == "at_least" else 0
            return Group(kind, tuple(parse_node(part) for part in raw[name]), least)
    return Leaf(raw["field"], raw["op"], raw.get("value"), raw.get("window"), raw.get("where"), raw.get("gap"))


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf, left to right."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Negation):
        yield from leaves(node.part)
    else:
        for part in node.parts:
            yield from leaves(part)


def is_everyone(tree: dict[str, Any]) -> bool:
    """Whether the tree states nothing, and so holds for every customer."""
    return next(leaves(parse(tree)), None) is None
