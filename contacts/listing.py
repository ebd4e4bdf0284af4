"""The customer list is put together from registered parts: filters, columns, bulk actions. Apps above add theirs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.scope import DataScope
from contacts.models import Contact
from scrm.lib.errors import Conflict
from scrm.lib.sheets import Cell

People = Any  # QuerySet[Contact], roots only
Option = tuple[str, str]


@dataclass(frozen=True)
class Filter:
    """One filter of the list, read from the query string under its key.

    apply(people, value) narrows the queryset; a value it cannot read must narrow it to nobody, never be ignored.
    options(scope) lists (value, label); label_of(value) names an applied value. widget: select or search.
    """

    key: str
    label: str | Promise
    order: int
    apply: Callable[[People, str], People]
    options: Callable[[DataScope], Sequence[Option]] | None = None
    label_of: Callable[[str], str] | None = None


@dataclass(frozen=True)
class Column:
    """One column. load(people on the page) returns {root id: value} in a constant number of queries; the cell template
    gets it as `value`. css: `num`, `fit`, `wide` … text(value): the cell of a file; without it the column is not exported;
    needs: the contact's columns that load reads, which for a file is given rows of these and `pk` instead of contacts."""

    key: str
    label: str | Promise
    order: int
    template: str
    load: Callable[[Sequence[Contact]], Mapping[int, Any]]
    css: str = ""
    permission: str = "contacts.view"
    text: Callable[[Any], Cell] | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Who was chosen: single people, or everybody the filters find. `expected` is the number the person saw."""

    query: str
    select_all: bool
    ids: tuple[int, ...]
    expected: int


@dataclass(frozen=True)
class BulkAction:
    """A button of the bulk bar. handle(request, people, selection) answers the POST: a page that asks the rest, or a
    redirect. `people` is recounted and within the user's scope."""

    key: str
    label: str | Promise
    order: int
    icon: str
    permission: str
    handle: Callable[[HttpRequest, People, Selection], HttpResponse]
    needs_places: bool = False  # not for a guide, who has nothing but her own customers


@dataclass
class _Parts:
    filters: dict[str, Filter] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    actions: dict[str, BulkAction] = field(default_factory=dict)


_parts = _Parts()


def register_filter(one: Filter) -> None:
    """Add a filter. Raises ValueError when the key is taken by another."""
    _add(_parts.filters, one.key, one)


def register_column(one: Column) -> None:
    """Add a column. Raises ValueError when the key is taken by another."""
    _add(_parts.columns, one.key, one)


def register_bulk_action(one: BulkAction) -> None:
    """Add a bulk action. Raises ValueError when the key is taken by another."""
    _add(_parts.actions, one.key, one)


def _add(known: dict[str, Any], key: str, one: Any) -> None:
    if known.get(key, one) != one:
        raise ValueError(f"{type(one).__name__} {key} is registered twice")
    known[key] = one


def filters() -> list[Filter]:
    return sorted(_parts.filters.values(), key=lambda one: (one.order, one.key))


def columns(permissions: frozenset[str]) -> list[Column]:
    found = (one for one in _parts.columns.values() if one.permission in permissions)
    return sorted(found, key=lambda one: (one.order, one.key))


def all_columns() -> list[Column]:
    """Every column, whoever may see it."""
    return list(_parts.columns.values())


def bulk_actions(permissions: frozenset[str], scope: DataScope) -> list[BulkAction]:
    found = (
        one
        for one in _parts.actions.values()
        if one.permission in permissions and not (one.needs_places and scope.is_own_only)
    )
    return sorted(found, key=lambda one: (one.order, one.key))


def not_as_seen(expected: int, count: int) -> Conflict:
    """The chosen people are others than the person saw."""
    text = _("您选择时是 %(expected)d 位客户,现在是 %(count)d 位。请核对后重新选择。")
    return Conflict(text % {"expected": expected, "count": count})


def narrowed(people: People, query: QueryDict | Mapping[str, str]) -> People:
    """The people the query string's filters leave."""
    for one in filters():
        value = str(query.get(one.key, "")).strip()
        if value:
            people = one.apply(people, value)
    return people


def is_filtered(query: QueryDict | Mapping[str, str]) -> bool:
    """Whether any filter is set."""
    return any(str(query.get(one.key, "")).strip() for one in filters())
