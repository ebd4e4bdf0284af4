"""撞单: the list, its state, and the card of 今日."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from accounts.models import User
from contacts.counting import count_rows
from contacts.models import Clash, Member
from contacts.policy import people_policy
from contacts.queries import listed_contacts
from contacts.services import clashes
from contacts.views.duplicates import exact
from scrm.lib import clock
from scrm.lib.paging import keyset_page, pager

TODAY_SHOWN = 5
TOLD_TONES = {"not": "idle", "waiting": "wait", "sending": "run", "sent": "ok", "failed": "bad"}


@require_GET
@requires("contacts.view")
def clash_list(request: MemberRequest) -> HttpResponse:
    """Open ones, or those dealt with, the latest first."""
    state = "handled" if request.GET.get("state") == "handled" else "open"
    seen = clashes.visible_clashes(request.scope)
    found = seen.filter(handled_at__isnull=state == "open")
    loaded = found.select_related("contact__root__owner", "contact__owner", "member__store", "other__store")
    page = keyset_page(loaded, ("-added_at", "-pk"), request.GET.get("cursor", ""))
    friends = clashes.still_friends(page.rows)
    people = {row.contact.root_pk for row in page.rows}
    visible = set(listed_contacts(request.scope).filter(pk__in=people).values_list("pk", flat=True))
    users = User.objects.in_bulk({row.handled_by_id for row in page.rows if row.handled_by_id})
    counts = {"open": exact(seen.filter(handled_at__isnull=True)), "handled": None}
    context = {
        "tabs": [
            {"label": label, "url": f"?state={key}", "active": key == state, "count": counts[key]}
            for key, label in (("open", _("待处理")), ("handled", _("已处理")))
        ],
        "state": state,
        "rows": [
            {
                "clash": row, "person": row.contact.root or row.contact,
                "is_visible": row.contact.root_pk in visible, "both": row.pk in friends,
                "tone": TOLD_TONES[row.told], "who": users.get(row.handled_by_id or 0),
            }
            for row in page.rows
        ],
        "total": count_rows(found),
        "counted": exact(found),
        "can_handle": _can_handle(request),
        "tells": people_policy().tells_clashes,
        "can_set": "ownership.edit" in request.permissions,
        "as_of": clock.now(),
        **pager(request, page),
    }  # fmt: skip
    return render(request, "contacts/clash_list.html", context)


def _can_handle(request: MemberRequest) -> bool:
    """Not the guides themselves: somebody who sees both decides."""
    return "contacts.edit" in request.permissions and not request.scope.is_own_only


@require_POST
@requires("contacts.edit")
def clash_handled(request: MemberRequest, pk: int) -> HttpResponse:
    """The two have agreed."""
    if request.scope.is_own_only:
        raise Http404
    try:
        clashes.handle(clashes.visible_clashes(request.scope), pk, by=request.actor)
    except Clash.DoesNotExist as error:
        raise Http404 from error
    return redirect("contacts:clash_list")


def card(members: Sequence[Member], now: datetime) -> dict[str, Any] | None:
    """撞单 in 今日: what concerns the guide and nobody has dealt with."""
    rows = list(clashes.open_of(members, now)[: TODAY_SHOWN + 1])
    mine = {member.pk for member in members}
    shown = [
        {
            "clash": row,
            "person": row.contact.root or row.contact,
            "colleague": row.other if row.member_id in mine else row.member,
            "is_mine": row.member_id in mine,
        }
        for row in rows[:TODAY_SHOWN]
    ]
    return {"rows": shown, "has_more": len(rows) > TODAY_SHOWN} if shown else None
