"""The definitions of custom fields: added, changed, ordered, archived. A definition is never deleted, nor a value by changing one."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from accounts.models import Role
from conditions.reading import reads_field
from contacts import custom, marks
from contacts.models import Contact, CustomField
from contacts.services.custom_values import LOCK
from contacts.services.search import pinyin_of
from contacts.services.stage_answers import standing_stages
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text, update_rows
from scrm.lib.errors import Conflict, UserError
from tenants import audit, locks
from tenants.audit import Actor

MOST = 40  # in use: a page of more cannot be read
MOST_EVER = 200  # archived ones included
MOST_OPTIONS = 100
REWRITTEN = 20_000  # values that one change of type may rewrite, inside the request
CHUNK = 2000
Type = CustomField.Type
Uses = Callable[[str], Iterable[str]]
_uses: dict[str, Uses] = {}
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Changes of type after which every value stands as it is.
SAME = {
    Type.TEXT: {Type.LONG_TEXT}, Type.PHONE: {Type.TEXT, Type.LONG_TEXT}, Type.URL: {Type.LONG_TEXT}, Type.INTEGER: {Type.DECIMAL},
}  # fmt: skip


def register_uses(name: str, find: Uses) -> None:
    """`find(condition key)` names what of an app reads the field now (规则「…」), so that its conditions are not broken underneath."""
    _uses[name] = find


def uses_of(key: str) -> Iterator[str]:
    """Everything whose conditions read the custom field."""
    condition = f"custom.{key}"
    for stage in standing_stages():
        if stage.rule and reads_field(stage.rule, condition):
            yield _("阶段「%(name)s」的进入条件") % {"name": stage.name}
    for find in _uses.values():
        yield from find(condition)


def _refuse_used(field: CustomField) -> None:
    uses = list(uses_of(field.key))
    if uses:
        text = _("「%(label)s」正被用作条件:%(uses)s。请先改掉它们。")
        raise UserError(text % {"label": field.label, "uses": "、".join(uses[:5])})


@dataclass(frozen=True)
class Settings:
    """What may be said of a field, beside its key and type. options: (id of a known one or "", label, whether out of use)."""

    label: str
    section: str = ""
    options: Sequence[tuple[str, str, bool]] = ()
    is_required: bool = False
    lowest: Decimal | None = None
    highest: Decimal | None = None
    max_length: int | None = None
    see_roles: Sequence[int] = ()
    edit_roles: Sequence[int] = ()
    is_masked: bool = False
    data_class: str = CustomField.DataClass.PERSONAL
    api: str = CustomField.Api.WRITE
    in_list: bool = False
    in_conditions: bool = True


@transaction.atomic
def add_field(type_: str, settings: Settings, *, key: str = "", by: Actor) -> CustomField:
    """A field at the end of the order. Values that people already have under its key must fit its type. Raises UserError."""
    locks.lock_in_transaction(LOCK)
    if CustomField.objects.filter(archived_at__isnull=True).count() >= MOST:
        raise UserError(_("最多同时用 %(most)d 个自定义字段,请先停用一个。") % {"most": MOST})
    if CustomField.objects.count() >= MOST_EVER:
        text = _("自定义字段连同已停用的已有 %(most)d 个,请恢复并改用一个已停用的。")
        raise UserError(text % {"most": MOST_EVER})
    last = CustomField.objects.aggregate(last=Max("order"))["last"] or 0
    field = CustomField(key=_new_key(key, settings.label), type=type_, order=last + 10, created_at=clock.now())
    _settle(field, settings)
    if field.type not in custom.TEXTS:
        _refuse_used(field)  # conditions on a key that nobody defined take it for text
    field.save(force_insert=True)
    _rewrite(field, _untyped(field.key))
    audit.record("custom_field.added", field, by=by, key=field.key, type=field.type, label=field.label)
    return field


@transaction.atomic
def change_field(field_id: int, settings: Settings, *, by: Actor) -> CustomField:
    """Anything but key and type. Limits hold for what is written from now on. Raises UserError."""
    locks.lock_in_transaction(LOCK)
    field = CustomField.objects.select_for_update().get(pk=field_id)
    before = {name: getattr(field, name) for name in _NAMES}
    _settle(field, settings)
    changed = [name for name in _NAMES if getattr(field, name) != before[name]]
    if "in_conditions" in changed and not field.in_conditions:
        _refuse_used(field)
    if changed:
        field.save(update_fields=changed)
        audit.record("custom_field.changed", field, by=by, key=field.key, label=field.label, fields=changed)
    return field


_NAMES = (
    "label", "section", "options", "is_required", "lowest", "highest", "max_length", "see_roles", "edit_roles", "is_masked",
    "data_class", "api", "in_list", "in_conditions",
)  # fmt: skip


@transaction.atomic
def shift_field(field_id: int, *, later: bool, by: Actor) -> None:
    """One place earlier or later among those in use."""
    locks.lock_in_transaction(LOCK)
    fields = custom.fields_in_use()
    place = next((index for index, field in enumerate(fields) if field.pk == field_id), None)
    if place is None:
        raise UserError(_("这个字段已停用,请刷新页面。"))
    other = place + (1 if later else -1)
    if not 0 <= other < len(fields):
        return
    fields[place], fields[other] = fields[other], fields[place]
    for index, field in enumerate(fields, start=1):
        field.order = index * 10
    CustomField.objects.bulk_update(fields, ["order"])
    audit.record("custom_field.shifted", by=by, order=[field.key for field in fields])


@transaction.atomic
def archive_field(field_id: int, *, by: Actor) -> None:
    """Out of use: no page, list or application shows or takes it. Its values stay, and conditions that read it go on."""
    locks.lock_in_transaction(LOCK)
    field = CustomField.objects.select_for_update().get(pk=field_id)
    if field.archived_at is None:
        field.archived_at = clock.now()
        field.save(update_fields=["archived_at"])
        audit.record("custom_field.archived", field, by=by, key=field.key, label=field.label)


@transaction.atomic
def restore_field(field_id: int, *, by: Actor) -> None:
    """In use again, at the end. Raises UserError when its name is taken or there are too many."""
    locks.lock_in_transaction(LOCK)
    field = CustomField.objects.select_for_update().get(pk=field_id)
    if field.archived_at is None:
        return
    _refuse_taken_label(field)
    if CustomField.objects.filter(archived_at__isnull=True).count() >= MOST:
        raise UserError(_("最多同时用 %(most)d 个自定义字段,请先停用一个。") % {"most": MOST})
    field.archived_at, field.order = None, (CustomField.objects.aggregate(last=Max("order"))["last"] or 0) + 10
    field.save(update_fields=["archived_at", "order"])
    audit.record("custom_field.restored", field, by=by, key=field.key, label=field.label)


def count_values(key: str) -> int:
    """How many people have a value under the key: read among those who have any custom value."""
    return _holders(key).count()


def _holders(key: str) -> QuerySet[Contact]:
    return Contact.objects.filter(~Q(custom={}), custom__has_key=key)


# --- Settings --------------------------------------------------------------------------------------------------------


def _new_key(given: str, label: str) -> str:
    key = given.strip()
    if key:
        if not _KEY.fullmatch(key):
            text = _("字段标识只能用小写字母、数字和下划线,以字母开头,最多 40 个字符。")
            raise UserError(text, fields={"key": text})
        if CustomField.objects.filter(key=key).exists():
            text = _("字段标识「%(key)s」已被使用(可能是已停用的字段),请换一个。") % {"key": key}
            raise UserError(text, fields={"key": text})
        return key
    plain = re.sub(r"[^a-z0-9_]", "", (pinyin_of(label)[0] or label.lower()))[:30]
    base = plain if _KEY.fullmatch(plain) else "field"
    taken = set(CustomField.objects.filter(key__startswith=base).values_list("key", flat=True))
    return next(key for key in _candidates(base) if key not in taken and not count_values(key))


def _candidates(base: str) -> Iterator[str]:
    yield base
    for number in range(2, MOST_EVER + 3):
        yield f"{base}_{number}"
    while True:
        yield f"{base[:20]}_{get_random_string(8, 'abcdefghijkmnpqrstuvwxyz23456789')}"


def _settle(field: CustomField, settings: Settings) -> None:
    """Put the settings on the field. Raises UserError."""
    field.label = clean_text(settings.label).strip()
    if not field.label or len(field.label) > 20:
        raise UserError(_("请填写 1 到 20 个字的字段名。"), fields={"label": _("1 到 20 个字")})
    _refuse_taken_label(field)
    field.section = clean_text(settings.section).strip()[:20]
    field.is_required, field.in_list, field.in_conditions = (
        settings.is_required,
        settings.in_list,
        settings.in_conditions,
    )
    field.is_masked = settings.is_masked and field.type in custom.MASKABLE
    field.data_class, field.api = settings.data_class, settings.api
    field.see_roles, field.edit_roles = _known_roles(settings.see_roles), _known_roles(settings.edit_roles)
    is_number, is_text = field.type in custom.NUMBERS, field.type in (Type.TEXT, Type.LONG_TEXT, Type.URL)
    field.lowest, field.highest = (settings.lowest, settings.highest) if is_number else (None, None)
    if field.lowest is not None and field.highest is not None and field.lowest > field.highest:
        raise UserError(_("最小值不能大于最大值。"), fields={"highest": _("要不小于最小值")})
    field.max_length = settings.max_length if is_text else None
    longest = custom.LONGEST.get(Type(field.type), 0)
    if field.max_length is not None and not 1 <= field.max_length <= longest:
        text = _("最多字数请填 1 到 %(longest)d,或留空。") % {"longest": longest}
        raise UserError(text, fields={"max_length": text})
    field.options = _options(field, settings.options) if field.has_options else []


def _refuse_taken_label(field: CustomField) -> None:
    if CustomField.objects.exclude(pk=field.pk or 0).filter(label=field.label, archived_at__isnull=True).exists():
        text = _("已有名为「%(label)s」的字段,请换一个名字。") % {"label": field.label}
        raise UserError(text, fields={"label": _("名字已被使用")})


def _known_roles(ids: Sequence[int]) -> list[int]:
    return sorted(Role.objects.filter(pk__in=list(ids)).values_list("pk", flat=True))


def _options(field: CustomField, wanted: Sequence[tuple[str, str, bool]]) -> list[dict[str, Any]]:
    """Known options keep their ids whatever they are called, and stay where a value may name them; new ones come last."""
    known = {option["id"]: option for option in field.options}
    found: dict[str, dict[str, Any]] = {}
    for option_id, label, is_archived in wanted:
        label = clean_text(label).strip()
        if not label and option_id not in known:
            continue
        if not label or len(label) > 30 or custom.SEPARATORS.search(label):
            text = _("选项「%(label)s」要有 1 到 30 个字,不含逗号、顿号、分号和竖线。") % {"label": label[:40]}
            raise UserError(text, fields={"options": text})
        pk = option_id if option_id in known else _option_id({*known, *found})
        found[pk] = {"id": pk, "label": label} | ({"archived": True} if is_archived else {})
    found |= {pk: option for pk, option in known.items() if pk not in found}
    standing = [option["label"] for option in found.values() if not option.get("archived")]
    if not standing:
        raise UserError(_("请至少填写一个选项。"), fields={"options": _("至少一个")})
    if len(set(standing)) < len(standing):
        raise UserError(_("有两个选项的名字相同,请改掉一个。"), fields={"options": _("名字重复")})
    if len(found) > MOST_OPTIONS:
        text = _("选项连同已停用的最多 %(most)d 个。") % {"most": MOST_OPTIONS}
        raise UserError(text, fields={"options": text})
    return list(found.values())


def _option_id(taken: set[str]) -> str:
    """Letters and digits that no label is likely to be."""
    while (made := f"o{get_random_string(7, 'abcdefghijkmnpqrstuvwxyz23456789')}") in taken:
        pass
    return made


# --- Another type ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """What a change of type would meet: values, those that would be lost, some of these as people read them, whether they are too
    many to be rewritten, and what reads the field as the type that it has."""

    values: int
    lost: int = 0
    examples: tuple[str, ...] = ()
    too_many: bool = False
    uses: tuple[str, ...] = ()


def preview_type(field: CustomField, type_: str) -> Preview:
    """Counts what stands under the field and would not survive as the type."""
    retyped, keeps = _retyped(field, type_), Type(type_) in SAME.get(Type(field.type), ())
    found = _preview(retyped, _as_is(field), keeps=keeps)
    return found if keeps else replace(found, uses=tuple(uses_of(field.key)))


@transaction.atomic
def change_type(field_id: int, type_: str, *, expected: int, by: Actor) -> CustomField:
    """Another type for a field, its values rewritten; refused when one would be lost.

    expected: how many values the person saw. Raises Conflict when they are others now, UserError for what would be lost.
    """
    locks.lock_in_transaction(LOCK)
    field = CustomField.objects.select_for_update().get(pk=field_id)
    count = count_values(field.key)
    if count != expected:
        text = _("您看到时有 %(seen)d 个值,现在是 %(now)d 个,请核对后再改。")
        raise Conflict(text % {"seen": expected, "now": count})
    old, read = field.type, _as_is(field)
    retyped = _retyped(field, type_)
    if Type(type_) not in SAME.get(Type(old), ()):
        _refuse_used(field)
        _rewrite(retyped, read)
    retyped.save(update_fields=["type", *_NAMES])
    audit.record(
        "custom_field.retyped", field, by=by, key=field.key, label=field.label, before=old, after=type_, values=count
    )
    return retyped


Read = Callable[[Any], str]


def _as_is(field: CustomField) -> Read:
    # A copy: the definition itself is about to be another.
    old = CustomField(key=field.key, type=field.type, options=field.options)
    return lambda value: custom.shown(old, value)


def _untyped(_key: str) -> Read:
    return lambda value: custom.shown(None, value)


def _retyped(field: CustomField, type_: str) -> CustomField:
    """The field as it would be; limits that mean nothing to the new type go."""
    if type_ not in Type.values:
        raise UserError(_("请选择一种类型。"), fields={"type": _("请选择")})
    new = CustomField.objects.get(pk=field.pk)
    new.type = type_
    if new.type not in custom.NUMBERS:
        new.lowest = new.highest = None
    if new.type not in (Type.TEXT, Type.LONG_TEXT, Type.URL):
        new.max_length = None
    new.is_masked = new.is_masked and new.type in custom.MASKABLE
    if not new.has_options:
        new.options = []
    elif not new.standing_options:
        raise UserError(_("改成单选或多选要先有选项:请新建一个字段,再把这个停用。"), fields={"type": _("没有选项")})
    return new


def _preview(field: CustomField, read: Read, *, keeps: bool) -> Preview:
    count = count_values(field.key)
    if keeps or not count:
        return Preview(count)
    if count > REWRITTEN:
        return Preview(count, too_many=True)
    texts = (read(person.custom[field.key]) for person in _holders(field.key).only("custom"))
    lenient = _lenient(field)
    lost = [text for text in texts if text and _parsed(lenient, text) is None]
    return Preview(count, len(lost), tuple(dict.fromkeys(text[:40] for text in lost[:5])))


def _rewrite(field: CustomField, read: Read) -> None:
    """Every value that stands under the field's key, as its type has it. Raises UserError when one would be lost."""
    found = _preview(field, read, keeps=False)
    if found.too_many:
        text = _("已有 %(count)d 个值,超过 %(most)d 个时不能改写。请新建一个字段。")
        raise UserError(text % {"count": found.values, "most": REWRITTEN})
    if found.lost:
        text = _(
            "已有的 %(count)d 个值里有 %(lost)d 个不符合这个类型,例如「%(example)s」。请先改好这些值,或换一种类型。"
        )
        raise UserError(text % {"count": found.values, "lost": found.lost, "example": found.examples[0]})
    lenient = _lenient(field)
    changed: list[Mapping[str, Any]] = []
    for person in _holders(field.key).select_for_update(of=("self",)).order_by("pk").only("pk", "custom"):
        value = _parsed(lenient, read(person.custom[field.key]))
        others = {key: one for key, one in person.custom.items() if key != field.key}
        changed.append({"id": person.pk, "custom": others if value is None else others | {field.key: value}})
    for start in range(0, len(changed), CHUNK):
        update_rows(Contact, changed[start : start + CHUNK])
        marks.mark([int(row["id"]) for row in changed[start : start + CHUNK]], f"custom.{field.key}")


def _lenient(field: CustomField) -> CustomField:
    """The type alone: limits set later, and options out of use, do not make a standing value wrong."""
    options = [{"id": option["id"], "label": option["label"]} for option in field.options]
    return CustomField(key=field.key, label=field.label, type=field.type, options=options)


def _parsed(field: CustomField, text: str) -> Any:
    try:
        return custom.parse(field, text)
    except UserError:
        return None
