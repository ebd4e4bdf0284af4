"""Is a tree well formed, and does it mean something? The shape by JSON Schema (docs/conditions.schema.json), the rest here.

Every problem names the path and says what to do, for the builder, the API and whoever pastes JSON.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError as ShapeError

from conditions import registry
from conditions.operators import Operator, ValueType
from conditions.registry import Asker, Field, Option, Text
from conditions.tree import PARTS, VERSION, Leaf, leaves, parse
from scrm.lib.errors import UserError

MAX_DEPTH = 6
MAX_LEAVES = 60
MAX_COST = 200
MOST_NODES, MOST_LEVELS = 1000, 40  # objects and lists of any tree worth a look; a valid one has some hundred
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SCHEMA_FILE = Path(__file__).resolve().parent / "schema.json"


@dataclass(frozen=True)
class Problem:
    """path: where in the tree, as `root.all[2].value`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.message}"


class ConditionInvalid(UserError):
    """The tree cannot be used. problems: all of them, in order of the tree."""

    code = "condition_invalid"

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        fields = {problem.path: problem.message for problem in problems}
        super().__init__(";".join(str(problem) for problem in problems[:5]), fields=fields)


def validate(tree: Any, asker: Asker | None = None) -> dict[str, Any]:
    """The tree itself, when it can be used. Raises ConditionInvalid with every problem found."""
    problems = problems_of(tree, asker)
    if problems:
        raise ConditionInvalid(problems)
    return dict(tree)


def problems_of(tree: Any, asker: Asker | None = None) -> list[Problem]:
    """What is wrong with a tree: first its shape; when that holds, its limits and its meaning. asker: who builds it or looks
    through it, where that is a person who may not see every field; None for trees that stand."""
    if _is_monstrous(tree):
        return [Problem("root", _("条件太大了,请拆成几个人群,再用「所在人群」组合"))]
    shape = [_shape_problem(error) for error in _validator().iter_errors(tree)]
    if shape:
        return shape
    limits = list(_limit_problems(tree["root"]))
    closed = closed_to(asker, tree) if asker and not limits else []
    return limits or [*closed, *_node_problems(tree["root"], "root")]


def _is_monstrous(tree: Any) -> bool:
    """Whether it is far beyond every limit, so that looking closer is work for nothing. Goes no deeper than it counts."""
    level, seen = [tree] if isinstance(tree, dict | list) else [], 0
    for _depth in range(MOST_LEVELS):
        parts = [part for node in level for part in (node.values() if isinstance(node, dict) else node)]
        level = [part for part in parts if isinstance(part, dict | list)]
        seen += len(level)
        if not level or seen > MOST_NODES:
            break
    return bool(level)


def is_sound(tree: dict[str, Any]) -> bool:
    """Whether a stored tree still means what it said. Of a deleted tag `none` would be true of everybody, so whoever acts on a tree that
    was checked when it was saved asks again; one that is not sound holds for nobody."""
    return not any(_is_dead(leaf) for leaf in leaves(parse(tree)))


def _is_dead(leaf: Leaf) -> bool:
    field = registry.find(leaf.field)
    operator = field.operator(leaf.op) if field else None
    if field is None or operator is None:
        return True
    if field.dies_with_options and operator.wants == "options" and _lacks(field.options, leaf.value):
        return True
    narrowed = ((field.trait(key), values) for key, values in (leaf.where or {}).items())
    return any(
        trait is None or (trait.dies_with_options and _lacks(trait.options, values)) for trait, values in narrowed
    )


def _lacks(options: Callable[[], Sequence[Option]] | None, values: Any) -> bool:
    known = {option.value for option in options()} if options else set()
    return not known.issuperset(values)


def closed_to(asker: Asker, tree: dict[str, Any]) -> list[Problem]:
    """A problem for each field of a well-formed tree that is not hers to ask about."""
    text = _("您看不到「%(label)s」,不能用它作条件。请去掉这个条件,或请看得到的同事来设置。")
    return [Problem("root", text % {"label": field.label}) for field in closed_fields(asker, tree)]


def closed_fields(asker: Asker, tree: dict[str, Any]) -> list[Field]:
    """Fields of a well-formed tree that are not hers to ask about, each once, in order of the tree."""
    found = [(leaf, field) for leaf in leaves(parse(tree)) if (field := registry.find(leaf.field)) is not None]
    return list({field.key: field for leaf, field in found if field.is_leaf_closed_to(leaf, asker)}.values())


def is_shaped(tree: Any) -> bool:
    """Whether a tree is well formed: it can be read and edited, though it may name what is gone."""
    return not _is_monstrous(tree) and bool(_validator().is_valid(tree))


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def _shape_problem(error: ShapeError) -> Problem:
    deepest = error
    while deepest.context:
        deepest = max(deepest.context, key=lambda inner: len(inner.absolute_path))
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in deepest.absolute_path).lstrip(".")
    if path == "version":
        text = _("这份条件写的格式版本不是 %(known)d,这里只认版本 %(known)d。请按条件格式说明改写后再用")
        return Problem(path, text % {"known": VERSION})
    return Problem(
        path or "root", _("写法不对(%(detail)s)。请对照条件格式说明修改") % {"detail": deepest.message[:120]}
    )


def _limit_problems(root: dict[str, Any]) -> Iterator[Problem]:
    depth, count, cost = _measure(root)
    if depth > MAX_DEPTH:
        yield Problem(
            "root", _("嵌套了 %(depth)d 层,最多 %(limit)d 层,请合并相同的组") % {"depth": depth, "limit": MAX_DEPTH}
        )
    if count > MAX_LEAVES:
        yield Problem(
            "root", _("有 %(count)d 个条件,最多 %(limit)d 个,请拆成两个人群") % {"count": count, "limit": MAX_LEAVES}
        )
    if cost > MAX_COST:
        yield Problem(
            "root",
            _("条件太重(%(cost)d,上限 %(limit)d),请减少按次数或金额统计的条件") % {"cost": cost, "limit": MAX_COST},
        )


def _measure(node: dict[str, Any]) -> tuple[int, int, int]:
    """Depth (a leaf is 0), leaves, cost. Iterates no deeper than the shape allowed."""
    name = next((name for kind, name in PARTS.items() if kind in node), None)
    if "not" in node:
        parts = [node["not"]]
    elif name is not None:
        parts = node[name]
    else:
        field = registry.find(node["field"])
        return 0, 1, field.cost if field else 1
    measured = [_measure(part) for part in parts] or [(0, 0, 0)]
    return 1 + max(m[0] for m in measured), sum(m[1] for m in measured), sum(m[2] for m in measured)


def _node_problems(node: dict[str, Any], path: str) -> Iterator[Problem]:
    if "not" in node:
        yield from _node_problems(node["not"], f"{path}.not")
    elif "field" in node:
        yield from _leaf_problems(node, path)
    else:
        name = next(name for kind, name in PARTS.items() if kind in node)
        if not node[name] and (path != "root" or name == "any"):
            yield Problem(f"{path}.{name}", _("这一组里还没有条件,请添加条件或删除这一组"))
        if node.get("at_least", 0) > len(node[name]):
            text = _("要满足 %(least)d 项,但这一组只有 %(count)d 项,请改小或再加条件")
            yield Problem(f"{path}.at_least", text % {"least": node["at_least"], "count": len(node[name])})
        for index, part in enumerate(node[name]):
            yield from _node_problems(part, f"{path}.{name}[{index}]")


def _leaf_problems(leaf: dict[str, Any], path: str) -> Iterator[Problem]:
    field = registry.find(leaf["field"])
    if field is None:
        yield Problem(f"{path}.field", _("没有「%(key)s」这个字段,请另选一个") % {"key": leaf["field"]})
        return
    reason = str(field.why_unavailable)
    if reason:
        yield Problem(
            f"{path}.field", _("「%(label)s」现在不能用:%(reason)s") % {"label": field.label, "reason": reason}
        )
        return
    operator = field.operator(leaf["op"])
    if operator is None:
        allowed = "、".join(f"{known.key}({known.label})" for known in field.allowed)
        text = _("「%(label)s」不能用「%(op)s」,可用:%(allowed)s")
        yield Problem(f"{path}.op", text % {"label": field.label, "op": leaf["op"], "allowed": allowed})
        return
    yield from _value_problems(field, operator, leaf, path)
    if leaf.get("gap") is not None and operator.wants != "events":
        yield Problem(f"{path}.gap", _("「%(label)s」不能限定相邻两次的间隔,请去掉") % {"label": field.label})
    yield from _window_problems(field, operator, leaf.get("window"), path)
    yield from _where_problems(field, leaf.get("where") or {}, path)


def _value_problems(field: Field, operator: Operator, leaf: dict[str, Any], path: str) -> Iterator[Problem]:
    if operator.wants == "nothing":
        if leaf.get("value") is not None:
            yield Problem(f"{path}.value", _("「%(op)s」不需要填值,请去掉") % {"op": operator.label})
        return
    value = leaf.get("value")
    if operator.wants in ("options", "events"):
        yield from _option_problems(field, operator, value, path)
    elif operator.wants == "share":
        yield from _share_problems(field, value, path)
    elif not _fits(field, operator, value):
        yield Problem(f"{path}.value", _EXPECTED(operator, field) % {"label": field.label})


def _fits(field: Field, operator: Operator, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and isinstance(value, int)
    if operator.wants == "text":
        return isinstance(value, str) and 0 < len(value) <= 100 and _is_storable(value)
    if operator.wants == "number":
        return number and abs(value) < 10**15
    if operator.wants == "numbers":
        return (
            isinstance(value, list)
            and len(value) == 2
            and all(
                isinstance(part, int | float) and not isinstance(part, bool) and abs(part) < 10**15 for part in value
            )
            and value[0] <= value[1]
        )
    if operator.wants == "days":
        return whole and 0 <= value <= (180 if field.type == ValueType.ANNIVERSARY else 3650)
    if operator.wants == "times":
        return whole and (1 if operator.key == "count_at_least" else 0) <= value <= 100_000
    return whole and 0 <= value < 10**15  # money, in minor units


def _is_storable(text: str) -> bool:
    """Whether PostgreSQL takes the text: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def _share_problems(field: Field, value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(f"{path}.value", _("「%(label)s」要填种子和起止百分比") % {"label": field.label})
        return
    if not _is_storable(value["seed"]):
        yield Problem(f"{path}.value.seed", _("种子里有不能保存的字符,请换一个"))
    for key in ("from", "to"):
        if not _is_hundredths(value[key]):
            yield Problem(f"{path}.value.{key}", _("百分比要在 0 到 100 之间,最多两位小数"))
            return
    if value["from"] >= value["to"]:
        yield Problem(f"{path}.value.to", _("百分比的终点要大于起点"))


def _is_hundredths(number: float) -> bool:
    return 0 <= number <= 100 and Decimal(str(number)) * 100 % 1 == 0


def _EXPECTED(operator: Operator, field: Field) -> str:
    return {
        "text": _("「%(label)s」要填 1 到 100 个字"),
        "number": _("「%(label)s」要填一个数字"),
        "numbers": _("「%(label)s」要填两个数字,前一个不大于后一个"),
        "days": _("「%(label)s」要填天数,0 到 180 的整数")
        if field.type == ValueType.ANNIVERSARY
        else _("「%(label)s」要填天数,0 到 3650 的整数"),
        "times": _("「%(label)s」要填次数,不为负的整数;「至少」从 1 起"),
        "money": _("「%(label)s」要填金额,单位是分,不为负的整数"),
    }[operator.wants]


def _option_problems(field: Field, operator: Operator, value: Any, path: str) -> Iterator[Problem]:
    low, high = (2, 5) if operator.wants == "events" else (1, 500)
    if not isinstance(value, list) or not low <= len(value) <= high:
        text = _("「%(label)s」要选 %(low)d 到 %(high)d 项")
        yield Problem(f"{path}.value", text % {"label": field.label, "low": low, "high": high})
        return
    assert field.options is not None
    yield from _unknown_options(field.options(), field.label, value, f"{path}.value")


def _unknown_options(options: Sequence[Option], label: Text, value: list[Any], path: str) -> Iterator[Problem]:
    known = {option.value for option in options}
    for index, item in enumerate(value):
        if isinstance(item, bool) or not isinstance(item, int | str) or item not in known:
            text = _("「%(label)s」里没有 %(item)s 这一项,可能已被删除,请重新选择")
            yield Problem(f"{path}[{index}]", text % {"label": label, "item": json.dumps(item, ensure_ascii=False)})


def _where_problems(field: Field, where: dict[str, list[Any]], path: str) -> Iterator[Problem]:
    for key, values in where.items():
        trait = field.trait(key)
        if trait is None:
            text = _("「%(label)s」不能按「%(key)s」限定,请去掉")
            yield Problem(f"{path}.where.{key}", text % {"label": field.label, "key": key})
        else:
            yield from _unknown_options(trait.options(), trait.label, values, f"{path}.where.{key}")


def _day(text: str) -> date:
    """Only 2026-01-31 is a day; Python takes other forms, too."""
    if not _DAY.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _window_problems(field: Field, operator: Operator, window: Any, path: str) -> Iterator[Problem]:
    if window is None:
        if operator.window == "required":
            yield Problem(f"{path}.window", _("「%(label)s」要选时间范围") % {"label": field.label})
        return
    if not field.takes_window(operator):
        yield Problem(
            f"{path}.window",
            _("「%(label)s」的「%(op)s」不能加时间范围") % {"label": field.label, "op": operator.label},
        )
        return
    try:
        days = [_day(window[key]) for key in ("from", "to") if key in window]
    except ValueError:
        yield Problem(f"{path}.window", _("日期写作 2026-01-31 这样,并且要真有这一天"))
        return
    if any(not 2000 <= day.year <= 2100 for day in days):
        yield Problem(f"{path}.window", _("日期要在 2000 到 2100 年之间"))
    if len(days) == 2 and days[0] > days[1]:
        yield Problem(f"{path}.window", _("开始日期晚于结束日期"))
    if window.get("skip_days", 0) >= window.get("days", 10**6):
        yield Problem(f"{path}.window", _("跳过的天数要少于总天数"))
