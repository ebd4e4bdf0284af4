"""Custom fields in use: which there are, who may see and edit them, and their values as people write and read them.

The door for whoever shows, imports or exports values:

    for field in custom.fields_in_use(): …            # in order
    value = custom.parse(field, "2026/1/31")          # a value of Contact.custom, None for empty; UserError with a sentence
    custom.shown(field, person.custom.get(field.key)) # the text people read, "" for none
    custom_values.set_values({contact_id: {field.key: value}}, by=actor, at=now, source="import")

As stored: texts, phones (E.164), addresses and days (2026-01-31) are strings, numbers numbers, yes and no booleans; a choice is
the id of its option, a multiple choice a list of ids in the order of the options.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.utils.translation import gettext as _

from accounts.models import RoleGrant
from accounts.scope import data_scope
from conditions.registry import Asker
from contacts.models import Contact, CustomField
from contacts.phones import normalise_phone, show_phone
from contacts.queries import visible_contacts
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from scrm.lib.privacy import mask_text

Type = CustomField.Type
TEXTS = frozenset({Type.TEXT, Type.LONG_TEXT, Type.PHONE, Type.URL})
NUMBERS = frozenset({Type.INTEGER, Type.DECIMAL})
MASKABLE = TEXTS | NUMBERS
# Characters of a text at most, where the field says no less.
LONGEST = {Type.TEXT: 200, Type.LONG_TEXT: 2000, Type.URL: 500}
PLACES = 4  # of a decimal: with eleven digits before the point a float still holds it exactly
LARGEST = {Type.INTEGER: Decimal(10) ** 15, Type.DECIMAL: Decimal(10) ** 11}
YES, NO = ("是", "yes", "y", "true", "1"), ("否", "no", "n", "false", "0")
SEPARATORS = re.compile(r"[、,,;;|\n]")
_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")
_DAY = re.compile(
    r"(\d{4})(?:[-/.年])(\d{1,2})(?:[-/.月])(\d{1,2})日?(?:[ T]00:00(?::00(?:\.0+)?)?)?|(\d{4})(\d{2})(\d{2})"
)
_ADDRESS = URLValidator(schemes=["http", "https"])


def fields_in_use() -> list[CustomField]:
    """The definitions that are not archived, in order. One query."""
    return list(CustomField.objects.filter(archived_at__isnull=True))


# --- Values ----------------------------------------------------------------------------------------------------------


def parse(field: CustomField, given: Any) -> Any:
    """The value as Contact.custom has it, of what somebody wrote or an application sent; None for nothing.

    Raises UserError with a sentence that says what the field wants.
    """
    if field.type == Type.CHOICES and isinstance(given, list | tuple):
        return _choices(field, [_plain(field, part) for part in given])
    text = _plain(field, given)
    return _PARSERS[Type(field.type)](field, text) if text else None


def _plain(field: CustomField, given: Any) -> str:
    """What was given, as text."""
    if given is None:
        return ""
    if isinstance(given, bool):
        return YES[0] if given else NO[0]
    if isinstance(given, int | float | Decimal):
        return f"{Decimal(str(given)):f}" if Decimal(str(given)).is_finite() else str(given)
    if not isinstance(given, str):
        raise _refused(field, _("要一个值,不是一组"))
    return clean_text(given).strip()


def _refused(field: CustomField, why: str) -> UserError:
    message = _("「%(label)s」%(why)s。") % {"label": field.label, "why": why}
    return UserError(message, fields={field.key: message})


def _text(field: CustomField, text: str) -> str:
    longest = min(field.max_length or LONGEST[Type.LONG_TEXT], LONGEST[Type(field.type)])
    text = text.replace("\r\n", "\n")
    if field.type == Type.TEXT and "\n" in text:
        raise _refused(field, _("只能写一行,请去掉换行"))
    if len(text) > longest:
        why = _("最多 %(limit)d 字,现在有 %(count)d 字,请删短") % {"limit": longest, "count": len(text)}
        raise _refused(field, why)
    return text


def _number(field: CustomField, text: str) -> int | float:
    if not _NUMBER.fullmatch(text):
        raise _refused(field, _("要填数字,例如 12") if field.type == Type.INTEGER else _("要填数字,例如 12.5"))
    number = Decimal(text.replace(",", ""))
    if (
        abs(number) >= LARGEST[Type(field.type)]
    ):  # first: of one with more digits than decimals reckon in nothing else can be asked
        raise _refused(field, _("的数字太大了"))
    if field.type == Type.INTEGER and number != number.to_integral_value():
        raise _refused(field, _("要填整数,不带小数"))
    if number != round(number, PLACES):
        raise _refused(field, _("小数最多 %(places)d 位") % {"places": PLACES})
    if field.lowest is not None and number < field.lowest:
        raise _refused(field, _("不能小于 %(limit)s") % {"limit": _digits(field.lowest)})
    if field.highest is not None and number > field.highest:
        raise _refused(field, _("不能大于 %(limit)s") % {"limit": _digits(field.highest)})
    return int(number) if number == number.to_integral_value() else float(number)


def _day(field: CustomField, text: str) -> str:
    found = _DAY.fullmatch(text)
    try:
        day = date(*(int(part) for part in found.groups() if part)) if found else None
    except ValueError:
        day = None
    if day is None:
        raise _refused(field, _("要填真有的一天,例如 2026-01-31"))
    if not 1900 <= day.year <= 2100:
        raise _refused(field, _("要在 1900 到 2100 年之间"))
    return day.isoformat()


def _flag(field: CustomField, text: str) -> bool:
    if text.lower() not in (*YES, *NO):
        raise _refused(field, _("要填「是」或「否」"))
    return text.lower() in YES


def _choice(field: CustomField, text: str) -> str:
    for option in field.standing_options:
        if text in (option["id"], option["label"]):
            return str(option["id"])
    labels = "、".join(option["label"] for option in field.standing_options[:10])
    raise _refused(field, _("没有「%(text)s」这个选项,可选:%(labels)s") % {"text": text[:40], "labels": labels})


def _choices(field: CustomField, parts: Iterable[str]) -> list[str] | None:
    chosen = {_choice(field, part.strip()) for part in parts if part.strip()}
    return [option["id"] for option in field.options if option["id"] in chosen] or None


def _phone(field: CustomField, text: str) -> str:
    phone = normalise_phone(text)
    if not phone:
        raise _refused(field, _("不是有效的电话号码,请检查"))
    return phone


def _address(field: CustomField, text: str) -> str:
    try:
        _ADDRESS(text)
    except ValidationError:
        raise _refused(field, _("要填以 http:// 或 https:// 开头的完整网址")) from None
    return _text(field, text)


_PARSERS: dict[Type, Any] = {
    Type.TEXT: _text, Type.LONG_TEXT: _text, Type.INTEGER: _number, Type.DECIMAL: _number, Type.DATE: _day, Type.FLAG: _flag,
    Type.CHOICE: _choice, Type.CHOICES: lambda field, text: _choices(field, SEPARATORS.split(text)), Type.PHONE: _phone,
    Type.URL: _address,
}  # fmt: skip


def shown(field: CustomField | None, value: Any) -> str:
    """The value as people read it; parse() reads it again. field None: a key that nobody defined, whose value is text."""
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return _("是") if value else _("否")
    if isinstance(value, int | float):
        return _digits(Decimal(str(value)))
    if field is not None and field.has_options:
        labels = {option["id"]: option["label"] for option in field.options}
        return "、".join(str(labels.get(one, one)) for one in (value if isinstance(value, list) else [value]))
    if field is not None and field.type == Type.PHONE:
        return show_phone(str(value))
    return str(value)


def masked(field: CustomField | None, value: Any) -> str:
    """shown(), with its middle hidden where the field says so."""
    text = shown(field, value)
    return mask_text(text) if field is not None and field.is_masked else text


def _digits(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- Who may ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """What somebody may do with the fields of one person. roles: ids of the roles that she holds over that person."""

    roles: frozenset[int]
    may_edit: bool
    may_unmask: bool

    def sees(self, field: CustomField) -> bool:
        return not field.see_roles or not self.roles.isdisjoint(field.see_roles)

    def edits(self, field: CustomField) -> bool:
        held = not field.edit_roles or not self.roles.isdisjoint(field.edit_roles)
        return self.may_edit and held and self.sees(field)


def reader_of(request: Any, contact: Contact) -> Reader:
    """What the user of a page may do with a person's fields. A role counts only where it is held over that person: no query for
    roles over one place, else one for each place."""
    return Reader(
        roles=_roles_over(request.user, request.grants, contact),
        may_edit="contacts.edit" in request.permissions,
        may_unmask="contacts.unmask" in request.permissions,
    )


def _roles_over(user: Any, grants: Sequence[RoleGrant], contact: Contact) -> frozenset[int]:
    places: dict[tuple[str, int], list[RoleGrant]] = {}
    for grant in grants:
        places.setdefault((grant.scope_kind, grant.scope_id), []).append(grant)
    if len(places) > 1:
        places = {
            place: held
            for place, held in places.items()
            if visible_contacts(data_scope(user, grants=held)).filter(pk=contact.pk).exists()
        }
    return frozenset(grant.role_id for held in places.values() for grant in held)


def asker_of(request: Any) -> Asker:
    """What the user of a page may ask about many people at once: what she holds over every place where she sees any. No query."""
    held: dict[tuple[str, int], set[str | int]] = {}
    for grant in request.grants:
        held.setdefault((grant.scope_kind, grant.scope_id), set()).update([*grant.role.permissions, grant.role_id])
    everywhere = held.pop((RoleGrant.Scope.ALL, 0), set())
    places = [] if "contacts.view" in everywhere else [one for one in held.values() if "contacts.view" in one]
    sure = everywhere.union(set.intersection(*places) if places else ())
    return Asker(
        permissions=request.permissions.intersection(one for one in sure if isinstance(one, str)),
        roles=frozenset(one for one in sure if isinstance(one, int)),
    )


def open_to_all(fields: Iterable[CustomField]) -> list[CustomField]:
    """Those that everybody who sees customers may see: what lists and files for many people can show."""
    return [field for field in fields if not field.see_roles]


def api_hidden() -> frozenset[str]:
    """Keys that no token reads: closed to the API, or archived."""
    closed = CustomField.objects.exclude(
        archived_at__isnull=True, api__in=[CustomField.Api.READ, CustomField.Api.WRITE]
    )
    return frozenset(closed.values_list("key", flat=True))
