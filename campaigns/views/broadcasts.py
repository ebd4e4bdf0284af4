"""群发: the list, and one broadcast with its three acts."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, require_also, requires
from accounts.models import User
from accounts.scope import data_scope
from campaigns.models import Approval, Broadcast
from campaigns.queries import broadcasts as queries
from campaigns.queries.audience import describe
from campaigns.queries.previews import attachments_shown
from campaigns.rendering import preview
from campaigns.services import broadcasts, polling, stopping
from campaigns.states import DeliveryState, PushState, reason_name
from scrm.lib import clock
from scrm.lib.errors import NotAllowed
from scrm.lib.numbers import whole_number

PAGE = 30
REMINDERS = ("broadcasts.edit", "broadcasts.approve")  # either lets her remind
State = Broadcast.State
TONES = {State.DRAFT: "idle", State.SUBMITTED: "wait", State.RUNNING: "run", State.ENDED: "ok", State.STOPPED: "bad"}


def get_visible_or_404(request: MemberRequest, pk: int) -> Broadcast:
    """A broadcast the request's scope sees."""
    rows = queries.visible_broadcasts(request.scope).select_related("push", "content_version__content")
    return get_object_or_404(rows, pk=pk)


@requires("broadcasts.view")
def broadcast_list(request: MemberRequest) -> HttpResponse:
    rows = queries.visible_broadcasts(request.scope).select_related("push").order_by("-created_at", "-pk")
    chosen = request.GET.get("state", "")
    page = Paginator(rows.filter(state=chosen) if chosen in State.values else rows, PAGE).get_page(
        request.GET.get("page")
    )
    progress = queries.progress_of([row.push for row in page if row.push], request.scope)
    lines = [_line(row, progress.get(row.push_id or 0)) for row in page]
    tabs = [{"label": _("全部"), "url": "?", "active": chosen == ""}]
    tabs += [{"label": label, "url": f"?state={value}", "active": chosen == value} for value, label in State.choices]
    context = {"page": page, "lines": lines, "tabs": tabs, "can_edit": "broadcasts.edit" in request.permissions}
    return render(request, "campaigns/broadcast_list.html", context)


def _line(broadcast: Broadcast, progress: queries.Progress | None) -> dict[str, Any]:
    return {
        "row": broadcast,
        "progress": progress,
        "word": state_word(broadcast, progress),
        "tone": TONES[State(broadcast.state)],
    }


def state_word(broadcast: Broadcast, progress: queries.Progress | None) -> str:
    """One of the five words; 待导购确认 with its count."""
    name = str(State(broadcast.state).label)
    if broadcast.state == State.RUNNING and progress:
        return f"{name} {progress.confirmed}/{progress.units}"
    return name


@requires("broadcasts.view")
def broadcast_detail(request: MemberRequest, pk: int) -> HttpResponse:
    broadcast = get_visible_or_404(request, pk)
    if broadcast.push is None:
        return render(request, "campaigns/broadcast_draft.html", _draft_context(request, broadcast))
    return render(request, "campaigns/broadcast_detail.html", _detail_context(request, broadcast))


@requires("broadcasts.view")
def broadcast_status(request: MemberRequest, pk: int) -> HttpResponse:
    """The part of the page that moves, for htmx."""
    broadcast = get_visible_or_404(request, pk)
    if broadcast.push is None:
        return redirect("campaigns:broadcast_detail", pk)
    return render(request, "campaigns/broadcast_detail.html#status", _detail_context(request, broadcast))


def _common(request: MemberRequest, broadcast: Broadcast) -> dict[str, Any]:
    content = broadcast.content_version
    return {
        "broadcast": broadcast,
        "text": preview(content.text) if content else "",
        "attachments": attachments_shown(content.attachments if content else []),
        "audience": describe(broadcast.audience),
        "tone": TONES[State(broadcast.state)],
        "can_edit": "broadcasts.edit" in request.permissions,
    }


def _draft_context(request: MemberRequest, broadcast: Broadcast) -> dict[str, Any]:
    pending = Approval.objects.filter(
        subject_kind="broadcast", subject_id=broadcast.pk, state=Approval.State.PENDING
    ).first()
    can_approve = "broadcasts.approve" in request.permissions
    return _common(request, broadcast) | {
        "pending": pending,
        "can_approve": can_approve,
        "word": state_word(broadcast, None),
    }


def _detail_context(request: MemberRequest, broadcast: Broadcast) -> dict[str, Any]:
    push = broadcast.push
    assert push is not None
    progress = queries.progress_of([push], request.scope)[push.pk]
    units = list(
        queries.visible_units(push, request.scope).select_related("sender", "store").order_by("sender__name", "pk")
    )
    approval = (
        Approval.objects.filter(subject_kind="broadcast", subject_id=broadcast.pk, state="approved")
        .order_by("-pk")
        .first()
    )
    is_open = push.state == PushState.FROZEN
    example = units[0] if units else None  # each unit has its own text: one of them is shown, as its guide sees it
    agreed = [unit.agreed_at for unit in units if unit.agreed_at]
    confirmed = [unit.confirmed_at for unit in units if unit.confirmed_at]
    shown = {"text": example.text, "attachments": attachments_shown(example.attachments)} if example else {}
    return (
        _common(request, broadcast)
        | shown
        | {
            "example": example,
            "push": push,
            "progress": progress,
            "word": state_word(broadcast, progress),
            "lines": queries.sum_of(push, request.scope),
            "stores": queries.by_store(units, queries.sent_counts(push, request.scope)),
            "skipped": [(unit, reason_name(unit.reason)) for unit in units if unit.state == "skipped"],
            "failed_units": [unit for unit in units if unit.state == "failed"],
            "approval": approval,
            "approver": User.objects.filter(pk=approval.decided_by_id or 0).first() if approval else None,
            "first_agreed": min(agreed, default=None),
            "first_confirmed": min(confirmed, default=None),
            "is_open": is_open,
            "can_stop": is_open
            and push.stop_wanted_at is None
            and "broadcasts.edit" in request.permissions
            and queries.sees_whole(push, request.scope),
            "can_remind": is_open and any(unit.state == "tasked" for unit in units) and _may_remind(request),
            "stop": stopping.stop_counts(push.pk) if is_open else None,
            "now": clock.now(),
        }
    )


def _may_remind(request: MemberRequest) -> bool:
    return bool(set(REMINDERS) & set(request.permissions))


@requires("broadcasts.view")
def broadcast_people(request: MemberRequest, pk: int) -> HttpResponse:
    """The people behind a number."""
    require_also(request, "contacts.view")
    broadcast = get_visible_or_404(request, pk)
    if broadcast.push is None:
        return redirect("campaigns:broadcast_detail", pk)
    state, reason = request.GET.get("state", ""), request.GET.get("reason", "")
    unit, store = (whole_number(request.GET.get(name)) for name in ("unit", "store"))
    rows = queries.delivery_rows(
        broadcast.push, request.scope, state=state, reason=reason, dispatch_id=unit, dispatch__store_id=store
    )
    if request.GET.get("store") == "none":
        rows = rows.filter(dispatch__isnull=False, dispatch__store__isnull=True)
    page = Paginator(rows, 50).get_page(request.GET.get("page"))
    people = [(row, str(DeliveryState(row.state).label), reason_name(row.reason) if row.reason else "") for row in page]
    context = {"broadcast": broadcast, "page": page, "people": people, "state": state, "reason": reason}
    return render(request, "campaigns/broadcast_people.html", context)


# --- Acts -----------------------------------------------------------------------------------------------------------


@require_POST
@requires("broadcasts.edit")
def broadcast_stop(request: MemberRequest, pk: int) -> HttpResponse:
    broadcast = get_visible_or_404(request, pk)
    if broadcast.push is not None:
        if not queries.sees_whole(broadcast.push, request.scope):
            raise NotAllowed(_("这条群发还涉及您看不到的门店,请由看得到全部门店的人停止。"), code="scope")
        stopping.stop_push(broadcast.push.pk, by=request.actor)
        messages.success(request, _("已停止。没有任务的立即停下,已有任务的正在向企业微信撤回。"))
    return redirect("campaigns:broadcast_detail", pk)


@require_POST
@requires("broadcasts.view")
def broadcast_remind(request: MemberRequest, pk: int) -> HttpResponse:
    broadcast = get_visible_or_404(request, pk)
    if broadcast.push is not None and _may_remind(request):
        # Within the reach of the permission that lets her remind, not of the one that lets her look.
        reach = [data_scope(request.user, code, grants=request.grants) for code in REMINDERS]
        units = sorted(
            {pk for one in reach for pk in queries.visible_units(broadcast.push, one).values_list("pk", flat=True)}
        )
        number = polling.remind(broadcast.push.pk, by=request.actor, dispatch_ids=units)
        messages.success(request, _("已请企业微信提醒 %(n)d 位导购。") % {"n": number})
    return redirect("campaigns:broadcast_detail", pk)


@require_POST
@requires("broadcasts.view")
def broadcast_refresh(request: MemberRequest, pk: int) -> HttpResponse:
    broadcast = get_visible_or_404(request, pk)
    if broadcast.push_id:
        polling.refresh_push(broadcast.push_id)
    messages.info(request, _("正在向企业微信查询结果,稍后刷新本页。"))
    return redirect("campaigns:broadcast_detail", pk)


@require_POST
@requires("broadcasts.edit")
def broadcast_copy(request: MemberRequest, pk: int) -> HttpResponse:
    copy = broadcasts.copy_broadcast(get_visible_or_404(request, pk).pk, by=request.actor, scope=request.scope)
    return redirect(reverse("campaigns:broadcast_content", args=[copy.pk]))


@require_POST
@requires("broadcasts.edit")
def broadcast_withdraw(request: MemberRequest, pk: int) -> HttpResponse:
    broadcasts.withdraw_broadcast(get_visible_or_404(request, pk).pk, by=request.actor)
    return redirect("campaigns:broadcast_detail", pk)
