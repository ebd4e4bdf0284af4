"""Custom fields as condition fields `custom.<key>`, typed by their definitions. A key that nobody defined holds text. A date is
also `yearly.<key>`: the same day of every year.

A value of another kind than the type wants (written before the field was defined, by a program of old) counts as none.
Equality is answered by the index of values; every other positive statement looks only at people who have any custom value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import BooleanField, Case, CharField, DateField, DateTimeField, FloatField, Func, Q, Value, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, NullIf
from django.db.models.lookups import Exact
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conditions import windows
from conditions.operators import ValueType
from conditions.registry import Field, Option
from conditions.tree import Leaf
from contacts import custom
from contacts.conditionfields.times import midnight
from contacts.models import Contact, CustomField

PREFIX, YEARLY = "custom.", "yearly."
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_GROUP = gettext_lazy("自定义字段")
_HAS_ANY = ~Q(custom={})  # as the indexes have it
_PROBED = 50  # values that are looked up one by one; of more the index is not asked
_UNTYPED_READ = 500  # the latest people in whom keys without a definition are looked for
Type = CustomField.Type
_TYPES = {
    Type.INTEGER: ValueType.NUMBER, Type.DECIMAL: ValueType.NUMBER, Type.DATE: ValueType.MOMENT, Type.FLAG: ValueType.FLAG,
    Type.CHOICE: ValueType.CHOICE, Type.CHOICES: ValueType.SET,
}  # fmt: skip


def custom_field(key: str) -> Field | None:
    """The condition field of a key, None for what cannot be one. An archived field still answers. One query."""
    name = key.removeprefix(PREFIX)
    if not _KEY.fullmatch(name):
        return None
    return _field(name, CustomField.objects.filter(key=name).first())


def custom_fields() -> list[Field]:
    """Those in use in their order, then keys that nobody defined, as the latest people have them. Two queries."""
    definitions = {one.key: one for one in CustomField.objects.all()}
    found = [_field(key, one) for key, one in definitions.items() if one.archived_at is None]
    names: set[str] = set()
    for values in Contact.objects.filter(_HAS_ANY).order_by("-pk").values_list("custom", flat=True)[:_UNTYPED_READ]:
        names.update(key for key in values if _KEY.fullmatch(key))
    return found + [_field(name, None) for name in sorted(names - definitions.keys())]


def _field(name: str, definition: CustomField | None) -> Field:
    kind = _TYPES.get(Type(definition.type), ValueType.TEXT) if definition else ValueType.TEXT
    label = definition.label if definition else name
    order = definition.order if definition else 10_000
    key = PREFIX + name
    closed = bool(definition and not definition.in_conditions)
    unavailable = (lambda: _("这个字段没有开放用作条件")) if closed else None
    # Asked often enough, a condition tells what its masked middle hides.
    sight: dict[str, Any] = {
        "see_roles": frozenset(definition.see_roles if definition else ()),
        "permissions": ("contacts.unmask",) if definition and definition.is_masked else (),
        "show": (lambda value: custom.masked(definition, value)) if definition and definition.is_masked else None,
    }
    if kind == ValueType.SET:
        return Field(
            key,
            label,
            _GROUP,
            kind,
            read=_reader(name, kind),
            held=_held(name, [option["id"] for option in definition.options] if definition else ()),
            unavailable=unavailable,
            options=_options(definition),
            order=order,
            **sight,
        )
    return Field(
        key, label, _GROUP, kind, read=_reader(name, kind), expression=_expression(name, kind), narrow=_narrow(name), unavailable=unavailable, order=order, is_planned=True,
        options=_options(definition) if kind == ValueType.CHOICE else None, **sight,
    )  # fmt: skip


def yearly_field(key: str) -> Field | None:
    """A date that returns every year, None where no field of that key is a date. One query."""
    name = key.removeprefix(YEARLY)
    definition = CustomField.objects.filter(key=name, type=Type.DATE).first() if _KEY.fullmatch(name) else None
    return _yearly(definition) if definition else None


def yearly_fields() -> list[Field]:
    """The dates in use, in their order. One query."""
    return [_yearly(one) for one in CustomField.objects.filter(type=Type.DATE, archived_at__isnull=True)]


def _yearly(definition: CustomField) -> Field:
    dated = _field(definition.key, definition)
    read = _reader(definition.key, ValueType.ANNIVERSARY)
    return replace(
        dated, key=YEARLY + definition.key, label=gettext_lazy("%(label)s(每年)") % {"label": definition.label},
        type=ValueType.ANNIVERSARY, read=read, expression=_expression(definition.key, ValueType.ANNIVERSARY),
        dirty_keys=(dated.key,),
    )  # fmt: skip


def _options(definition: CustomField | None) -> Callable[[], list[Option]]:
    """Those out of use too: people may still have them."""
    known = definition.options if definition else []
    texts = [
        (
            option["id"],
            _("%(label)s(已停用)") % {"label": option["label"]} if option.get("archived") else option["label"],
        )
        for option in known
    ]
    return lambda: [Option(value, label) for value, label in texts]


# --- In SQL ----------------------------------------------------------------------------------------------------------


class _IsDay(Func):
    """Whether a text is a day that exists, as we write one; a cast of any other could raise."""

    template = "((%(expressions)s) ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')"
    output_field = BooleanField()


def _expression(name: str, kind: ValueType) -> Callable[[datetime], Any]:
    text = KeyTextTransform(name, "custom")

    def of_kind(json_type: str, then: Any, output: Any) -> Any:
        stored = Func(KeyTransform(name, "custom"), function="jsonb_typeof", output_field=CharField())
        return Case(When(Exact(stored, Value(json_type)), then=then), output_field=output)

    def expression(_now: datetime) -> Any:
        if kind == ValueType.NUMBER:
            return of_kind("number", Cast(text, FloatField()), FloatField())
        if kind == ValueType.FLAG:
            return Case(
                When(custom__contains={name: True}, then=Value(True)), default=Value(False), output_field=BooleanField()
            )
        if kind == ValueType.MOMENT:
            return of_kind("string", _if_day(text, midnight(text), DateTimeField()), DateTimeField())
        if kind == ValueType.ANNIVERSARY:
            return of_kind("string", _if_day(text, Cast(text, DateField()), DateField()), DateField())
        return of_kind("string", NullIf(text, Value("")) if kind == ValueType.CHOICE else text, CharField())

    return expression


def _if_day(text: Any, then: Any, output: Any) -> Any:
    """A cast is tried only of what is a day: it would raise of any other text."""
    is_real = Func(text, Value("date"), function="pg_input_is_valid", output_field=BooleanField())
    return Case(When(Q(_IsDay(text)) & Q(is_real), then=then), output_field=output)


def _narrow(name: str) -> Callable[[Leaf], Q]:
    def narrow(leaf: Leaf) -> Q:
        exact = {"is": [leaf.value], "eq": [leaf.value], "in": leaf.value, "yes": [True]}.get(leaf.op, ())
        if not 0 < len(exact) <= _PROBED:
            return _HAS_ANY
        return _HAS_ANY & reduce(or_, (Q(custom__contains={name: value}) for value in exact))

    return narrow


def _held(name: str, known: Sequence[Any]) -> Callable[[Sequence[Any]], Q]:
    """known: every option the field has; a list that holds none of them is no answer."""

    def held(values: Sequence[Any]) -> Q:
        wanted = [Q(custom__contains={name: [value]}) for value in values or known]
        return _HAS_ANY & reduce(or_, wanted) if wanted else Q(pk__in=[])

    return held


# --- For the reference evaluator -------------------------------------------------------------------------------------


def _reader(name: str, kind: ValueType) -> Callable[[Sequence[int]], Mapping[int, Any]]:
    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        people = Contact.objects.filter(pk__in=list(root_ids)).values_list("pk", "custom")
        return {pk: _known(values.get(name), kind) for pk, values in people}

    return read


def _known(value: Any, kind: ValueType) -> Any:
    if kind == ValueType.SET:
        return [(one, None) for one in value if isinstance(one, str)] if isinstance(value, list) else []
    if kind == ValueType.FLAG:
        return value is True
    if kind == ValueType.NUMBER:
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if not isinstance(value, str) or (kind == ValueType.CHOICE and value == ""):
        return None
    if kind == ValueType.ANNIVERSARY:
        day = _day(value)
        return day.date() if day else None
    return _day(value) if kind == ValueType.MOMENT else value


def _day(text: str) -> datetime | None:
    if not _DAY.fullmatch(text):
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), windows.zone())
    except ValueError:
        return None
