"""人员变动: members who joined without a store, whose departments moved, or who left; each decided by a person, once."""

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, require_also, requires
from accounts.scope import data_scope
from contacts.models import HandoverPlan, StaffChange, Store
from contacts.queries import visible_stores
from contacts.services.handover.planning import deadline_for
from contacts.services.staffing import deciding, reading
from contacts.views.org import org_tabs
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page, pager
from tenants.context import current_tenant

Kind, State = StaffChange.Kind, StaffChange.State
SETTLED = "settled"
TONES = {State.OPEN: "wait", State.DONE: "ok", State.KEPT: "idle", State.VOID: "idle"}


@require_GET
@requires("org.view")
def change_list(request: MemberRequest) -> HttpResponse:
    """What is to be decided, one tab a kind, and what was."""
    counts = reading.count_open(request.scope)
    tab = request.GET.get("tab", "")
    if tab not in (*Kind.values, SETTLED):
        tab = next((kind for kind in Kind.values if counts.get(kind)), Kind.JOINED.value)
    rows = reading.visible_changes(request.scope)
    rows = rows.exclude(state=State.OPEN) if tab == SETTLED else rows.filter(state=State.OPEN, kind=tab)
    page = keyset_page(rows, ("-found_at", "-pk"), request.GET.get("cursor", ""))
    held = reading.burdens([row.member for row in page.rows]) if tab != SETTLED else {}
    can_place = tab == Kind.JOINED and "org.edit" in request.permissions
    context = {
        "tabs": org_tabs(request, "changes"),
        "kinds": _kind_tabs(tab, counts),
        "tab": tab,
        "rows": [
            {
                "change": row,
                "held": held.get(row.member_id),
                "tone": TONES[State(row.state)],
                "deadline": deadline_for(row.member) if tab == Kind.LEFT else None,
            }
            for row in page.rows
        ],
        "can_place": can_place and any(row.to_store_id for row in page.rows),
        "total": rows.count(),
        **pager(request, page),
    }
    return render(request, "contacts/change_list.html", context)


def _kind_tabs(tab: str, counts: dict[str, int]) -> list[dict[str, Any]]:
    found = [
        {"label": label, "url": f"?tab={key}", "active": key == tab, "count": counts.get(key, 0)}
        for key, label in Kind.choices
    ]
    return [*found, {"label": _("处理记录"), "url": f"?tab={SETTLED}", "active": tab == SETTLED}]


@require_POST
@requires("org.edit")
def changes_place(request: MemberRequest) -> HttpResponse:
    """Newcomers as their departments propose: the one whose button was pressed, or those ticked."""
    only = request.POST.get("only", "")
    given = [only] if only else request.POST.getlist("ids")
    ids = {pk for text in given if (pk := whole_number(text)) is not None}
    seen = set(reading.visible_changes(request.scope).filter(pk__in=ids).values_list("pk", flat=True))
    if not seen:
        raise UserError(_("请先勾选要采用建议的成员。"))
    placed, left = deciding.place_newcomers(seen, by=request.actor)
    if placed:
        messages.success(
            request, ngettext("%(n)d 位成员已归到门店。", "%(n)d 位成员已归到门店。", placed) % {"n": placed}
        )
    if left:
        text = ngettext(
            "%(n)d 位没有处理:没有建议的门店,或同事刚处理过。", "%(n)d 位没有处理:没有建议的门店,或同事刚处理过。", left
        )
        messages.warning(request, text % {"n": left})
    return redirect(f"{reverse('contacts:change_list')}?tab={Kind.JOINED}")


@require_GET
@requires("org.view")
def change_page(request: MemberRequest, pk: int) -> HttpResponse:
    """One change: what is proposed, whom it touches, and the decision."""
    return _page(request, get_object_or_404(reading.visible_changes(request.scope), pk=pk))


def _page(request: MemberRequest, change: StaffChange, error: str = "", status: int = 200) -> HttpResponse:
    held = reading.burdens([change.member])[change.member_id]
    stores = _open_stores(request, change).order_by("name")
    context = {
        "change": change,
        "error": error,
        "held": held,
        "tone": TONES[State(change.state)],
        "deadline": deadline_for(change.member) if change.kind == Kind.LEFT else None,
        "can_decide": change.state == State.OPEN and reading.NEEDED[Kind(change.kind)] in request.permissions,
        "can_plan": "handover.manage" in request.permissions,
        "stores": stores.exclude(pk=change.from_store_id or 0) if change.kind == Kind.MOVED else stores,
        "takers": reading.takers(change) if held.todos else [],
        "today": clock.local_day(clock.now(), current_tenant().time_zone),
        "typed": request.POST,
    }
    return render(request, "contacts/change_detail.html", context, status=status)


@require_POST
@requires("org.view")
def change_decide(request: MemberRequest, pk: int) -> HttpResponse:
    """Do what was decided; a refusal, such as a colleague who was first, is shown on the page."""
    change = get_object_or_404(reading.visible_changes(request.scope), pk=pk)
    needed = reading.NEEDED[Kind(change.kind)]
    require_also(request, needed)
    reach = data_scope(request.user, needed, grants=request.grants)
    get_object_or_404(reading.visible_changes(reach), pk=pk)  # seen by one role, decided by another of hers
    try:
        plan = _decide(request, change)
    except UserError as refused:
        change = reading.visible_changes(request.scope).get(pk=pk)
        return _page(request, change, refused.message, refused.status)
    if plan is not None:
        messages.success(request, _("已处理。请核对继承计划的预览,再决定是否开始。"))
        return redirect("contacts:handover", pk=plan.pk)
    messages.success(request, _("已处理。"))
    return redirect(f"{reverse('contacts:change_list')}?tab={change.kind}")


def _decide(request: MemberRequest, change: StaffChange) -> HandoverPlan | None:
    given, seen = request.POST, request.POST.get("seen", "")
    if given.get("act") == "keep":
        deciding.keep(change.pk, seen=seen, by=request.actor)
        return None
    with_plan = given.get("plan") == "1" and "handover.manage" in request.permissions
    todos_to = whole_number(given.get("todos_to"))
    if change.kind == Kind.LEFT:
        return deciding.see_off(change.pk, todos_to=todos_to, with_plan=with_plan, seen=seen, by=request.actor)
    store = _store(request, change, given.get("store", ""))
    if change.kind == Kind.JOINED:
        deciding.place_newcomer(change.pk, store, seen=seen, by=request.actor)
        return None
    wanted = deciding.Move(store, given.get("customers", ""), _since(given.get("since", "")), todos_to, with_plan)
    return deciding.move(change.pk, wanted, seen=seen, by=request.actor)


def _open_stores(request: MemberRequest, change: StaffChange) -> QuerySet[Store]:
    """Where she may be placed: within the scope of the permission that decides, which may be narrower than that of seeing her."""
    reach = data_scope(request.user, reading.NEEDED[Kind(change.kind)], grants=request.grants)
    return visible_stores(reach).filter(archived_at__isnull=True)


def _store(request: MemberRequest, change: StaffChange, text: str) -> Store:
    pk = whole_number(text)
    store = _open_stores(request, change).filter(pk=pk).first() if pk else None
    if store is None:
        raise UserError(_("请选择门店。"))
    return store


def _since(text: str) -> datetime | None:
    """The beginning of the day as typed; None for today, which means now."""
    zone = ZoneInfo(current_tenant().time_zone)
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
        instant = datetime.combine(day, time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UserError(_("看不懂调店日期,请写成 2026-10-01。")) from None
    return None if day == clock.local_day(clock.now(), current_tenant().time_zone) else instant
