"""客户群: the list, and one group with its people."""

from datetime import timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.access import MemberRequest, requires
from contacts.models import GroupChat, GroupMembership
from contacts.queries import visible_contacts, visible_groups, visible_stores
from scrm.lib import clock
from scrm.lib.paging import keyset_page

SPAN_DAYS = 7


@require_GET
@requires("groups.view")
def group_list(request: MemberRequest) -> HttpResponse:
    """Groups by filters: name, store, state."""
    groups = _filtered(visible_groups(request.scope), request)
    page = keyset_page(groups.select_related("owner", "store"), ("-created_at", "-pk"), request.GET.get("cursor", ""))
    context = {
        "rows": _with_moves(page.rows),
        "total": groups.count(),
        "shown": len(page.rows),
        "stores": visible_stores(request.scope).order_by("name"),
        "is_filtered": any(request.GET.get(key) for key in ("q", "store", "state")),
        "span_days": SPAN_DAYS,
        "as_of": clock.now(),
        "next_url": _url(request, page.next_cursor),
        "previous_url": _url(request, page.previous_cursor),
    }
    return render(request, "contacts/group_list.html", context)


def _filtered(groups: QuerySet[GroupChat], request: MemberRequest) -> QuerySet[GroupChat]:
    text, store, state = (request.GET.get(key, "").strip() for key in ("q", "store", "state"))
    if text:
        groups = groups.filter(Q(name__icontains=text) | Q(owner__search_text__contains=text.lower()))
    if store:
        groups = groups.filter(store_id=int(store)) if store.isdecimal() and len(store) < 19 else groups.none()
    if state == "dismissed":
        return groups.filter(dismissed_at__isnull=False)
    if state == "ownerless":
        return groups.filter(dismissed_at__isnull=True).filter(
            Q(owner__isnull=True) | Q(status=GroupChat.Status.OWNER_LEFT)
        )
    return groups.filter(dismissed_at__isnull=True)


def _with_moves(groups: list[GroupChat]) -> list[dict[str, Any]]:
    """Groups with who came and went in the last days, in one query."""
    since = clock.now() - timedelta(days=SPAN_DAYS)
    moves = GroupMembership.objects.filter(group__in=groups, kind=2).values("group_id")
    counts = {
        row["group_id"]: row
        for row in moves.annotate(
            joined=Count("pk", filter=Q(joined_at__gt=since)), left=Count("pk", filter=Q(left_at__gt=since))
        )
    }
    empty = {"joined": 0, "left": 0}
    return [{"group": group, **counts.get(group.pk, empty)} for group in groups]


def _url(request: MemberRequest, cursor: str | None) -> str:
    query = request.GET.copy()
    query["cursor"] = cursor or ""
    return f"?{query.urlencode()}" if cursor else ""


@require_GET
@requires("groups.view")
def group_page(request: MemberRequest, pk: int) -> HttpResponse:
    """One group: owner, counts, who is in, who left."""
    group = get_object_or_404(visible_groups(request.scope).select_related("owner", "store"), pk=pk)
    tab = "left" if request.GET.get("tab") == "left" else "in"
    people = group.memberships.filter(left_at__isnull=tab == "in").select_related("contact", "member")
    page = keyset_page(people, ("-joined_at", "-pk"), request.GET.get("cursor", ""))
    roots = {row.contact.root_pk for row in page.rows if row.contact}
    visible = set(visible_contacts(request.scope).filter(pk__in=roots).values_list("pk", flat=True))
    context = {
        "group": group,
        "tab": tab,
        "tabs": [
            {"label": label, "url": f"?tab={key}", "active": key == tab, "count": count}
            for key, label, count in _tabs(group)
        ],
        "rows": [
            {"row": row, "contact_id": root if (root := row.contact and row.contact.root_pk) in visible else None}
            for row in page.rows
        ],
        "shown": len(page.rows),
        "total": people.count(),
        "next_url": _url(request, page.next_cursor),
        "previous_url": _url(request, page.previous_cursor),
    }
    return render(request, "contacts/group_detail.html", context)


def _tabs(group: GroupChat) -> list[tuple[str, Any, int]]:
    counts = group.memberships.aggregate(
        inside=Count("pk", filter=Q(left_at__isnull=True)), gone=Count("pk", filter=Q(left_at__isnull=False))
    )
    return [("in", _("在群"), counts["inside"]), ("left", _("已离群"), counts["gone"])]
