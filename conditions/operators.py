"""Which statements each type of field allows: the one table that schema, compiler, builder and rendering share."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ValueType(StrEnum):
    """What a field says about a person: one value or none; rows (SET, FACTS, SEQUENCE); or her place in a lot (SHARE)."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"  # one of the field's options
    FLAG = "flag"  # yes or no; missing counts as no
    MOMENT = "moment"  # an instant
    ANNIVERSARY = "anniversary"  # a date that returns every year
    SET = "set"  # any number of the field's options, each perhaps with an instant
    FACTS = "facts"  # dated happenings, perhaps with an amount
    SEQUENCE = "sequence"  # dated happenings of the field's options, asked for in an order
    SHARE = "share"  # where the lot of a seed puts her


Wants = Literal["nothing", "text", "number", "numbers", "options", "days", "times", "money", "events", "share"]
WindowUse = Literal["none", "optional", "required"]


@dataclass(frozen=True)
class Operator:
    """wants: the form of `value`; window: whether the leaf takes one."""

    key: str
    label: str | Promise
    wants: Wants = "nothing"
    window: WindowUse = "none"


_EMPTY = Operator("empty", _("为空"))
_NOT_EMPTY = Operator("not_empty", _("不为空"))

OPERATORS: dict[ValueType, tuple[Operator, ...]] = {
    ValueType.TEXT: (
        Operator("is", _("是"), "text"),
        Operator("is_not", _("不是"), "text"),
        Operator("contains", _("包含"), "text"),
        Operator("not_contains", _("不包含"), "text"),
        Operator("starts_with", _("开头是"), "text"),
        _EMPTY,
        _NOT_EMPTY,
    ),
    ValueType.NUMBER: (
        Operator("eq", _("等于"), "number"),
        Operator("ne", _("不等于"), "number"),
        Operator("gte", _("不小于"), "number"),
        Operator("lte", _("不大于"), "number"),
        Operator("between", _("介于"), "numbers"),
        _EMPTY,
        _NOT_EMPTY,
    ),
    ValueType.CHOICE: (
        Operator("in", _("是"), "options"),
        Operator("not_in", _("不是"), "options"),
        _EMPTY,
        _NOT_EMPTY,
    ),
    ValueType.FLAG: (Operator("yes", _("是")), Operator("no", _("否"))),
    ValueType.MOMENT: (
        Operator("within", _("在"), window="required"),
        Operator("not_within", _("不在"), window="required"),
        Operator("older_than", _("已满"), "days"),
        _EMPTY,
        _NOT_EMPTY,
    ),
    ValueType.ANNIVERSARY: (
        Operator("upcoming", _("将在几天内到来"), "days"),
        Operator("not_upcoming", _("几天内不会到来"), "days"),
        _EMPTY,
        _NOT_EMPTY,
    ),
    ValueType.SET: (
        Operator("any", _("有任一"), "options", "optional"),
        Operator("all", _("同时有"), "options", "optional"),
        Operator("none", _("没有"), "options", "optional"),
        Operator("empty", _("一个也没有"), window="optional"),
        Operator("not_empty", _("有任何一个"), window="optional"),
    ),
    ValueType.FACTS: (
        Operator("count_at_least", _("至少"), "times", "optional"),
        Operator("count_at_most", _("至多"), "times", "optional"),
        Operator("never", _("没有发生"), window="optional"),
        Operator("sum_at_least", _("金额合计不少于"), "money", "optional"),
        Operator("sum_at_most", _("金额合计不多于"), "money", "optional"),
        Operator("last_older_than", _("最近一次已过"), "days"),
    ),
    ValueType.SEQUENCE: (
        Operator("in_order", _("依次发生"), "events", "optional"),
        Operator("not_in_order", _("没有依次发生"), "events", "optional"),
    ),
    ValueType.SHARE: (Operator("in_share", _("抽中"), "share"), Operator("not_in_share", _("没有抽中"), "share")),
}
NEEDS_AMOUNT = frozenset({"sum_at_least", "sum_at_most"})
_BY_KEY = {kind: {operator.key: operator for operator in known} for kind, known in OPERATORS.items()}


def operator_of(kind: ValueType, key: str) -> Operator | None:
    """The operator of a key for a type of field, or None."""
    return _BY_KEY[kind].get(key)
