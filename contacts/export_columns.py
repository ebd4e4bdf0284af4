"""What a file of customers can hold. Columns of the customer list that say themselves as text come by themselves; an app adds others:

    export_columns.register(ExportColumn("tags", _("标签"), 45, load, permission="tags.view"))

A column registered here stands in for the list's column of the same key.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import DateTimeField, F, Func, TextField, Value
from django.db.models.functions import Cast, Coalesce, Left, NullIf
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from contacts import listing
from contacts.filters import relation_pill
from contacts.models import Contact, ContactPhone, Follow, Relation
from contacts.phones import show_phone
from contacts.services.opt_out import is_opted_out
from scrm.lib import clock
from scrm.lib.privacy import mask_text
from scrm.lib.sheets import Cell


@dataclass
class Page:
    """Some of the people of a file: rows with `pk` and what the columns said they need. No model instances: a file has a million."""

    people: Sequence[Any]
    is_unmasked: bool = False

    @cached_property
    def family(self) -> dict[int, int]:
        """Contact id → root id, of these people and everybody merged into them."""
        roots = {person.pk: person.pk for person in self.people}
        return roots | dict(Contact.objects.filter(root_id__any_of=set(roots)).values_list("pk", "root_id"))

    def cells(self, found: Mapping[int, Cell]) -> list[Cell]:
        """The cells of {root id: cell}, one a person; who is missing has an empty one."""
        return [found.get(person.pk, "") for person in self.people]


Load = Callable[[Page], Sequence[Cell]]


@dataclass(frozen=True)
class ExportColumn:
    """A cell comes straight from the contact's row: sql(zone), an expression over Contact, never null. Or from load(page): one cell for
    each of page.people, in a constant number of queries; needs: the contact's columns that load reads."""

    key: str
    label: str | Promise
    order: int
    load: Load | None = None
    needs: tuple[str, ...] = ()
    sql: Callable[[str], Any] | None = None
    permission: str = "contacts.view"


_columns: dict[str, ExportColumn] = {}


def register(column: ExportColumn) -> None:
    """Add a column. Raises ValueError when the key is taken by another."""
    if _columns.get(column.key, column) != column:
        raise ValueError(f"export column {column.key} is registered twice")
    _columns[column.key] = column


def columns(permissions: frozenset[str]) -> list[ExportColumn]:
    """What somebody with these permissions may take along, in order."""
    found = {one.key: _of_list(one) for one in listing.all_columns(permissions) if one.text is not None}
    found |= {key: one for key, one in _columns.items() if one.permission in permissions}
    return sorted(found.values(), key=lambda one: (one.order, one.key))


def named(keys: Iterable[str]) -> list[ExportColumn]:
    """The columns of these keys, those that are no more left out."""
    wanted = set(keys)
    known = {one.key: _of_list(one) for one in listing.all_columns() if one.text is not None} | _columns
    found = [one for key, one in known.items() if key in wanted]
    return sorted(found, key=lambda one: (one.order, one.key))


def _of_list(column: listing.Column) -> ExportColumn:
    def load(page: Page) -> Sequence[Cell]:
        assert column.text is not None
        return page.cells({pk: column.text(value) for pk, value in column.load(page.people).items()})

    return ExportColumn(column.key, column.label, column.order, load, column.needs, permission=column.permission)


def rows_of(
    people: Any, wanted: Sequence[ExportColumn], zone: str, *, is_unmasked: bool
) -> tuple[list[tuple[Cell, ...]], Any]:
    """The file's rows of some people, a queryset of contacts in the order of their ids; and the last one's id, None without any."""
    straight = {f"c_{column.key}": column.sql(zone) for column in wanted if column.sql is not None}
    needs = {name for column in wanted for name in column.needs}
    found = list(people.annotate(**straight).values_list("pk", *sorted(needs), *straight, named=True))
    page = Page(found, is_unmasked)
    columns: list[Sequence[Cell]] = []
    for column in wanted:
        if column.load is not None:
            columns.append(column.load(page))
        else:
            place = 1 + len(needs) + list(straight).index(f"c_{column.key}")
            columns.append([row[place] for row in found])
    return list(zip(*columns, strict=True)), found[-1].pk if found else None


# --- This app's own -----------------------------------------------------------------------------------------------


def _instant(name: str) -> Callable[[str], Any]:
    """2026-03-01 12:00 in the merchant's zone, written by PostgreSQL (whose text of an instant to_char would take apart and put
    together again): a file has three in each row."""

    def expression(zone: str) -> Any:
        local = Func(Value(zone), F(name), function="timezone", output_field=DateTimeField())
        return Coalesce(Left(Cast(local, TextField()), 16), Value(""), output_field=TextField())

    return expression


def _text(name: str) -> Callable[[str], Any]:
    return lambda _zone: Coalesce(F(name), Value(""), output_field=TextField())


def _guide(_zone: str) -> Any:
    return Coalesce(NullIf(F("owner__name"), Value("")), F("owner__userid"), Value(""), output_field=TextField())


def _gender(page: Page) -> Sequence[Cell]:
    words = {value: str(label) for value, label in Contact._meta.get_field("gender").flatchoices}
    return [words.get(person.gender, "") for person in page.people]


def _remarks(page: Page) -> Sequence[Cell]:
    follows = Follow.objects.filter(contact_id__any_of=set(page.family)).exclude(remark="")
    return page.cells(_joined(page, follows.order_by("pk").values_list("contact_id", "remark")))


def _phones(page: Page) -> Sequence[Cell]:
    rows = ContactPhone.objects.filter(contact_id__any_of=set(page.family)).order_by("pk")
    phones = ((pk, show_phone(phone)) for pk, phone in rows.values_list("contact_id", "phone"))
    return page.cells(_joined(page, phones if page.is_unmasked else ((pk, mask_text(phone)) for pk, phone in phones)))


def _joined(page: Page, rows: Iterable[tuple[int, str]]) -> Mapping[int, Cell]:
    """Root id → the different texts of her contacts."""
    found: dict[int, str] = {}
    for contact_id, text in rows:
        root_id = page.family[contact_id]
        known = found.get(root_id)
        if known is None:
            found[root_id] = text
        elif text not in known.split(";"):
            found[root_id] = f"{known};{text}"
    return found


def _relation(page: Page) -> Sequence[Cell]:
    alone = {person.pk for person in page.people if not person.active_follows}
    contacts = {pk for pk, root in page.family.items() if root in alone} if alone else set()
    follows = Follow.objects.filter(contact_id__any_of=contacts).order_by("relation_since", "pk")
    latest = {page.family[follow.contact_id]: follow for follow in follows} if contacts else {}
    friend = str(Relation.ACTIVE.label)
    return [
        friend if person.active_follows else str(relation_pill(person, latest.get(person.pk))["text"])
        for person in page.people
    ]


def _opt_out(page: Page) -> Sequence[Cell]:
    now, yes = clock.now(), str(_("是"))
    return [yes if is_opted_out(person, now) else "" for person in page.people]


OWN = (
    ExportColumn("id", _("客户编号"), 0, sql=lambda _zone: F("pk")),
    ExportColumn("name", _("昵称"), 1, sql=_text("name")),
    ExportColumn("remark", _("备注"), 2, _remarks),
    ExportColumn("phone", _("手机号"), 3, _phones),
    ExportColumn("gender", _("性别"), 4, _gender, ("gender",)),
    ExportColumn("stage", _("阶段"), 10, sql=_text("stage__name")),
    ExportColumn("stage_since", _("进入阶段"), 11, sql=_instant("stage_since")),
    ExportColumn("owner", _("归属导购"), 20, sql=_guide),
    ExportColumn("store", _("门店"), 21, sql=_text("store__name")),
    ExportColumn("first_added", _("首次添加"), 79, sql=_instant("first_added_at")),
    ExportColumn("added", _("最近添加"), 80, sql=_instant("last_added_at")),
    ExportColumn("friends", _("好友数"), 85, sql=lambda _zone: F("active_follows")),
    ExportColumn("relation", _("关系"), 90, _relation, ("active_follows",)),
    ExportColumn("opt_out", _("免打扰"), 95, _opt_out, ("opt_out_since", "opt_out_until")),
)


def register_own() -> None:
    """Called once, when the app starts."""
    for column in OWN:
        register(column)
