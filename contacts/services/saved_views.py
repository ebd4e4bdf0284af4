"""保存的视图 of the customer list: saved, renamed, changed, deleted; and who sees which columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from contacts import advanced, listing
from contacts.models import ColumnChoice, SavedView
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import Conflict, UserError
from tenants import audit
from tenants.audit import Actor
from tenants.locks import lock_in_transaction

MOST_OWN = 30  # views of one user
MOST_SHARED = 50  # views that everybody's menu offers
LONGEST_NAME = 30
MOST_COLUMNS = 40


@dataclass(frozen=True)
class Content:
    """What a view holds of a list as somebody sees it."""

    filters: Mapping[str, str]
    tree: Mapping[str, Any] | None
    order: str
    columns: Sequence[str]


def usable_views(user_id: int) -> QuerySet[SavedView]:
    """A user's own views and the shared ones, by name."""
    return (
        SavedView.objects.filter(Q(owner_id=user_id) | Q(is_shared=True)).select_related("owner").order_by("name", "pk")
    )


def content_of(query: listing.Query, columns: Sequence[str]) -> Content:
    """What an address asks for. Raises UserError when one of its filters finds nobody because what it names is gone."""
    broken = [one.problem for one in listing.applied(query) if one.problem]
    if broken:
        raise UserError(_("这样的筛选不能存为视图:%(problem)s") % {"problem": broken[0]})
    filters = listing.given(query)
    packed = filters.pop(advanced.KEY, "")
    return Content(filters, advanced.unpack(packed) if packed else None, listing.order_of(query).key, list(columns))


def query_of(view: SavedView) -> dict[str, str]:
    """The address of what a view holds. Raises UserError for a filter that no part of the product knows any more."""
    known = {one.key for one in listing.filters()}
    gone = sorted(set(view.filters) - known)
    if gone or (view.order and view.order not in {one.key for one in listing.ORDERS}):
        raise UserError(
            _("视图「%(name)s」用了现在没有的筛选项,所以找不到客户。请打开全部客户重新筛选,再存一次。")
            % {"name": view.name}
        )
    query = {str(key): str(value) for key, value in view.filters.items()}
    if view.tree is not None:
        query[advanced.KEY] = advanced.pack(view.tree)
    if view.order and view.order != listing.ORDERS[0].key:
        query[listing.ORDER_KEY] = view.order
    return query


@transaction.atomic
def create_view(name: str, content: Content, *, is_shared: bool, by: Actor) -> SavedView:
    """Save a new one. Raises UserError for a name that is none or taken, and at the limits."""
    _alone()
    owner_id = _user(by)
    if SavedView.objects.filter(owner_id=owner_id).count() >= MOST_OWN:
        raise UserError(_("每人最多存 %(most)d 个视图,请先删掉不用的。") % {"most": MOST_OWN})
    now = clock.now()
    view = SavedView(owner_id=owner_id, created_at=now, changed_at=now)
    _name(view, name, is_shared)
    _fill(view, content)
    view.save(force_insert=True)
    audit.record("view.created", view, by=by, shared=is_shared)
    return view


@transaction.atomic
def rename_view(view_id: int, name: str, *, is_shared: bool, seen: int, by: Actor) -> SavedView:
    """Another name, or shared or no longer. Raises as create_view, and Conflict when it changed since it was seen."""
    view = _locked(view_id, seen)
    _name(view, name, is_shared)
    return _changed(view, ["name", "is_shared"], by)


@transaction.atomic
def overwrite_view(view_id: int, content: Content, *, seen: int, by: Actor) -> SavedView:
    """Let a view hold what the list shows now. Raises Conflict when it changed since it was seen."""
    view = _locked(view_id, seen)
    _fill(view, content)
    return _changed(view, ["filters", "tree", "order", "columns"], by)


@transaction.atomic
def delete_view(view: SavedView, *, by: Actor) -> None:
    """Take it away, for everybody who uses it."""
    audit.record("view.deleted", view, by=by, shared=view.is_shared)
    view.delete()


# --- Columns ----------------------------------------------------------------------------------------------------


def chosen_columns(user_id: int, view: SavedView | None) -> list[str] | None:
    """What a user wants to see: her choice for this view, else the view's own, else her choice for the list, else None: the default."""
    rows = ColumnChoice.objects.filter(Q(view=None) | Q(view=view), user_id=user_id)
    hers = {choice.view_id: list(choice.columns) for choice in rows}
    if view is not None:
        return hers.get(view.pk) or list(view.columns) or hers.get(None)
    return hers.get(None)


@transaction.atomic
def choose_columns(user_id: int, view: SavedView | None, columns: Sequence[str]) -> None:
    """Remember a user's columns, in their order. Raises UserError for none at all."""
    if not columns:
        raise UserError(_("至少要留一列。想回到最初的样子,请用「恢复默认」。"))
    ColumnChoice.objects.update_or_create(
        user_id=user_id, view=view, defaults={"columns": list(columns)[:MOST_COLUMNS]}
    )


def forget_columns(user_id: int, view: SavedView | None) -> None:
    """Back to what the view says, or to the default."""
    ColumnChoice.objects.filter(user_id=user_id, view=view).delete()


# --- Pieces -----------------------------------------------------------------------------------------------------


def _alone() -> None:
    """One at a time: the limits are counted, and two of one name would meet only at the constraint."""
    lock_in_transaction("contacts.saved_views")


def _user(by: Actor) -> int:
    if by.kind != "user" or by.id is None:
        raise UserError(_("视图属于登录的人。"))
    return by.id


def _locked(view_id: int, seen: int) -> SavedView:
    _alone()
    view = SavedView.objects.select_for_update(of=("self",)).filter(pk=view_id).first()
    if view is None or view.version != seen:
        raise Conflict(_("这个视图刚被别人改过或删掉了。请刷新页面,看过之后再改。"))
    return view


def _name(view: SavedView, name: str, is_shared: bool) -> None:
    name = clean_text(name).strip()
    if not name or len(name) > LONGEST_NAME:
        raise UserError(_("请给视图起个名字,1 到 %(most)d 个字。") % {"most": LONGEST_NAME}, fields={"name": name})
    if SavedView.objects.filter(owner_id=view.owner_id, name=name).exclude(pk=view.pk).exists():
        raise UserError(_("已经有叫「%(name)s」的视图,请换个名字。") % {"name": name}, fields={"name": name})
    if is_shared and not view.is_shared and SavedView.objects.filter(is_shared=True).count() >= MOST_SHARED:
        raise UserError(_("共享视图最多 %(most)d 个,请先删掉或收回不用的。") % {"most": MOST_SHARED})
    view.name, view.is_shared = name, is_shared


def _fill(view: SavedView, content: Content) -> None:
    view.filters, view.order = dict(content.filters), content.order
    view.tree = dict(content.tree) if content.tree is not None else None
    view.columns = list(content.columns)[:MOST_COLUMNS]


def _changed(view: SavedView, fields: list[str], by: Actor) -> SavedView:
    view.version, view.changed_at = view.version + 1, clock.now()
    view.save(update_fields=[*fields, "version", "changed_at"])
    audit.record("view.changed", view, by=by, shared=view.is_shared)
    return view
