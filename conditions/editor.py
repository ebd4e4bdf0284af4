"""The tree editor of the pages: a tree as boxes and rows, and back. How a posted form becomes one: conditions.posting; what its
buttons do: conditions.moves.

Every node has a path (`r`, `r.0`, `r.0.2`); its controls are named `<letter>:<path>`. The hidden field `shape` says which paths
are groups. A group of the editor has one of five kinds, so that negation needs no node of its own.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from dataclasses import field as slot
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.scope import EVERYTHING, DataScope
from conditions import registry
from conditions.operators import Operator
from conditions.registry import Asker, Field, Option, Text, Trait
from conditions.schema import Problem

KINDS = (
    ("all", _("全部满足")),
    ("any", _("满足任一")),
    ("at_least", _("至少满足几项")),
    ("not_all", _("不同时满足")),
    ("not_any", _("一个也不满足")),
)
WINDOWS = (
    ("", _("不限时间")),
    ("days", _("近 N 天")),
    ("ago", _("N 到 M 天前")),
    ("hours", _("近 N 小时")),
    ("fixed", _("日期范围")),
)
FEW = 10  # options that stand beside each other; more are folded away, with a box to find one
SHOWN = 200  # options of one row on one page; the rest is found by typing
STEPS = (2, 5)  # places of a sequence


@dataclass
class Choices:
    """A list to choose from. name: of its control. groups: heading → (option, whether chosen); hidden: how many more there are."""

    name: str
    groups: list[tuple[Text, list[tuple[Option, bool]]]]
    chosen: list[Text]
    total: int
    hidden: int
    query: str

    @property
    def dom(self) -> str:
        return _dom(self.name)

    @property
    def find_name(self) -> str:
        """The control that finds: `q.v:r.0`, `q.origin:r.0`."""
        letter, _colon, path = self.name.partition(":")
        return f"q.{letter.removeprefix('t.')}:{path}"

    @property
    def is_long(self) -> bool:
        return self.total > FEW


def _choices(name: str, options: Iterable[Option], values: Sequence[Any], seen: Set[Any] | None, query: str) -> Choices:
    """seen: what somebody sees of, None for everything; what is chosen already stands there all the same, also when it is gone."""
    known = list(options)
    gone = [value for value in values if all(option.value != value for option in known)]
    offered = [option for option in known if option.value in values or seen is None or option.value in seen]
    found = [Option(value, _("已删除(%(id)s)") % {"id": value}) for value in gone]
    found += [
        one for one in offered if one.value in values or query.casefold() in f"{one.group} {one.label}".casefold()
    ]
    shown = found if len(found) <= SHOWN else sorted(found, key=lambda one: one.value not in values)[:SHOWN]
    groups: dict[str, tuple[Text, list[tuple[Option, bool]]]] = {}
    for option in shown:
        groups.setdefault(str(option.group), (option.group, []))[1].append((option, option.value in values))
    chosen = [option.label for option in found if option.value in values]
    total = len(offered) + len(gone)
    return Choices(name, list(groups.values()), chosen, total, total - len(shown), query)


@dataclass
class EditorNode:
    """What rows and boxes share. place: where the node stands in the tree, as problems name it (`root.all[0]`). removed: how many people
    it alone takes away, in words, where that was asked."""

    path: str
    place: str = ""
    problems: list[str] = slot(default_factory=list)
    removed: str = ""
    is_first: bool = True
    is_last: bool = True
    is_nested: bool = False  # inside a box that is not the outermost
    has_box_beside: bool = False

    @property
    def dom(self) -> str:
        return _dom(self.path)


@dataclass
class EditorLeaf(EditorNode):
    """A row of the editor: what is chosen, and what may be: by somebody with this scope, by default by nobody in particular.

    traits: what `where` narrows by, in the order of its rows, those of which nothing is chosen yet too. queries: what is typed to find
    an option, by the control's letter or by trait."""

    raw: dict[str, Any] = slot(default_factory=dict)
    scope: DataScope = EVERYTHING
    traits: list[str] = slot(default_factory=list)
    queries: Mapping[str, str] = slot(default_factory=dict)
    number: int = 0
    field_options: str = ""  # HTML, see tagging.views.builder
    is_leaf: bool = True

    def __post_init__(self) -> None:
        self.field: Field | None = registry.find(self.raw.get("field", ""))

    @property
    def operator(self) -> Operator | None:
        return self.field.operator(self.raw.get("op", "")) if self.field else None

    @property
    def wants(self) -> str:
        return self.operator.wants if self.operator else "nothing"

    @cached_property
    def choices(self) -> Choices:
        """The options of the value."""
        options = self.field.options() if self.field and self.field.options else ()
        return self._choices(f"v:{self.path}", options, self.raw.get("value"), self.field, "v")

    @cached_property
    def where(self) -> list[tuple[Trait, Choices]]:
        """A row for each trait that narrows."""
        found = []
        for key in self.traits:
            trait = self.field.trait(key) if self.field else None
            if trait is not None:
                chosen = (self.raw.get("where") or {}).get(key)
                found.append((trait, self._choices(f"t.{key}:{self.path}", trait.options(), chosen, trait, key)))
        return found

    def _choices(
        self, name: str, options: Iterable[Option], chosen: Any, source: Field | Trait | None, letter: str
    ) -> Choices:
        values = chosen if isinstance(chosen, list) else []
        seen = registry.seen_values(source, self.scope) if source else None
        return _choices(name, options, values, seen, self.queries.get(letter, ""))

    @property
    def more_traits(self) -> list[Trait]:
        """By what else its rows can be narrowed."""
        return [trait for trait in self.field.traits if trait.key not in self.traits] if self.field else []

    @cached_property
    def steps(self) -> list[tuple[int, list[tuple[Text, list[tuple[Option, bool]]]]]]:
        """The places of a sequence, each with its options: those that are filled and one more."""
        value = self.raw.get("value")
        chosen = value if isinstance(value, list) else []
        options = list(self.field.options()) if self.field and self.field.options else []
        count = min(max(len(chosen) + 1, STEPS[0]), STEPS[1])
        rows = []
        for index in range(count):
            groups: dict[str, tuple[Text, list[tuple[Option, bool]]]] = {}
            for option in options:
                is_chosen = index < len(chosen) and chosen[index] == option.value
                groups.setdefault(str(option.group), (option.group, []))[1].append((option, is_chosen))
            rows.append((index + 1, list(groups.values())))
        return rows

    @property
    def has_window(self) -> bool:
        return bool(self.field and self.operator and self.field.takes_window(self.operator))

    @property
    def needs_window(self) -> bool:
        return bool(self.operator and self.operator.window == "required")

    @property
    def window_kind(self) -> str:
        window = self.raw.get("window") or {}
        if "hours" in window:
            return "hours"
        if "days" in window:
            return "ago" if window.get("skip_days") else "days"
        return "fixed" if window else ""

    @property
    def yuan(self) -> str:
        value = self.raw.get("value")
        return f"{Decimal(value) / 100:f}" if isinstance(value, int) else ""

    @property
    def window(self) -> dict[str, Any]:
        return self.raw.get("window") or {}


@dataclass
class EditorGroup(EditorNode):
    """A box of the editor. at_least: of how many parts, for that kind."""

    kind: str = "all"
    children: list["EditorGroup | EditorLeaf"] = slot(default_factory=list)
    at_least: Any = 1
    is_leaf: bool = False

    @property
    def is_root(self) -> bool:
        return self.path == "r"


Node = EditorGroup | EditorLeaf


def from_tree(tree: dict[str, Any], scope: DataScope = EVERYTHING) -> EditorGroup:
    """The editor's form of a well-formed tree, for somebody with this scope."""
    found = _from_node(tree["root"], scope)
    root = found if isinstance(found, EditorGroup) else EditorGroup("r", kind="all", children=[found])
    return settle(root)


def _from_node(node: dict[str, Any], scope: DataScope) -> Node:
    if "field" in node:
        return EditorLeaf("", raw=dict(node), scope=scope, traits=list(node.get("where") or {}))
    inner, prefix = (node["not"], "not_") if "not" in node else (node, "")
    if prefix and not ("all" in inner or "any" in inner):  # the negation of a leaf, of a negation, or of n of
        return EditorGroup("", kind="not_all", children=[_from_node(inner, scope)])
    if "of" in inner:
        parts = [_from_node(part, scope) for part in inner["of"]]
        return EditorGroup("", kind="at_least", children=parts, at_least=inner["at_least"])
    kind = "all" if "all" in inner else "any"
    return EditorGroup("", kind=prefix + kind, children=[_from_node(part, scope) for part in inner[kind]])


def to_tree(root: EditorGroup) -> dict[str, Any]:
    """The tree as it stands in the editor; perhaps not yet valid. Notes each node's place in it."""
    return {"version": 1, "root": _to_node(root, "root")}


def _to_node(node: Node, place: str) -> dict[str, Any]:
    node.place = place
    if isinstance(node, EditorLeaf):
        return _filled(node.raw)
    if node.kind == "at_least" and node.children:
        parts = [_to_node(child, f"{place}.of[{index}]") for index, child in enumerate(node.children)]
        return {"at_least": node.at_least, "of": parts}
    if node.kind == "not_all" and len(node.children) == 1 and _stands_alone(node.children[0]):
        return {"not": _to_node(node.children[0], f"{place}.not")}
    kind = "any" if node.kind in ("any", "not_any", "at_least") else "all"
    inner = f"{place}.not.{kind}" if node.kind.startswith("not_") else f"{place}.{kind}"
    group = {kind: [_to_node(child, f"{inner}[{index}]") for index, child in enumerate(node.children)]}
    return {"not": group} if node.kind.startswith("not_") else group


def _filled(raw: dict[str, Any]) -> dict[str, Any]:
    """A row without what is not yet filled in: traits of which nothing is chosen, a share without a seed or without its ends."""
    found = {key: part for key, part in raw.items() if key not in ("where", "value")}
    value, where = raw.get("value"), {key: values for key, values in (raw.get("where") or {}).items() if values}
    if isinstance(value, dict):
        ends = [value.get(end) for end in ("from", "to")]
        value = value if value.get("seed") and all(isinstance(end, int | float) for end in ends) else None
    return found | ({} if value is None else {"value": value}) | ({"where": where} if where else {})


def _stands_alone(node: Node) -> bool:
    """Whether the negation of this node comes back as a box around it."""
    return isinstance(node, EditorLeaf) or (node.kind not in ("all", "any") and bool(node.children))


def settle(root: EditorGroup) -> EditorGroup:
    """Paths, numbers and neighbours anew, after nodes moved."""
    _place(root, "r", 0)
    for number, leaf in enumerate(leaves_of(root), 1):
        leaf.number = number
    return root


def _place(node: Node, path: str, depth: int) -> None:
    node.path, node.is_nested = path, depth > 1
    if isinstance(node, EditorLeaf):
        return
    for index, child in enumerate(node.children):
        child.is_first, child.is_last = index == 0, index == len(node.children) - 1
        beside = node.children[index + 1 : index + 2] + node.children[max(index - 1, 0) : index]
        child.has_box_beside = any(isinstance(one, EditorGroup) for one in beside)
        _place(child, f"{path}.{index}", depth + 1)


def leaves_of(node: Node) -> Iterator[EditorLeaf]:
    """Every row, from top to bottom."""
    if isinstance(node, EditorLeaf):
        yield node
    else:
        for child in node.children:
            yield from leaves_of(child)


def ask_options(root: EditorGroup) -> None:
    """The lists that the rows choose from, now: inside registry.asked_once each costs one query, however many rows have it."""
    for leaf in leaves_of(root):
        for name in ("where", {"options": "choices", "events": "steps"}.get(leaf.wants, "where")):
            getattr(leaf, name)


def nodes_of(node: Node) -> Iterator[Node]:
    """Every box and row, from top to bottom."""
    yield node
    if isinstance(node, EditorGroup):
        for child in node.children:
            yield from nodes_of(child)


def note_problems(root: EditorGroup, problems: Iterable[Problem]) -> None:
    """Each problem at the innermost node whose place it names. The places are those of the last to_tree."""
    to_tree(root)
    nodes = sorted(nodes_of(root), key=lambda node: -len(node.place))
    for node in nodes:
        node.problems = []
    for problem in problems:
        node = next((one for one in nodes if _is_at(problem.path, one.place)), root)
        if not (node is root and problem.path == "root"):  # what is said of the whole stands above it
            node.problems.append(problem.message)


def _is_at(path: str, place: str) -> bool:
    return path.startswith(place) and path[len(place) : len(place) + 1] in ("", ".", "[")


def shape_of(root: EditorGroup) -> str:
    """The hidden field: nested lists, a leaf is 0."""

    def shape(node: Node) -> Any:
        return 0 if isinstance(node, EditorLeaf) else [shape(child) for child in node.children]

    return json.dumps(shape(root))


def _dom(name: str) -> str:
    return name.replace(":", "-").replace(".", "-")


def field_choices(asker: Asker, used: Set[str] = frozenset()) -> list[tuple[str, list[tuple[Field, str]]]]:
    """The select of fields: heading → (field, why it cannot be used or ""). What she may not see is not offered; where it is used
    already it stands there, not to be chosen."""
    found: dict[str, list[tuple[Field, str]]] = {}
    for one in registry.all_fields():
        is_closed = one.is_closed_to(asker)
        if is_closed and one.key not in used:
            continue
        why = _("您看不到") if is_closed else one.why_unavailable
        found.setdefault(str(one.group), []).append((one, str(why)))
    return list(found.items())
