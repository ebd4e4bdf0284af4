"""What an address of the customer list asks for: its own filters, or those of a saved view.

`view=12` is the view as it was saved, now: its filters, under whatever else the address says. `from=12` only tells which view
somebody began with; the filters are those of the address. Nothing else reads the address, so that the list, 全选, bulk actions and
exports can never mean different people.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.http import Http404, QueryDict

from accounts.access import MemberRequest
from accounts.scope import data_scope
from conditions.registry import Asker
from contacts import listing
from contacts.custom import asker_of
from contacts.models import SavedView
from contacts.queries import listed_contacts
from contacts.services.saved_views import chosen_columns, content_of, query_of, usable_views
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number

VIEW, BEGAN_WITH, ORDER = "view", "from", listing.ORDER_KEY


@dataclass
class Look:
    """query: filters and order alone, those of the view included. broken: why the view cannot be read, or empty."""

    request: MemberRequest
    query: QueryDict
    view: SavedView | None = None
    views: list[SavedView] = field(default_factory=list)
    broken: str = ""

    @cached_property
    def asker(self) -> Asker:
        return asker_of(self.request)

    @cached_property
    def problem(self) -> str:
        """Why it finds nobody: the view cannot be read, or it asks about what she may not see. Or empty."""
        return self.broken or listing.closed_to(self.asker, self.query)

    @cached_property
    def people(self) -> Any:
        """Who is found within the user's scope; nobody where there is a problem."""
        listed = listed_contacts(self.request.scope)
        return listed.none() if self.problem else listing.narrowed(listed, self.query)

    @cached_property
    def applied(self) -> list[listing.Applied]:
        return listing.applied(self.query)

    @property
    def problems(self) -> list[str]:
        """Why nobody can be found, as sentences."""
        return [self.problem] if self.problem else [one.problem for one in self.applied if one.problem]

    @property
    def order(self) -> listing.Order:
        return listing.order_of(self.query)

    @cached_property
    def chosen(self) -> list[str] | None:
        """The columns she chose, or the view; None: the default ones."""
        return chosen_columns(self.request.user.pk, self.view)

    @property
    def columns(self) -> list[listing.Column]:
        return listing.columns(self.request.permissions, self.chosen)

    @property
    def is_changed(self) -> bool:
        """Whether the list shows something else than its view holds."""
        if self.view is None or self.broken:
            return False
        held = QueryDict(mutable=True)
        try:
            held.update(query_of(self.view))
        except UserError:  # it was begun with a view that cannot be read any more
            return True
        if list(self.view.columns) and list(self.chosen or []) != list(self.view.columns):
            return True
        return (listing.given(held), listing.order_of(held)) != (listing.given(self.query), self.order)

    @property
    def here(self) -> str:
        """The query string that shows the same again: the view alone where it is seen as it was saved."""
        asked = self.request.GET
        if self.view and VIEW in asked and not listing.given(asked) and ORDER not in asked:
            return f"{VIEW}={self.view.pk}"
        return self.query.urlencode()

    def address(self, **changes: str) -> str:
        """The query string of the same look with other filters; an empty value takes one away."""
        query = self.query.copy()
        for key, value in changes.items():
            query.pop(key, None)
            if value:
                query[key] = value
        return query.urlencode()

    def content(self) -> Any:
        """For saving it. Raises UserError when it finds nobody because something is gone."""
        if self.problem:
            raise UserError(self.problem)
        shown = self.chosen if self.chosen is not None else [one.key for one in self.columns]
        return content_of(self.query, shown)


def looked_at(request: MemberRequest, *, with_views: bool = False) -> Look:
    """The look of a request. Raises Http404 for a view that is not hers to use. with_views: all she may choose, for the menu."""
    wanted, began = whole_number(request.GET.get(VIEW, "")), whole_number(request.GET.get(BEGAN_WITH, ""))
    views = usable_views(request.user.pk)
    known = list(views) if with_views else list(views.filter(pk__in=[pk for pk in (wanted, began) if pk]))
    view = next((one for one in known if one.pk == (wanted or began)), None)
    if request.GET.get(VIEW) and (view is None or view.pk != wanted):
        raise Http404
    look = Look(request, QueryDict(mutable=True), view, known if with_views else [])
    if view is not None:
        look.query[BEGAN_WITH] = str(view.pk)
        if wanted:
            try:
                look.query.update(query_of(view))
            except UserError as error:
                look.broken = str(error.message)
    for key, value in {**listing.given(request.GET), ORDER: request.GET.get(ORDER, "")}.items():
        if value:
            look.query[key] = value
    return look


def may_share(request: MemberRequest) -> bool:
    """Whoever may edit customers beyond her own may offer a view to everybody."""
    if "contacts.edit" not in request.permissions:
        return False
    return not data_scope(request.user, "contacts.edit", grants=request.grants).is_own_only


def may_change(request: MemberRequest, view: SavedView) -> bool:
    """Her own; a shared one also by who may edit customers of the whole merchant, so that it outlives its owner's leaving."""
    if view.owner_id == request.user.pk:
        return True
    if not view.is_shared or "contacts.edit" not in request.permissions:
        return False
    return data_scope(request.user, "contacts.edit", grants=request.grants).sees_all
