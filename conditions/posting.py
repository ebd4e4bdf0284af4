"""The editor as a form posts it: its rows read back, then the button that was pressed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _

from accounts.scope import EVERYTHING, DataScope
from conditions import moves, registry
from conditions.editor import KINDS, EditorGroup, EditorLeaf, Node, settle
from conditions.operators import Operator
from conditions.registry import Field
from scrm.lib.errors import UserError

MOST = 100  # parts of a group that are read
MOST_NODES = 400  # rows and boxes of a whole form: far beyond what can be saved, and still quick to draw
LARGEST = Decimal(10) ** 15
DEEPEST = 12
MOST_NEEDED = 60
SEED = 40  # characters of a lot's name


@dataclass
class Posted:
    """before: as it stood when the button was pressed, where one was. done: what the button did, or "". focus: the node that it was
    about, where it still stands."""

    root: EditorGroup
    before: EditorGroup | None
    done: str
    focus: Node | None


def read_post(post: QueryDict, scope: DataScope = EVERYTHING) -> Posted:
    """The editor as posted, after the button pressed (`act`, see conditions.moves). Raises UserError for one beyond reading."""
    root = _read_root(post, scope)
    verb, _colon, place = post.get("act", "").partition(":")
    if not verb:
        return Posted(root, None, "", None)
    moved = moves.press(root, verb, place, scope)
    done = "" if moved is None else verb
    return Posted(
        settle(root), _read_root(post, scope) if done else None, done, moved if isinstance(moved, Node) else None
    )


def from_post(post: QueryDict, scope: DataScope = EVERYTHING) -> EditorGroup:
    """The editor as posted, after the button pressed."""
    return read_post(post, scope).root


def _read_root(post: QueryDict, scope: DataScope) -> EditorGroup:
    try:
        shape = json.loads(post.get("shape", "[]"))
    except (ValueError, RecursionError):
        shape = []
    shape = shape if isinstance(shape, list) else []
    if is_monstrous(shape):
        raise UserError(_("条件太大了,请拆成几个人群,再用「所在人群」组合"))
    root = _read(shape, "r", post, scope, depth=0)
    assert isinstance(root, EditorGroup)
    return settle(root)


def is_monstrous(shape: list[Any]) -> bool:
    """Whether it has more rows and boxes than are read, level by level, so that a huge one is not walked to its end."""
    level, seen = [shape], 0
    while level and seen <= MOST_NODES:
        parts = [part for node in level for part in node[:MOST]]
        seen += len(parts)
        level = [part for part in parts if isinstance(part, list)]
    return seen > MOST_NODES


def _read(shape: Any, path: str, post: QueryDict, scope: DataScope, depth: int) -> Node:
    if not isinstance(shape, list) or depth > DEEPEST:
        return _read_leaf(path, post, scope)
    kind = post.get(f"k:{path}", "all")
    children = [_read(part, f"{path}.{index}", post, scope, depth + 1) for index, part in enumerate(shape[:MOST])]
    needed = _number(post.get(f"n:{path}", "") or "2")
    least = min(max(needed, 1), MOST_NEEDED) if isinstance(needed, int) else 1
    return EditorGroup(path, kind=kind if kind in dict(KINDS) else "all", children=children, at_least=least)


def _read_leaf(path: str, post: QueryDict, scope: DataScope) -> EditorLeaf:
    key = post.get(f"f:{path}", "")
    chosen = registry.find(key)
    if chosen is None:
        return EditorLeaf(path, raw={"field": key, "op": post.get(f"o:{path}", "")}, scope=scope)
    operator = chosen.operator(post.get(f"o:{path}", "")) or chosen.allowed[0]
    raw: dict[str, Any] = {"field": chosen.key, "op": operator.key}
    is_same = post.get(f"was:{path}", key) == key  # the values of another field mean nothing in this one
    value = _read_value(chosen, operator, path, post) if is_same else _start(operator)
    if value is not None:
        raw["value"] = value
    window = _read_window(path, post) if chosen.takes_window(operator) else None
    if window is None and operator.window == "required":
        window = {"days": 30}
    if window is not None:
        raw["window"] = window
    if operator.wants == "events" and (gap := post.get(f"g:{path}", "").strip()):
        raw["gap"] = _number(gap)
    traits = _read_traits(chosen, path, post) if is_same else []
    where = {key: _values(chosen, key, path, post) for key in traits}
    if any(where.values()):
        raw["where"] = where
    queries = {
        letter: text.strip()[:40] for letter in ("v", *traits) if (text := post.get(f"q.{letter}:{path}", "")).strip()
    }
    return EditorLeaf(path, raw=raw, scope=scope, traits=traits, queries=queries)


def _start(operator: Operator) -> Any:
    """The value with which a row begins, where one is sensible."""
    return {"options": [], "events": [], "days": 30, "times": 1, "share": {"seed": "", "from": 0, "to": 10}}.get(
        operator.wants
    )


def _read_value(chosen: Field, operator: Operator, path: str, post: QueryDict) -> Any:
    text = post.get(f"v:{path}", "").strip()
    if operator.wants == "nothing":
        return None
    if operator.wants in ("options", "events"):
        known = {str(option.value): option.value for option in (chosen.options() if chosen.options else ())}
        return [known.get(item, _number(item)) for item in post.getlist(f"v:{path}")[:500] if item]
    if operator.wants == "text":
        return text
    if operator.wants == "share":
        ends = {end: _number(post.get(f"{letter}:{path}", "")) for end, letter in (("from", "v2"), ("to", "v3"))}
        return {"seed": text[:SEED], **ends}
    if operator.wants == "numbers":
        return [_number(post.get(f"v:{path}", "")), _number(post.get(f"v2:{path}", ""))]
    if operator.wants == "money":
        amount = _decimal(text)
        return int(amount * 100) if amount is not None and abs(amount) <= LARGEST else ""
    return _number(text)


def _read_traits(chosen: Field, path: str, post: QueryDict) -> list[str]:
    """The rows of `where`: those that stood there, without the one taken away, and the one just chosen."""
    known = {trait.key for trait in chosen.traits}
    keys = [key for key in dict.fromkeys(post.getlist(f"t:{path}")) if key in known]
    more = post.get(f"t.more:{path}", "")
    return [*keys, more] if more in known and more not in keys else keys


def _values(chosen: Field, key: str, path: str, post: QueryDict) -> list[Any]:
    trait = chosen.trait(key)
    known = {str(option.value): option.value for option in (trait.options() if trait else ())}
    return [known.get(item, _number(item)) for item in post.getlist(f"t.{key}:{path}")[:500] if item]


def _decimal(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _number(text: str) -> Any:
    """An int where it is one, a float, or the text itself for the validation to refuse."""
    amount = _decimal(text.strip())
    if amount is None or abs(amount) > LARGEST:
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
