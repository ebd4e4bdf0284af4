"""The tree editor of the pages: a tree as form fields, and back. Works without scripts; htmx only makes it quick.

Every node has a path (`r`, `r.0`, `r.0.2`); its controls are named `<letter>:<path>`. The hidden field `shape` says which paths
are groups. A group of the editor has one of four kinds, so that negation needs no node of its own.
"""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.scope import EVERYTHING, DataScope
from conditions import registry
from conditions.operators import Operator
from conditions.registry import Asker, Field

KINDS = (
    ("all", _("全部满足")),
    ("any", _("满足任一")),
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


@dataclass
class EditorLeaf:
    """A row of the editor: what is chosen, and what may be: by somebody with this scope, by default by nobody in particular."""

    path: str
    raw: dict[str, Any]
    scope: DataScope = EVERYTHING
    is_leaf: bool = True

    @property
    def field(self) -> Field | None:
        return registry.find(self.raw.get("field", ""))

    @property
    def operator(self) -> Operator | None:
        return self.field.operator(self.raw.get("op", "")) if self.field else None

    @property
    def wants(self) -> str:
        return self.operator.wants if self.operator else "nothing"

    @property
    def options(self) -> list[tuple[Any, bool]]:
        """(option, whether chosen)."""
        known = self.field.options() if self.field and self.field.options else ()
        chosen = self.raw.get("value") if isinstance(self.raw.get("value"), list) else []
        rows = [(option, option.value in (chosen or [])) for option in known]
        if self.field is None or self.field.offered is None or self.scope.sees_all:
            return rows
        seen = set(self.field.offered(self.scope).values_list("pk", flat=True))
        return [(option, is_chosen) for option, is_chosen in rows if is_chosen or option.value in seen]

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
class EditorGroup:
    """A box of the editor."""

    path: str
    kind: str
    children: list["EditorGroup | EditorLeaf"] = field(default_factory=list)
    is_leaf: bool = False

    @property
    def is_root(self) -> bool:
        return self.path == "r"


def from_tree(tree: dict[str, Any], scope: DataScope = EVERYTHING) -> EditorGroup:
    """The editor's form of a valid tree, for somebody with this scope."""
    root = _from_node(tree["root"], "r", scope)
    return root if isinstance(root, EditorGroup) else EditorGroup("r", "all", [EditorLeaf("r.0", root.raw, scope)])


def _from_node(node: dict[str, Any], path: str, scope: DataScope) -> EditorGroup | EditorLeaf:
    if "field" in node:
        return EditorLeaf(path, dict(node), scope)
    inner, prefix = (node["not"], "not_") if "not" in node else (node, "")
    kind = next((kind for kind in ("all", "any") if kind in inner), None)
    if kind is None:  # the negation of a leaf or of a negation
        return EditorGroup(path, "not_all", [_from_node(inner, f"{path}.0", scope)])
    parts = [_from_node(part, f"{path}.{index}", scope) for index, part in enumerate(inner[kind])]
    return EditorGroup(path, prefix + kind, parts)


def to_tree(root: EditorGroup) -> dict[str, Any]:
    """The tree as it stands in the editor; perhaps not yet valid."""
    return {"version": 1, "root": _to_node(root)}


def _to_node(node: EditorGroup | EditorLeaf) -> dict[str, Any]:
    if isinstance(node, EditorLeaf):
        return node.raw
    kind = node.kind.removeprefix("not_")
    group = {kind: [_to_node(child) for child in node.children]}
    return {"not": group} if node.kind.startswith("not_") else group


def shape_of(root: EditorGroup) -> str:
    """The hidden field: nested lists, a leaf is 0."""

    def shape(node: EditorGroup | EditorLeaf) -> Any:
        return 0 if isinstance(node, EditorLeaf) else [shape(child) for child in node.children]

    return json.dumps(shape(root))


def from_post(post: QueryDict) -> EditorGroup:
    """The editor as posted, after the button pressed (`act`: add, group, delete or copy, with a path)."""
    try:
        shape = json.loads(post.get("shape", "[]"))
    except ValueError:
        shape = []
    root = _read(shape if isinstance(shape, list) else [], "r", post, depth=0)
    assert isinstance(root, EditorGroup)
    verb, _colon, path = post.get("act", "").partition(":")
    if verb:
        _change(root, verb, path)
    return from_tree(to_tree(root))  # paths anew


def _read(shape: Any, path: str, post: QueryDict, depth: int) -> EditorGroup | EditorLeaf:
    if not isinstance(shape, list) or depth > 12:
        return EditorLeaf(path, _read_leaf(path, post))
    kind = post.get(f"k:{path}", "all")
    children = [_read(part, f"{path}.{index}", post, depth + 1) for index, part in enumerate(shape[:100])]
    return EditorGroup(path, kind if kind in dict(KINDS) else "all", children)


def new_leaf() -> dict[str, Any]:
    """A row as it first appears: the first field that can be used."""
    chosen = next((one for one in registry.all_fields() if not one.why_unavailable), None)
    return {"field": chosen.key, "op": chosen.allowed[0].key} if chosen else {"field": "", "op": ""}


def _read_leaf(path: str, post: QueryDict) -> dict[str, Any]:
    chosen = registry.find(post.get(f"f:{path}", ""))
    if chosen is None:
        return {"field": post.get(f"f:{path}", ""), "op": post.get(f"o:{path}", "")}
    operator = chosen.operator(post.get(f"o:{path}", "")) or chosen.allowed[0]
    leaf: dict[str, Any] = {"field": chosen.key, "op": operator.key}
    value = _read_value(chosen, operator, path, post)
    if value is not None:
        leaf["value"] = value
    window = _read_window(path, post) if chosen.takes_window(operator) else None
    if window is None and operator.window == "required":
        window = {"days": 30}
    if window is not None:
        leaf["window"] = window
    return leaf


def _read_value(chosen: Field, operator: Operator, path: str, post: QueryDict) -> Any:
    text = post.get(f"v:{path}", "").strip()
    if operator.wants == "nothing":
        return None
    if operator.wants == "options":
        known = {str(option.value): option.value for option in (chosen.options() if chosen.options else ())}
        return [known[item] for item in post.getlist(f"v:{path}") if item in known]
    if operator.wants == "text":
        return text
    if operator.wants == "numbers":
        return [_number(post.get(f"v:{path}", "")), _number(post.get(f"v2:{path}", ""))]
    if operator.wants == "money":
        amount = _decimal(text)
        return int(amount * 100) if amount is not None else ""
    return _number(text)


def _decimal(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _number(text: str) -> Any:
    """An int where it is one, a float, or the text itself for the validation to refuse."""
    amount = _decimal(text.strip())
    if amount is None or abs(amount) > 10**15:
        return text
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _read_window(path: str, post: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = post.get(f"w:{path}", "")
    first, second = _number(post.get(f"wd:{path}", "") or "30"), _number(post.get(f"ws:{path}", "") or "1")
    if kind == "days":
        return {"days": first}
    if kind == "ago":
        return {"days": first, "skip_days": second}
    if kind == "hours":
        return {"hours": first}
    if kind == "fixed":
        days = {"from": post.get(f"wf:{path}", ""), "to": post.get(f"wt:{path}", "")}
        return {key: day for key, day in days.items() if day} or None
    return None


def _change(root: EditorGroup, verb: str, path: str) -> None:
    if verb in ("add", "group"):
        node = _at(root, path)
        if isinstance(node, EditorGroup):
            leaf = EditorLeaf("", new_leaf())
            node.children.append(leaf if verb == "add" else EditorGroup("", "any", [leaf]))
        return
    parent = _at(root, path.rpartition(".")[0])
    index = path.rpartition(".")[2]
    if not isinstance(parent, EditorGroup) or not index.isdecimal() or int(index) >= len(parent.children):
        return
    if verb == "delete":
        del parent.children[int(index)]
    elif verb == "copy":
        parent.children.insert(int(index), parent.children[int(index)])


def _at(root: EditorGroup, path: str) -> EditorGroup | EditorLeaf | None:
    node: EditorGroup | EditorLeaf | None = root
    for step in path.split(".")[1:]:
        if not isinstance(node, EditorGroup) or not step.isdecimal() or int(step) >= len(node.children):
            return None
        node = node.children[int(step)]
    return node


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
