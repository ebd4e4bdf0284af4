"""What the buttons of the editor do to its boxes and rows. Each is named `verb:path`; dragging says `move:path>group:index`."""

import copy
from collections.abc import Callable

from django.utils.translation import gettext_lazy as _

from accounts.scope import DataScope
from conditions import registry
from conditions.editor import EditorGroup, EditorLeaf, Node
from scrm.lib.numbers import whole_number

# What was done, for the line that offers to undo it.
DONE = {
    "add": _("已添加一个条件"),
    "group": _("已添加一组"),
    "copy": _("已复制"),
    "delete": _("已删除"),
    "up": _("已上移"),
    "down": _("已下移"),
    "out": _("已移到外层"),
    "into": _("已移进相邻的组"),
    "wrap": _("已包成一组"),
    "dissolve": _("已拆开这一组"),
    "move": _("已移动"),
    "unwhere": _("已去掉限定"),
    "json": _("已换成粘贴的条件"),
}


def press(root: EditorGroup, verb: str, argument: str, scope: DataScope) -> Node | None:
    """Do it for somebody with this scope; paths are those before it. The node that had better have the focus now, or None where nothing was done."""
    if verb in ("add", "group"):
        return _add(_at(root, argument), scope, is_box=verb == "group")
    if verb == "move":
        return _drag(root, argument)
    if verb == "unwhere":
        path, _colon, key = argument.partition(":")
        return _widen(_at(root, path), key)
    node, parent = _at(root, argument), _at(root, argument.rpartition(".")[0]) if "." in argument else None
    deed = _DEEDS.get(verb)
    if deed is None or node is None or not isinstance(parent, EditorGroup):
        return None
    return deed(root, parent, node, _index_of(parent, node))


def _add(group: Node | None, scope: DataScope, *, is_box: bool) -> Node | None:
    """A row as it first appears: the first field that can be used."""
    if not isinstance(group, EditorGroup):
        return None
    chosen = next((one for one in registry.all_fields() if not one.why_unavailable), None)
    raw = {"field": chosen.key, "op": chosen.allowed[0].key} if chosen else {"field": "", "op": ""}
    leaf = EditorLeaf("", raw=raw, scope=scope)
    group.children.append(EditorGroup("", kind="any", children=[leaf]) if is_box else leaf)
    return leaf


def _widen(leaf: Node | None, key: str) -> Node | None:
    if not isinstance(leaf, EditorLeaf) or key not in leaf.traits:
        return None
    leaf.traits.remove(key)
    where = {trait: values for trait, values in (leaf.raw.get("where") or {}).items() if trait != key}
    leaf.raw = {name: part for name, part in leaf.raw.items() if name != "where"} | ({"where": where} if where else {})
    return leaf


def _copy(_root: EditorGroup, parent: EditorGroup, node: Node, index: int) -> Node | None:
    twin = _twin(node)
    parent.children.insert(index + 1, twin)
    return twin


def _twin(node: Node) -> Node:
    if isinstance(node, EditorLeaf):
        return EditorLeaf("", raw=copy.deepcopy(node.raw), scope=node.scope, traits=list(node.traits))
    parts = [_twin(child) for child in node.children]
    return EditorGroup("", kind=node.kind, children=parts, at_least=node.at_least)


def _delete(_root: EditorGroup, parent: EditorGroup, _node: Node, index: int) -> Node | None:
    del parent.children[index]
    return parent.children[min(index, len(parent.children) - 1)] if parent.children else parent


def _up(root: EditorGroup, parent: EditorGroup, node: Node, index: int) -> Node | None:
    return _put(parent, node, parent, index - 1) if index else _out(root, parent, node, index)


def _down(root: EditorGroup, parent: EditorGroup, node: Node, index: int) -> Node | None:
    is_last = index == len(parent.children) - 1
    return _out(root, parent, node, index, after=1) if is_last else _put(parent, node, parent, index + 1)


def _out(root: EditorGroup, parent: EditorGroup, node: Node, _index: int, after: int = 0) -> Node | None:
    """Beside the box in which it stood: before it, or after it."""
    outer = _parent_of(root, parent)
    return None if outer is None else _put(parent, node, outer, _index_of(outer, parent) + after)


def _into(_root: EditorGroup, parent: EditorGroup, node: Node, index: int) -> Node | None:
    """To the end of the next box, or of the one before where there is none."""
    beside = parent.children[index + 1 : index + 2] + parent.children[max(index - 1, 0) : index]
    box = next((one for one in beside if isinstance(one, EditorGroup)), None)
    return None if box is None else _put(parent, node, box, len(box.children))


def _wrap(_root: EditorGroup, parent: EditorGroup, node: Node, index: int) -> Node | None:
    parent.children[index] = EditorGroup("", kind="any", children=[node])
    return node


def _dissolve(_root: EditorGroup, parent: EditorGroup, node: Node, index: int) -> Node | None:
    if not isinstance(node, EditorGroup):
        return None
    parent.children[index : index + 1] = node.children
    return node.children[0] if node.children else parent


_DEEDS: dict[str, Callable[[EditorGroup, EditorGroup, Node, int], Node | None]] = {
    "copy": _copy,
    "delete": _delete,
    "up": _up,
    "down": _down,
    "out": _out,
    "into": _into,
    "wrap": _wrap,
    "dissolve": _dissolve,
}


def _drag(root: EditorGroup, argument: str) -> Node | None:
    """`path>group:index`: to stand before what is now at that index of that box. Nothing for a box dropped into itself."""
    source, _arrow, target = argument.partition(">")
    box_path, _colon, index = target.partition(":")
    node, box = _at(root, source), _at(root, box_path)
    parent = _at(root, source.rpartition(".")[0]) if "." in source else None
    is_inside = f"{box_path}.".startswith(f"{source}.")
    if node is None or not isinstance(parent, EditorGroup) or not isinstance(box, EditorGroup) or is_inside:
        return None
    place = int(index) if index.isdecimal() and len(index) < 4 else len(box.children)
    if parent is box and _index_of(box, node) < place:
        place -= 1
    return _put(parent, node, box, place)


def _put(parent: EditorGroup, node: Node, box: EditorGroup, index: int) -> Node:
    del parent.children[_index_of(parent, node)]
    box.children.insert(index, node)
    return node


def _index_of(parent: EditorGroup, node: Node) -> int:
    return next(index for index, child in enumerate(parent.children) if child is node)


def _parent_of(root: EditorGroup, node: Node) -> EditorGroup | None:
    parent = _at(root, node.path.rpartition(".")[0]) if "." in node.path else None
    return parent if isinstance(parent, EditorGroup) else None


def _at(root: EditorGroup, path: str) -> Node | None:
    node: Node | None = root
    for step in path.split(".")[1:]:
        place = whole_number(step)
        if not isinstance(node, EditorGroup) or place is None or place >= len(node.children):
            return None
        node = node.children[place]
    return node
