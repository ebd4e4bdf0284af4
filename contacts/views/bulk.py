"""批量操作记录: what was changed for many at once, how it went, and taking it back; and 改归属 for many."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from accounts.models import User
from accounts.scope import DataScope, data_scope
from contacts import bulk, listing
from contacts.models import BulkChange, Member
from contacts.queries import visible_members
from contacts.services import bulk as services
from contacts.services.ownership import count_creditable
from contacts.views.exports import job_status
from contacts.views.people import selected_people, selection_of
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page, pager
from tenants.ledger.models import Job

SHOWN = 20  # of those left out


@require_GET
@requires("contacts.view")
def bulk_list(request: MemberRequest) -> HttpResponse:
    """批量操作记录, latest first."""
    changes = services.visible_changes(request.scope, request.permissions)
    page = keyset_page(changes, ("-created_at", "-pk"), request.GET.get("cursor", ""))
    jobs = Job.objects.in_bulk([pk for one in page.rows for pk in (one.job_id, one.undo_job_id) if pk])
    names = dict(User.objects.filter(pk__in=[one.created_by_id for one in page.rows]).values_list("pk", "display_name"))
    rows = [_row(request, one, jobs) | {"who": _who(one, names)} for one in page.rows]
    context = {"rows": rows, "total": changes.count(), **pager(request, page)}
    return render(request, "contacts/bulk_list.html", context)


@require_GET
@requires("contacts.view")
def bulk_page(request: MemberRequest, pk: int) -> HttpResponse:
    """One of them: progress, totals, who was left out and why, 撤销."""
    return render(request, "contacts/bulk_change.html", _page(request, pk))


@require_GET
@requires("contacts.view")
def bulk_status(request: MemberRequest, pk: int) -> HttpResponse:
    """What of the page moves while the work goes on."""
    return render(request, "contacts/bulk_change.html#numbers", _page(request, pk))


def _page(request: MemberRequest, pk: int) -> dict[str, Any]:
    change = _change_or_404(request, pk)
    jobs = Job.objects.in_bulk([one for one in (change.job_id, change.undo_job_id) if one])
    names = dict(User.objects.filter(pk=change.created_by_id or 0).values_list("pk", "display_name"))
    return {
        **_row(request, change, jobs),
        "who": _who(change, names),
        "reasons": services.count_reasons(change, "refused"),
        "left_out": services.some_refused(change, _scope_for(request, change), SHOWN) if change.refused else [],
        "stuck": services.count_reasons(change, "stuck"),
        "status": _status(change, jobs),
    }


@require_POST
@requires("contacts.view", many=True)
def bulk_undo(request: MemberRequest, pk: int) -> HttpResponse:
    """Take it back, as far as the person's scope reaches."""
    change = _change_or_404(request, pk)
    scope = _scope_for(request, change)
    if not _may_undo(change, scope):
        raise PermissionDenied
    services.ask_undo(change.pk, scope, by=request.actor)
    return redirect("contacts:bulk_change", pk=change.pk)


def _who(change: BulkChange, names: Mapping[int, str]) -> str:
    token = change.params.get("token")
    return _("API 令牌「%(name)s」") % {"name": token} if token else names.get(change.created_by_id or 0, "—")


def _change_or_404(request: MemberRequest, pk: int) -> BulkChange:
    return get_object_or_404(services.visible_changes(request.scope, request.permissions), pk=pk)


def _scope_for(request: MemberRequest, change: BulkChange) -> DataScope:
    """Where the person may do what the change did."""
    return data_scope(request.user, bulk.kind_of(change.kind).permission, grants=request.grants)


def _may_undo(change: BulkChange, scope: DataScope) -> bool:
    return not (bulk.kind_of(change.kind).needs_places and scope.is_own_only)


def _row(request: MemberRequest, change: BulkChange, jobs: dict[int, Job]) -> dict[str, Any]:
    state, tone, is_open = _state(change, jobs)
    until = services.undoable_until(change)
    in_time = (change.undo_asked_at is None or state == "undo_failed") and clock.now() <= until
    return {
        "change": change,
        "kind": bulk.kind_of(change.kind).label,
        "state": STATES[state],
        "tone": tone,
        "is_open": is_open,
        "waiting": change.total - change.changed - change.unchanged - change.refused,
        "until": until,
        "can_undo": in_time and bool(change.changed or is_open) and _may_undo(change, _scope_for(request, change)),
    }


STATES = {
    "running": gettext_lazy("进行中"),
    "done": gettext_lazy("已完成"),
    "failed": gettext_lazy("没有完成"),
    "undoing": gettext_lazy("撤销中"),
    "undone": gettext_lazy("已撤销"),
    "undo_failed": gettext_lazy("撤销没有完成"),
}


def _state(change: BulkChange, jobs: dict[int, Job]) -> tuple[str, str, bool]:
    """(key, tone, whether it is still under way)."""
    if change.undo_asked_at is not None:
        if change.undo_ended_at is not None:
            return "undone", "idle", False
        has_failed = _is_failed(jobs.get(change.undo_job_id or 0))
        return ("undo_failed", "bad", False) if has_failed else ("undoing", "run", True)
    if change.ended_at is not None:
        return "done", "ok", False
    return ("failed", "bad", False) if _is_failed(jobs.get(change.job_id or 0)) else ("running", "run", True)


def _is_failed(job: Job | None) -> bool:
    return job is None or job.state == Job.State.FAILED


def _status(change: BulkChange, jobs: dict[int, Job]) -> dict[str, Any] | None:
    """What ui/progress.html shows: of the undo, once there is one."""
    job = jobs.get((change.undo_job_id if change.undo_asked_at else change.job_id) or 0)
    if job is None:
        return None
    return {**job_status(job), "result": job.last_error if job.state == Job.State.FAILED else ""}


# --- 改归属 -----------------------------------------------------------------------------------------------------


def ask_owner(request: HttpRequest, people: Any, chosen: listing.Selection) -> HttpResponse:
    """To which guide."""
    return _owner_page(request, people.count(), chosen)  # type: ignore[arg-type]  # views behind @requires hand a MemberRequest on


@require_POST
@requires("contacts.edit", many=True)
def bulk_owner(request: MemberRequest) -> HttpResponse:
    """First how many can be credited to the guide and how many cannot; then, confirmed, do it."""
    if request.scope.is_own_only:
        raise PermissionDenied  # a guide does not decide whom a shared customer is credited to
    chosen = selection_of(request)
    people = selected_people(request, chosen)
    if request.POST.get("again"):
        return _owner_page(request, chosen.expected, chosen)
    pk = whole_number(request.POST.get("member")) or 0
    member = _guides(request).filter(pk=pk).first()
    if member is None:
        raise UserError(_("请选择要归属的导购。"))
    if request.POST.get("sure") != "1":
        can, already, strangers = count_creditable(people, member)
        counts = {"can": can, "already": already, "strangers": strangers}
        return _owner_page(request, chosen.expected, chosen, member=member, counts=counts)
    change = services.start(
        "owner", people, {"member": member.pk}, request.scope, by=request.actor, expected=chosen.expected
    )
    return redirect("contacts:bulk_change", pk=change.pk)


def _owner_page(request: MemberRequest, count: int, chosen: listing.Selection, **extra: Any) -> HttpResponse:
    context = {"chosen": chosen, "count": count, "members": _guides(request), **extra}
    return render(request, "contacts/bulk_owner.html", context)


def _guides(request: MemberRequest) -> Any:
    members = visible_members(request.scope).filter(has_customer_contact=True, archived_at__isnull=True)
    return members.exclude(status=Member.Status.LEFT).select_related("store").order_by("name", "pk")


OWNER = listing.BulkAction(
    "owner", gettext_lazy("改归属"), 25, "user-check", "contacts.edit", ask_owner, needs_places=True
)
