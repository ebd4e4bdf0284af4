"""审批 on a phone or a desk: what waits, one request with its difference, 通过 or 驳回."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from accounts.models import User
from campaigns.models import Approval, Broadcast
from campaigns.queries import broadcasts as queries
from campaigns.queries.differences import lines_of
from campaigns.queries.preflight import covers
from campaigns.queries.previews import attachments_shown
from campaigns.rendering import preview
from campaigns.services import approvals, broadcasts, sops
from campaigns.services.approvals import approver_ids
from campaigns.states import reason_name
from contacts.models import GroupChat
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number


def get_approval_or_404(request: MemberRequest, pk: int) -> Approval:
    """A request within the approver's reach."""
    approval = get_object_or_404(Approval, pk=pk)
    if not covers(request.scope, approval.level, approval.snapshot.get("store_ids", [])):
        raise Http404
    return approval


@requires("broadcasts.approve")
def approval_list(request: MemberRequest) -> HttpResponse:
    waiting, decided = queries.waiting_approvals(request.scope), queries.decided_approvals(request.scope)
    names = _names({row.requested_by_id for row in [*waiting, *decided]})
    context = {
        "waiting": [(row, names.get(row.requested_by_id, "—")) for row in waiting],
        "decided": [(row, names.get(row.requested_by_id, "—")) for row in decided],
    }
    return render(request, "campaigns/approval_list.html", context)


def _names(ids: set[int]) -> dict[int, str]:
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "display_name"))


@requires("broadcasts.approve")
def approval_detail(request: MemberRequest, pk: int) -> HttpResponse:
    approval = get_approval_or_404(request, pk)
    earlier = queries.last_shown(approval)
    is_own = approvals.is_own(approval, request.user.pk)
    context: dict[str, Any] = {
        "approval": approval,
        "author": _names({approval.requested_by_id}).get(approval.requested_by_id, "—"),
        "snapshot": approval.snapshot,
        "text": preview(approval.snapshot.get("text", "")),
        "attachments": attachments_shown(approval.snapshot.get("attachments", [])),
        "excluded": _excluded(approval.snapshot.get("preflight", {})),
        "earlier": earlier,
        "difference": lines_of(earlier.snapshot, approval.snapshot) if earlier else [],
        "is_decided": approval.state != Approval.State.PENDING,
        "is_pending": approval.state == Approval.State.PENDING and approval.expires_at > clock.now(),
        "is_own": is_own,
        "may_release_own": is_own and approver_ids() == {request.user.pk},
        "groups": _groups(approval),
        "today": _reach_now(approval),
    }
    return render(request, "campaigns/approval_detail.html", context)


def _groups(approval: Approval) -> list[str]:
    """The names of the groups that were picked; customers are not listed, there may be thousands."""
    of_groups = Broadcast.objects.filter(pk=approval.subject_id, target="groups")
    if approval.subject_kind != "broadcast" or not of_groups.exists():
        return []
    chosen = GroupChat.objects.filter(pk__in=approval.snapshot.get("chosen", []))
    return [group.name or group.chat_id for group in chosen.order_by("name", "pk")]


def _excluded(preflight: dict[str, Any]) -> list[tuple[str, int]]:
    return [(reason_name(reason), number) for reason, number in preflight.get("excluded", {}).items()]


def _reach_now(approval: Approval) -> dict[str, int] | None:
    """The audience as it would be frozen now, beside what was submitted."""
    if approval.subject_kind != "broadcast" or approval.state != Approval.State.PENDING:
        return None
    broadcast = Broadcast.objects.select_related("content_version__content").get(pk=approval.subject_id)
    try:
        found = broadcasts.preflight_of(broadcast)
    except UserError:
        return None
    before = approval.snapshot["preflight"]
    changes = {"total": found.total - before["total"], "reachable": found.reachable - before["reachable"]}
    return {
        "total": found.total,
        "reachable": found.reachable,
        **{f"{key}_change": value for key, value in changes.items()},
    }


@require_POST
@requires("broadcasts.approve")
def approval_approve(request: MemberRequest, pk: int) -> HttpResponse:
    approval = get_approval_or_404(request, pk)
    typed = request.POST.get("typed_count", "").replace(",", "").strip()
    if approval.subject_kind == "broadcast":
        approvals.approve_broadcast(
            approval.subject_id,
            by=request.actor,
            scope=request.scope,
            version=approval.subject_version,
            typed_count=whole_number(typed),
        )
        messages.success(request, _("已通过。导购在今日能看到了,同意之后才会成为企业微信任务。"))
        return redirect("campaigns:broadcast_detail", approval.subject_id)
    return _approve_sop(request, approval)


def _approve_sop(request: MemberRequest, approval: Approval) -> HttpResponse:
    version = sops.release_version(approval.subject_id, by=request.actor, scope=request.scope)
    messages.success(request, _("已通过。之后进入的客户按这一版走。"))
    return redirect("campaigns:sop_detail", version.sop_id)


@require_POST
@requires("broadcasts.approve")
def approval_reject(request: MemberRequest, pk: int) -> HttpResponse:
    approval = get_approval_or_404(request, pk)
    comment = request.POST.get("comment", "")
    if approval.subject_kind == "broadcast":
        approvals.reject_broadcast(approval.subject_id, by=request.actor, scope=request.scope, comment=comment)
    else:
        approvals.reject_other(approval.pk, by=request.actor, comment=comment)
    messages.info(request, _("已驳回,作者会看到原因。"))
    return redirect("campaigns:approval_list")
