"""The customer list, for desks and for phones, and what is done with many at once."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts import freezing
from accounts.access import MemberRequest, requires
from contacts import advanced, listing
from contacts.counting import count_rows
from contacts.models import Contact, Follow
from contacts.queries import family_of, listed_contacts
from contacts.views.looking import BEGAN_WITH, Look, looked_at, may_change
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page, pager

ORDERING = listing.ORDERS[0].ordering
PHONE_PAGE = 30
IN_MENU = 12  # views that the menu offers at once


@require_GET
@requires("contacts.view")
def contact_list(request: MemberRequest) -> HttpResponse:
    """客户列表: filters and order in the address or from a saved view, keyset pages, columns and bulk actions as registered."""
    look = looked_at(request, with_views=True)
    page = keyset_page(
        look.people, look.order.ordering, request.GET.get("cursor", ""), related=("stage", "owner", "store")
    )
    columns = look.columns
    is_filtered = bool(listing.given(look.query)) or bool(look.problem)
    total = count_rows(look.people, exact=request.GET.get("count") == "exact")
    context = {
        "total": total,
        "counted": total.number if total.is_exact else None,
        "exact_url": _exact_url(request),
        "rows": _rows(page.rows, columns),
        "columns": columns,
        "q": look.query.get("q", ""),
        "filters": _filters(look),
        "carried": [(key, look.query[key]) for key in (BEGAN_WITH, advanced.KEY) if key in look.query],
        "orders": listing.orders_under(look.query),
        "order": look.order,
        "applied": [{"text": str(one), "url": "?" + look.address(**{one.key: ""})} for one in look.applied],
        "problems": look.problems,
        "is_filtered": is_filtered,
        "is_empty": not total.number and not is_filtered,
        "bulk_actions": _bulk_actions(request),
        "can_export": "contacts.export" in request.permissions,
        "query": look.query.urlencode(),
        "here": look.here,
        "as_of": clock.now(),
        **_views(look),
        **pager(request, page),
    }
    return render(request, "contacts/contact_list.html", context)


def _views(look: Look) -> dict[str, Any]:
    """The menu of saved views, her own first, and what may be done with the one in use."""
    view = look.view
    return {
        "view": view,
        "views": sorted(look.views, key=lambda one: one.owner_id != look.request.user.pk)[:IN_MENU],
        "views_total": len(look.views),
        "is_changed": look.is_changed,
        "may_change": view is not None and may_change(look.request, view),
    }


@require_GET
@requires("contacts.view")
def phone_list(request: MemberRequest) -> HttpResponse:
    """我的客户 on the guide's phone: search and the latest added."""
    people = listing.narrowed(listed_contacts(request.scope), {"q": request.GET.get("q", "")})
    page = keyset_page(people, ORDERING, request.GET.get("cursor", ""), size=PHONE_PAGE, related=("stage",))
    remarks = _remarks(page.rows)
    rows = [{"person": person, "remark": remarks.get(person.pk, "")} for person in page.rows]
    context = {"rows": rows, "total": count_rows(people), "q": request.GET.get("q", ""), "phone_tab": "customers"}
    return render(request, "contacts/phone_list.html", context | pager(request, page))


@require_POST
@requires("contacts.view", many=True)
def bulk(request: MemberRequest) -> HttpResponse:
    """Hand the chosen people to the action of the button. What the person saw must still be true."""
    action = next((one for one in _bulk_actions(request) if one.key == request.POST.get("action")), None)
    if action is None:
        raise Http404
    chosen = selection_of(request)
    people = selected_people(request, chosen)
    return action.handle(request, people, chosen)


def _bulk_actions(request: MemberRequest) -> list[listing.BulkAction]:
    """None for a frozen account."""
    return [] if freezing.is_frozen(request.grants) else listing.bulk_actions(request.permissions, request.scope)


def selection_of(request: HttpRequest) -> listing.Selection:
    """The bulk bar's fields."""
    ids = tuple(sorted({int(pk) for pk in request.POST.getlist("ids") if pk.isdecimal() and len(pk) < 19}))
    expected = whole_number(request.POST.get("expected"))
    return listing.Selection(
        query=request.GET.urlencode(),
        select_all=request.POST.get("select_all") == "1",
        ids=ids,
        expected=len(ids) if expected is None else expected,
    )


def selected_people(request: MemberRequest, chosen: listing.Selection) -> Any:
    """The chosen people within the user's scope, recounted. Raises Conflict when they are not as many as she saw."""
    look = looked_at(request)
    if look.problem:
        raise Conflict(look.problem)
    people = look.people
    if not chosen.select_all:
        if not chosen.ids:
            raise UserError(_("还没有选择客户,请先勾选。"))
        people = people.filter(pk__in=chosen.ids)
    count = people.count()
    if count != chosen.expected:
        raise listing.not_as_seen(chosen.expected, count)
    return people


def get_contact_or_404(request: MemberRequest, pk: int) -> Contact:
    """A person the user may see; a merged contact leads to its root. Foreign ones do not exist."""
    root_id = Contact.objects.filter(pk=pk).values_list("root_id", flat=True).first() or pk
    people = listed_contacts(request.scope).select_related("stage", "owner", "store")
    return get_object_or_404(people, pk=root_id)


def _rows(people: list[Contact], columns: list[listing.Column]) -> list[dict[str, Any]]:
    loaded = [(column, column.load(people)) for column in columns]
    remarks = _remarks(people)
    return [
        {
            "person": person,
            "remark": remarks.get(person.pk, ""),
            "cells": [{"column": column, "value": values.get(person.pk)} for column, values in loaded],
        }
        for person in people
    ]


def _remarks(people: list[Contact]) -> dict[int, str]:
    """Root id → the latest remark a guide wrote, if it says more than the name."""
    family = family_of(person.pk for person in people)
    names = {person.pk: person.name for person in people}
    found: dict[int, str] = {}
    follows = Follow.objects.filter(contact_id__in=family).exclude(remark="").order_by("added_at")
    for contact_id, remark in follows.values_list("contact_id", "remark"):
        if remark != names.get(family[contact_id]):
            found[family[contact_id]] = remark
    return found


def _filters(look: Look) -> list[dict[str, Any]]:
    """The selects. A value that is not (or no longer) among the options stands beside them, so that no look drops it silently."""
    named = {one.key: one for one in look.applied}
    found = []
    for one in listing.filters():
        if one.options is None or one.permission not in look.asker.permissions:
            continue
        value, options = look.query.get(one.key, ""), list(one.options(look.request.scope))
        if value and value not in dict(options):
            options.append((value, named[one.key].value))
        found.append({"key": one.key, "label": one.label, "value": value, "options": options})
    return found


def _exact_url(request: HttpRequest) -> str:
    """The same page, counted."""
    query = request.GET.copy()
    query["count"] = "exact"
    return "?" + query.urlencode()


def list_url(**filters: Any) -> str:
    """The address of the list under some filters: what a figure opens into, with the same exact number."""
    return f"{reverse('contacts:contact_list')}?{urlencode({**filters, 'count': 'exact'})}"
