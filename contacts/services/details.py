"""What the merchant itself knows of a person: custom fields, birthday."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import orjson
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts import custom as custom_fields
from contacts.models import Contact, CustomField, FactSource
from contacts.services.custom_values import BIRTHDAY, LOCK, set_values
from contacts.services.locking import lock_person
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import Conflict, NotAllowed, UserError
from tenants import audit, locks
from tenants.audit import Actor

UNSET: Any = object()
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")


@transaction.atomic
def change_details(
    contact_id: int, *, by: Actor, custom: Mapping[str, Any] | None = None, birthday: date | None = UNSET,
    seen: Mapping[str, str] | None = None, may: Callable[[CustomField], bool] = lambda _field: True,
    source: str = FactSource.PRODUCT,
) -> Contact:  # fmt: skip
    """Write custom fields (None removes one, others stay) and the birthday of a person (root).

    Values as people write them or applications send them; a key that nobody defined holds text. seen: digest of each value as it
    stood when it was changed. may: the fields this actor may write. Raises UserError with what is wrong by key, Conflict when
    somebody else changed the same field meanwhile, NotAllowed for a field that is not hers.
    """
    locks.lock_in_transaction(LOCK, shared=True)
    person = lock_person(contact_id, "stage", "owner", "store")
    given = custom or {}
    fields = {field.key: field for field in CustomField.objects.filter(key__in=given)}
    _refuse_closed(fields.values(), may)
    values = _parsed(given, fields)
    if birthday is not UNSET and birthday is not None and not date(1900, 1, 1) <= birthday <= _today():
        raise UserError(_("生日要在 1900 年到今天之间,请检查。"), fields={"birthday": _("请检查日期")})
    if seen is not None:
        _refuse_overtaken(person, values, birthday, seen, fields)
    found = set_values(
        {person.pk: values}, by=by, at=clock.now(), source=source,
        birthdays=None if birthday is UNSET else {person.pk: birthday},
    ).get(person.pk)  # fmt: skip
    if not found:
        return person
    before = person.custom
    person.refresh_from_db(fields=["custom", "birthday", "updated_at"])
    # Personal values do not belong into the audit, nor what only some may see; of the others it says what they were and are.
    plain = {
        key for key, field in fields.items() if field.data_class == CustomField.DataClass.NONE and not field.see_roles
    }
    values_said = {key: [before.get(key), person.custom.get(key)] for key in found if key in plain}
    audit.record("contact.details_changed", person, by=by, fields=found, values=values_said)
    return person


def _today() -> date:
    return timezone.localtime(clock.now()).date()


def digest_of(value: Any) -> str:
    """Says whether two people looked at the same value."""
    return hashlib.blake2b(orjson.dumps(value), digest_size=8).hexdigest()


def _refuse_closed(fields: Any, may: Callable[[CustomField], bool]) -> None:
    for field in fields:
        if field.archived_at is not None:
            raise UserError(
                _("「%(label)s」已停用,不能再填。") % {"label": field.label}, fields={field.key: _("已停用")}
            )
        if not may(field):
            raise NotAllowed(_("您不能修改「%(label)s」。") % {"label": field.label}, fields={field.key: _("不能修改")})


def _parsed(given: Mapping[str, Any], fields: Mapping[str, CustomField]) -> dict[str, Any]:
    """Raises UserError that names every key that is wrong."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for key, one in given.items():
        try:
            values[key] = _value(key, one, fields.get(key))
        except UserError as error:
            wrong[key] = error.message
    if wrong:
        raise UserError("".join(list(wrong.values())[:3]), fields=wrong)
    return values


def _value(key: str, given: Any, field: CustomField | None) -> Any:
    if field is not None:
        value = custom_fields.parse(field, given)
        if value is None and field.is_required:
            raise UserError(_("「%(label)s」必填,不能清空。") % {"label": field.label})
        return value
    if not _KEY.fullmatch(key):
        raise UserError(_("字段名「%(key)s」只能用小写字母、数字和下划线,以字母开头。") % {"key": key[:60]})
    if given is not None and not isinstance(given, str | int | float):
        raise UserError(_("字段「%(key)s」没有定义,只能填一段文字。") % {"key": key})
    return None if given is None else clean_text(str(given), 400)


def _refuse_overtaken(
    person: Contact,
    values: Mapping[str, Any],
    birthday: Any,
    seen: Mapping[str, str],
    fields: Mapping[str, CustomField],
) -> None:
    """Others may have changed other fields meanwhile, or this one to the same; neither is a conflict."""
    standing, wanted = dict(person.custom), dict(values)
    if birthday is not UNSET:
        standing[BIRTHDAY] = person.birthday and person.birthday.isoformat()
        wanted[BIRTHDAY] = birthday and birthday.isoformat()
    overtaken = [
        key
        for key, value in wanted.items()
        if standing.get(key) != value and digest_of(standing.get(key)) != seen.get(key)
    ]
    if overtaken:
        labels = "、".join(fields[key].label if key in fields else _("生日") for key in overtaken)
        message = _("「%(labels)s」刚刚被别人改过,请看过现在的内容再保存。") % {"labels": labels}
        raise Conflict(message, fields=dict.fromkeys(overtaken, _("刚刚被别人改过")))
