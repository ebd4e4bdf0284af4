"""The customer list is put together from registered parts: filters, columns, bulk actions. Apps above add theirs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.scope import DataScope
from conditions.registry import Asker
from contacts.models import Contact
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import Conflict
from scrm.lib.sheets import Cell

People = Any  # QuerySet[Contact], roots only
Option = tuple[str, str]
Query = QueryDict | Mapping[str, str]
ORDER_KEY = "sort"


@dataclass(frozen=True)
class Filter:
    """One filter of the list, read from the query string under its key.

    apply(people, value) narrows the queryset; a value it cannot read must narrow it to nobody, never be ignored.
    options(scope) lists (value, label); label_of(value) names an applied value, None when it names nothing (any more).
    problem_of(value) says in a sentence why a value finds nobody, where more can be said than that. permission: without it the filter
    is neither offered nor used: whoever may not see a value could find it out by filtering. closed_to(asker, value): a sentence where
    only some values are not hers to ask about, else empty.
    """

    key: str
    label: str | Promise
    order: int
    apply: Callable[[People, str], People]
    options: Callable[[DataScope], Sequence[Option]] | None = None
    label_of: Callable[[str], str | None] | None = None
    problem_of: Callable[[str], str] | None = None
    permission: str = "contacts.view"
    closed_to: Callable[[Asker, str], str] | None = None


@dataclass(frozen=True)
class Applied:
    """A filter that is set: its own name, that of its value, and why it finds nobody, or empty."""

    key: str
    label: str
    value: str
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.label}:{self.value}"


@dataclass(frozen=True)
class Order:
    """An order of the list: columns that page by an index of contacts. within: the filter that must name one row for it."""

    key: str
    label: str | Promise
    ordering: tuple[str, ...]
    within: str = ""


# The index of each: contact_recent (with a filter its store, stage or owner sisters), the same read backwards, contact_stage_since.
ORDERS = (
    Order("newest", gettext_lazy("最近添加在前"), ("-last_added_at", "-pk")),
    Order("oldest", gettext_lazy("最早添加在前"), ("last_added_at", "pk")),
    Order("stage", gettext_lazy("阶段停留最久在前"), ("stage_since", "pk"), within="stage"),
)


@dataclass(frozen=True)
class Column:
    """One column. load(people on the page) returns {root id: value} in a constant number of queries; the cell template
    gets it as `value`. css: `num`, `fit`, `wide` … is_default: shown to whoever chose no columns of her own. text(value): the cell
    of a file; without it the column is not exported; needs: the contact's columns that load reads, which for a file is given rows
    of these and `pk` instead of contacts."""

    key: str
    label: str | Promise
    order: int
    template: str
    load: Callable[[Sequence[Contact]], Mapping[int, Any]]
    css: str = ""
    permission: str = "contacts.view"
    is_default: bool = True
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
    column_sources: list[Callable[[], Sequence[Column]]] = field(default_factory=list)


_parts = _Parts()


def register_filter(one: Filter) -> None:
    """Add a filter. Raises ValueError when the key is taken by another."""
    _add(_parts.filters, one.key, one)


def register_column(one: Column) -> None:
    """Add a column. Raises ValueError when the key is taken by another."""
    _add(_parts.columns, one.key, one)


def register_columns(source: Callable[[], Sequence[Column]]) -> None:
    """Columns that the tenant's own rows define; asked at each look at the list, in a constant number of queries."""
    if source not in _parts.column_sources:
        _parts.column_sources.append(source)


def register_bulk_action(one: BulkAction) -> None:
    """Add a bulk action. Raises ValueError when the key is taken by another."""
    _add(_parts.actions, one.key, one)


def _add(known: dict[str, Any], key: str, one: Any) -> None:
    if known.get(key, one) != one:
        raise ValueError(f"{type(one).__name__} {key} is registered twice")
    known[key] = one


def filters() -> list[Filter]:
    return sorted(_parts.filters.values(), key=lambda one: (one.order, one.key))


def columns(permissions: frozenset[str], chosen: Sequence[str] | None = None) -> list[Column]:
    """Those a user may see: the default ones, or the chosen ones in their order; a key that names none is passed over."""
    if chosen is None:
        return [one for one in all_columns(permissions) if one.is_default]
    known = {one.key: one for one in all_columns(permissions)}
    return [known[key] for key in dict.fromkeys(chosen) if key in known]


def all_columns(permissions: frozenset[str] | None = None) -> list[Column]:
    """Every column that a user may see (None: whoever may see it), in the order of registration."""
    own = [one for source in _parts.column_sources for one in source()]
    found = [one for one in (*_parts.columns.values(), *own) if permissions is None or one.permission in permissions]
    return sorted(found, key=lambda one: (one.order, one.key))


def bulk_actions(permissions: frozenset[str], scope: DataScope) -> list[BulkAction]:
    found = (
        one
        for one in _parts.actions.values()
        if one.permission in permissions and not (one.needs_places and scope.is_own_only)
    )
    return sorted(found, key=lambda one: (one.order, one.key))


def given(query: Query) -> dict[str, str]:
    """The filters that are set, by key."""
    values = {one.key: clean_text(str(query.get(one.key, ""))).strip() for one in filters()}
    return {key: value for key, value in values.items() if value}


def not_as_seen(expected: int, count: int) -> Conflict:
    """The chosen people are others than the person saw."""
    text = _("您选择时是 %(expected)d 位客户,现在是 %(count)d 位。请核对后重新选择。")
    return Conflict(text % {"expected": expected, "count": count})


def closed_to(asker: Asker, query: Query) -> str:
    """Why she may not narrow the list like this, as a sentence; empty when she may."""
    values = given(query)
    for one in filters():
        if one.key in values and one.permission not in asker.permissions:
            return _("您没有权限按「%(label)s」筛选,请去掉这个条件。") % {"label": one.label}
        if one.key in values and one.closed_to and (why := one.closed_to(asker, values[one.key])):
            return why
    return ""


def narrowed(people: People, query: Query) -> People:
    """The people the query string's filters leave."""
    values = given(query)
    for one in filters():
        if one.key in values:
            people = one.apply(people, values[one.key])
    return people


def applied(query: Query) -> list[Applied]:
    """The filters that are set, in words, each with what is wrong with it."""
    values = given(query)
    return [_applied(one, values[one.key]) for one in filters() if one.key in values]


def _applied(one: Filter, value: str) -> Applied:
    named = one.label_of(value) if one.label_of else value
    problem = one.problem_of(value) if one.problem_of else ""
    if named is None and not problem:
        problem = _("「%(label)s」选的内容已不存在,所以找不到客户。请另选一个,或去掉这个条件。") % {"label": one.label}
    return Applied(one.key, str(one.label), _("已不存在") if named is None else named, problem)


def order_of(query: Query) -> Order:
    """The order asked for, if it can be had under these filters; else the first."""
    return next((one for one in orders_under(query) if one.key == query.get(ORDER_KEY)), ORDERS[0])


def orders_under(query: Query) -> list[Order]:
    """The orders that page by an index under these filters: one within a stage needs a stage."""
    return [one for one in ORDERS if not one.within or str(query.get(one.within, "")).isdecimal()]
