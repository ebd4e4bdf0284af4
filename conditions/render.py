"""Trees in readable words: 全部满足:标签有任一「敏感肌」;订单 近 90 天 至少 1 次."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from conditions import registry
from conditions.operators import Operator, ValueType
from conditions.registry import Field, Option
from conditions.tree import Group, Leaf, Negation, Node, parse


def in_words(tree: dict[str, Any]) -> str:
    """One line that says what the tree means. Unknown fields and values show as such, nothing raises."""
    node = parse(tree)
    if isinstance(node, Group) and not node.parts:
        return _("全部客户")
    return node_in_words(node)


def node_in_words(node: Node, *, nested: bool = False) -> str:
    """One node; a nested group stands in brackets."""
    if isinstance(node, Leaf):
        return leaf_in_words(node)
    if isinstance(node, Negation):
        return _("不满足(%(part)s)") % {"part": node_in_words(node.part)}
    words = [node_in_words(part, nested=True) for part in node.parts]
    text = (_(";且 ") if node.kind == "all" else _(";或 ")).join(words)
    if node.kind == "at_least":
        return _("至少满足 %(least)d 项(%(text)s)") % {"least": node.least, "text": ";".join(words)}
    return _("(%(text)s)") % {"text": text} if nested and len(words) > 1 else text


def leaf_in_words(leaf: Leaf) -> str:
    """One statement, e.g. 「首次添加时间 在 近 30 天」."""
    field = registry.find(leaf.field)
    operator = field.operator(leaf.op) if field else None
    if field is None or operator is None:
        return _("未知条件「%(field)s %(op)s」") % {"field": leaf.field, "op": leaf.op}
    window = window_in_words(leaf.window) if leaf.window else ""
    label = str(field.label) + _where_in_words(field, leaf)
    if field.type == ValueType.FACTS:
        return _facts_in_words(label, operator, leaf, window)
    if field.type == ValueType.SEQUENCE:
        return " ".join((label, _sequence_in_words(field, operator, leaf, window)))
    parts = [label]
    if field.type == ValueType.SET:
        parts.append(window)
    parts.append(str(operator.label))
    parts.append(window if field.type == ValueType.MOMENT else "")
    parts.append(_value_in_words(field, operator, leaf.value))
    return " ".join(part for part in parts if part)


def _where_in_words(field: Field, leaf: Leaf) -> str:
    """(打标来源 「规则」;门店 「静安寺店」), or nothing."""
    words = []
    for key, values in (leaf.where or {}).items():
        trait = field.trait(key)
        label = str(trait.label) if trait else key
        words.append(f"{label} {_names(trait.options() if trait else (), values)}")
    return _("(%(text)s)") % {"text": ";".join(words)} if words else ""


def _names(options: Sequence[Option], values: Sequence[Any]) -> str:
    known = {option.value: str(option.label) for option in options}
    return "、".join(f"「{known.get(item, _('已删除(%(id)s)') % {'id': item})}」" for item in values)


def window_in_words(window: dict[str, Any]) -> str:
    """近 30 天, 30 到 90 天前, 2026-01-01 至 2026-01-31."""
    if "hours" in window:
        return _("近 %(hours)d 小时") % {"hours": window["hours"]}
    if "days" in window:
        if window.get("skip_days"):
            return _("%(end)d 到 %(start)d 天前") % {"end": window["skip_days"], "start": window["days"]}
        return _("近 %(days)d 天") % {"days": window["days"]}
    start, end = _day(window.get("from")), _day(window.get("to"))
    if start and end:
        return _("%(start)s 至 %(end)s") % {"start": start, "end": end}
    return _("%(start)s 起") % {"start": start} if start else _("截至 %(end)s") % {"end": end}


def _day(text: str | None) -> str:
    return date_format(date.fromisoformat(text), "Y-m-d") if text else ""


def _facts_in_words(label: str, operator: Operator, leaf: Leaf, window: str) -> str:
    if leaf.op == "last_older_than":
        return _("最近一次%(label)s已过 %(days)d 天") % {"label": label, "days": leaf.value}
    if leaf.op == "never":
        return " ".join(part for part in (window, _("没有%(label)s") % {"label": label}) if part)
    amount = _money(leaf.value) if operator.wants == "money" else _("%(times)d 次") % {"times": leaf.value}
    return " ".join(part for part in (window, label, str(operator.label), amount) if part)


def _sequence_in_words(field: Field, operator: Operator, leaf: Leaf, window: str) -> str:
    """近 30 天 依次发生 「被添加」→「入群」,相邻两次不超过 7 天."""
    names = [_names(field.options() if field.options else (), [item]) for item in leaf.value]
    gap = _(",相邻两次不超过 %(days)d 天") % {"days": leaf.gap} if leaf.gap else ""
    return " ".join(part for part in (window, str(operator.label), "→".join(names) + gap) if part)


def _value_in_words(field: Field, operator: Operator, value: Any) -> str:
    if operator.wants == "options":
        return _names(field.options() if field.options else (), value)
    if operator.wants == "text":
        return f"「{value}」"
    if operator.wants == "share":
        return _("「%(seed)s」的 %(start)s%% 到 %(end)s%%") % {
            "seed": value["seed"],
            "start": value["from"],
            "end": value["to"],
        }
    if operator.wants == "numbers":
        return _("%(low)s 到 %(high)s") % {"low": value[0], "high": value[1]} + str(field.unit)
    if operator.wants == "days":
        return _("%(days)d 天") % {"days": value}
    return "" if value is None else f"{value}{field.unit}"


def _money(minor: int) -> str:
    amount = (Decimal(minor) / 100).quantize(Decimal("0.01"))
    return _("%(amount)s 元") % {"amount": f"{amount:,.2f}".removesuffix(".00")}
