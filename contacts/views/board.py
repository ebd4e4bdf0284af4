"""阶段看板: a column per stage, moving one customer, and who stays too long."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts.access import MemberRequest, requires
from contacts import board, listing
from contacts.models import Contact, Stage
from contacts.queries import listed_contacts
from contacts.services.stages import move_by_hand
from contacts.views.people import get_contact_or_404, list_url
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import Page

FILTERS = ("store", "guide", "overdue")
GROUPS_SHOWN = 100


@require_GET
@requires("contacts.view")
def stage_board(request: MemberRequest) -> HttpResponse:
    """看板: counts within the scope and the filters, the longest in each stage first."""
    now = clock.now()
    targets = _targets(request)
    columns = [
        {
            "stage": column.stage,
            "count": column.count,
            "overdue": column.overdue,
            "list_url": _list_url(request, column.stage),
            "late_url": _list_url(request, column.stage, overdue=column.stage.pk) if column.stage else "",
            **_cards(request, column.stage, column.page, now, targets),
        }
        for column in board.columns(_people(request), now)
    ]
    context = {
        **_shell(request),
        "columns": columns,
        "total": sum(column["count"] for column in columns),
        "overdue_total": sum(column["overdue"] for column in columns),
        "filters": _filters(request),
        "is_filtered": any(request.GET.get(key) for key in FILTERS),
        "can_set": "stages.edit" in request.permissions,
        "can_move": bool(targets),
        "as_of": now,
    }
    return render(request, "contacts/board.html", context)


@require_GET
@requires("contacts.view")
def board_column(request: MemberRequest, pk: int) -> HttpResponse:
    """Further cards of a column; 0: of the people without a stage."""
    stage = get_object_or_404(Stage, pk=pk) if pk else None
    page = board.column_page(_people(request), stage, request.GET.get("cursor", ""))
    return render(request, "contacts/_board_cards.html", _cards(request, stage, page, clock.now(), _targets(request)))


@require_http_methods(["GET", "POST"])
@requires("contacts.edit")
def contact_move(request: MemberRequest, pk: int) -> HttpResponse:
    """Move one customer: from a card's menu, by dragging, or on this page, which also asks for a reason and tells of conflicts."""
    contact = get_contact_or_404(request, pk)
    error, status = "", 200
    if request.method == "POST":
        stage = Stage.objects.filter(pk=_number(request.POST.get("stage", ""))).first()
        try:
            if stage is None:
                raise UserError(_("请选择要移到的阶段。"))
            move_by_hand(
                contact.pk, stage.pk, seen=_number(request.POST.get("seen", "")) or None,
                reason=request.POST.get("reason", ""), by=request.actor, at=clock.now(),
            )  # fmt: skip
        except UserError as refused:
            error, status = refused.message, refused.status
            contact = get_contact_or_404(request, pk)
        else:
            name = contact.name or _("未命名客户")
            messages.success(request, _("「%(name)s」已移到「%(stage)s」") % {"name": name, "stage": stage.name})
            return redirect(_board_url(request.POST.get("query", "")))
    query = request.POST.get("query", request.GET.urlencode())
    context = {
        **_shell(request),
        "back_url": _board_url(query),
        "contact": contact,
        "stages": [stage for stage in _targets(request) if stage.pk != contact.stage_id],
        "chosen": _number(request.POST.get("stage", "")),
        "reason": request.POST.get("reason", ""),
        "query": query,
        "error": error,
        "limits": {"reason": 200},
    }
    return render(request, "contacts/contact_move.html", context, status=status)


@require_GET
@requires("contacts.view")
def overdue_list(request: MemberRequest) -> HttpResponse:
    """超期客户: by store and by guide; every figure opens into its customers."""
    now = clock.now()
    people = _people(request)
    groups = []
    for column, key, label, nobody in (
        ("store", "store", _("门店"), _("无门店")),
        ("owner", "guide", _("归属导购"), _("无归属")),
    ):
        rows = board.overdue_by(people, column, now)
        for row in rows[:GROUPS_SHOWN]:
            row["name"] = row["name"] or nobody
            row["days"] = (now - row["oldest"]).days
            row["url"] = _list_url(
                request, None, overdue=request.GET.get("overdue") or "all", **{key: row["pk"] or "none"}
            )
        groups.append({"label": label, "rows": rows[:GROUPS_SHOWN], "hidden": max(0, len(rows) - GROUPS_SHOWN)})
    context = {
        **_shell(request),
        "back_url": reverse("contacts:board"),
        "groups": groups,
        "total": people.filter(board.overdue_q(now)).count(),
        "list_url": _list_url(request, None, overdue=request.GET.get("overdue") or "all"),
        "has_limits": Stage.objects.filter(is_archived=False, max_days__isnull=False).exists(),
        "can_set": "stages.edit" in request.permissions,
        "as_of": now,
    }
    return render(request, "contacts/overdue_list.html", context)


def _people(request: MemberRequest) -> Any:
    """The list's people under the board's filters."""
    return listing.narrowed(listed_contacts(request.scope), _filter_values(request))


def _filter_values(request: MemberRequest) -> dict[str, str]:
    return {key: request.GET[key] for key in FILTERS if request.GET.get(key)}


def _filters(request: MemberRequest) -> list[dict[str, Any]]:
    known = {one.key: one for one in listing.filters()}
    return [
        {"key": key, "label": known[key].label, "value": request.GET.get(key, ""), "options": options(request.scope)}
        for key in FILTERS
        if (options := known[key].options) is not None
    ]


def _targets(request: MemberRequest) -> list[Stage]:
    return list(Stage.objects.filter(is_archived=False)) if "contacts.edit" in request.permissions else []


def _cards(
    request: MemberRequest, stage: Stage | None, page: Page[Contact], now: datetime, targets: list[Stage]
) -> dict[str, Any]:
    cards = [
        {
            "person": person,
            "days": (now - person.stage_since).days if stage and person.stage_since else None,
            "is_overdue": board.is_overdue(person, stage, now),
        }
        for person in page.rows
    ]
    query = QueryDict(mutable=True)
    query.update(_filter_values(request))
    more = query.copy()
    more["cursor"] = page.next_cursor or ""
    return {
        "cards": cards,
        "targets": [one for one in targets if stage is None or one.pk != stage.pk],
        "seen": stage.pk if stage else "",
        "query": query.urlencode(),
        "more_url": f"{reverse('contacts:board_column', args=[stage.pk if stage else 0])}?{more.urlencode()}"
        if page.next_cursor
        else "",
    }


def _list_url(request: MemberRequest, stage: Stage | None, **filters: Any) -> str:
    """The customer list that a figure opens into."""
    if "overdue" not in filters:
        filters["stage"] = stage.pk if stage else "none"
    return list_url(**{**_filter_values(request), **filters})


def _board_url(query: str) -> str:
    """Back to the board under the filters it had; nothing else of the address is taken over."""
    given = QueryDict(query)
    kept = QueryDict(mutable=True)
    kept.update({key: given[key] for key in FILTERS if given.get(key)})
    return f"{reverse('contacts:board')}?{kept.urlencode()}" if kept else reverse("contacts:board")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _shell(request: MemberRequest) -> dict[str, Any]:
    is_phone = request.scope.is_own_only
    return {
        "shell": "phone.html" if is_phone else "base.html",
        "is_phone": is_phone,
        "phone_tab": "customers",
        "back_url": reverse("contacts:phone_list") if is_phone else "",
    }
