"""What a file of customers can hold. Columns of the customer list that say themselves as text come by themselves; an app adds others:

    export_columns.register(ExportColumn("tags", _("标签"), 45, load, permission="tags.view"))

A column registered here stands in for the list's column of the same key.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from contacts import listing
from contacts.filters import relation_pill
from contacts.models import Contact, ContactPhone, Follow, Member, Stage, Store
from contacts.phones import show_phone
from contacts.queries import family_of
from contacts.services.opt_out import is_opted_out
from scrm.lib import clock
from scrm.lib.privacy import mask_text
from scrm.lib.sheets import Cell


@dataclass
class Page:
    """Some of the people of a file, and how they are to be shown."""

    people: Sequence[Contact]
    zone: ZoneInfo
    is_unmasked: bool = False

    @cached_property
    def family(self) -> dict[int, int]:
        """Contact id → root id, of these people and everybody merged into them."""
        return family_of(person.pk for person in self.people)

    def time(self, at: datetime | None) -> str:
        """2026-03-01 12:00 in the merchant's zone."""
        return at.astimezone(self.zone).isoformat(" ", "minutes")[:16] if at else ""


@dataclass(frozen=True)
class ExportColumn:
    """load(page) returns {root id: cell} in a constant number of queries; who is missing has an empty cell."""

    key: str
    label: str | Promise
    order: int
    load: Callable[[Page], Mapping[int, Cell]]
    permission: str = "contacts.view"


_columns: dict[str, ExportColumn] = {}


def register(column: ExportColumn) -> None:
    """Add a column. Raises ValueError when the key is taken by another."""
    if _columns.get(column.key, column) != column:
        raise ValueError(f"export column {column.key} is registered twice")
    _columns[column.key] = column


def columns(permissions: frozenset[str]) -> list[ExportColumn]:
    """What somebody with these permissions may take along, in order."""
    found = {one.key: _of_list(one) for one in listing.columns(permissions) if one.text is not None}
    found |= {key: one for key, one in _columns.items() if one.permission in permissions}
    return sorted(found.values(), key=lambda one: (one.order, one.key))


def named(keys: Iterable[str]) -> list[ExportColumn]:
    """The columns of these keys, those that are no more left out."""
    wanted = set(keys)
    known = {one.key: _of_list(one) for one in listing.all_columns() if one.text is not None} | _columns
    found = [one for key, one in known.items() if key in wanted]
    return sorted(found, key=lambda one: (one.order, one.key))


def _of_list(column: listing.Column) -> ExportColumn:
    def load(page: Page) -> Mapping[int, Cell]:
        assert column.text is not None
        return {pk: column.text(value) for pk, value in column.load(page.people).items()}

    return ExportColumn(column.key, column.label, column.order, load, column.permission)


# --- This app's own -----------------------------------------------------------------------------------------------


def _each(value: Callable[[Contact], Cell]) -> Callable[[Page], Mapping[int, Cell]]:
    return lambda page: {person.pk: value(person) for person in page.people}


def _instant(name: str) -> Callable[[Page], Mapping[int, Cell]]:
    return lambda page: {person.pk: page.time(getattr(person, name)) for person in page.people}


def _named(model: Any, name: str) -> Callable[[Page], Mapping[int, Cell]]:
    """The name of what a foreign key leads to, without a join for each row."""

    def load(page: Page) -> Mapping[int, Cell]:
        ids = {person.pk: getattr(person, name) for person in page.people}
        names = {pk: str(row) for pk, row in model.objects.in_bulk({pk for pk in ids.values() if pk}).items()}
        return {pk: names.get(value, "") for pk, value in ids.items()}

    return load


def _gender(page: Page) -> Mapping[int, Cell]:
    words = {value: str(label) for value, label in Contact._meta.get_field("gender").flatchoices}
    return {person.pk: words.get(person.gender, "") for person in page.people}


def _remarks(page: Page) -> Mapping[int, Cell]:
    found: dict[int, list[str]] = defaultdict(list)
    follows = Follow.objects.filter(contact_id__in=page.family).exclude(remark="")
    for contact_id, remark in follows.order_by("pk").values_list("contact_id", "remark"):
        found[page.family[contact_id]].append(remark)
    return {pk: ";".join(dict.fromkeys(remarks)) for pk, remarks in found.items()}


def _phones(page: Page) -> Mapping[int, Cell]:
    found: dict[int, list[str]] = defaultdict(list)
    phones = ContactPhone.objects.filter(contact_id__in=page.family).order_by("pk")
    for contact_id, phone in phones.values_list("contact_id", "phone"):
        shown = show_phone(phone)
        found[page.family[contact_id]].append(shown if page.is_unmasked else mask_text(shown))
    return {pk: ";".join(dict.fromkeys(shown)) for pk, shown in found.items()}


def _relation(page: Page) -> Mapping[int, Cell]:
    alone = {person.pk for person in page.people if not person.active_follows}
    follows = Follow.objects.filter(contact__in=[pk for pk, root in page.family.items() if root in alone])
    latest = {page.family[follow.contact_id]: follow for follow in follows.order_by("relation_since", "pk")}
    return {person.pk: str(relation_pill(person, latest.get(person.pk))["text"]) for person in page.people}


def _opt_out(page: Page) -> Mapping[int, Cell]:
    now, yes = clock.now(), str(_("是"))
    return {person.pk: yes for person in page.people if is_opted_out(person, now)}


OWN = (
    ExportColumn("id", _("客户编号"), 0, _each(lambda person: person.pk)),
    ExportColumn("name", _("昵称"), 1, _each(lambda person: person.name)),
    ExportColumn("remark", _("备注"), 2, _remarks),
    ExportColumn("phone", _("手机号"), 3, _phones),
    ExportColumn("gender", _("性别"), 4, _gender),
    ExportColumn("stage", _("阶段"), 10, _named(Stage, "stage_id")),
    ExportColumn("stage_since", _("进入阶段"), 11, _instant("stage_since")),
    ExportColumn("owner", _("归属导购"), 20, _named(Member, "owner_id")),
    ExportColumn("store", _("门店"), 21, _named(Store, "store_id")),
    ExportColumn("first_added", _("首次添加"), 79, _instant("first_added_at")),
    ExportColumn("added", _("最近添加"), 80, _instant("last_added_at")),
    ExportColumn("friends", _("好友数"), 85, _each(lambda person: person.active_follows)),
    ExportColumn("relation", _("关系"), 90, _relation),
    ExportColumn("opt_out", _("免打扰"), 95, _opt_out),
)


def register_own() -> None:
    """Called once, when the app starts."""
    for column in OWN:
        register(column)
