"""合并标签: what it would do, how far it is, and taking it back."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, refuse_part, requires
from accounts.models import User
from contacts.views.exports import job_status
from scrm.lib.numbers import whole_number
from tagging.models import TagMerge
from tagging.queries import live_tags
from tagging.services import merging
from tagging.views.dictionary import may_change
from tenants.ledger.models import Job

SHOWN = 100
State = TagMerge.State


@require_http_methods(["GET", "POST"])
@requires("tags.edit", many=True)
def merge_tag(request: MemberRequest, pk: int) -> HttpResponse:
    """Into which other tag; with one chosen, what it would do; then do it."""
    _refuse_part(request)
    old = get_object_or_404(live_tags(), pk=pk)
    choices = merging.choices_for(old)
    asked = whole_number(request.POST.get("kept") or request.GET.get("kept", ""))
    kept = choices.filter(pk=asked).first() if asked is not None else None
    if request.method == "POST":
        merge = merging.start(old, kept or old, by=request.actor)
        return redirect("tagging:tag_merge", pk=merge.pk)
    context = {
        "tag": old,
        "kept": kept,
        "choices": choices.order_by("-group__order", "group_id", "-order", "pk"),
        "preview": merging.preview(old) if kept else None,
    }
    return render(request, "tagging/tag_merge_new.html", context)


def _refuse_part(request: MemberRequest) -> None:
    refuse_part(request, _("合并标签会改全部客户的标签,要由看得到全部门店的人来做"))


@require_GET
@requires("tags.view")
def merge_list(request: MemberRequest) -> HttpResponse:
    """Which tag became which: whoever sees tags may look that up. How many people, and by whom, is for those who may merge."""
    context = {"merges": merging.merges()[:SHOWN], "shows_counts": may_change(request)}
    return render(request, "tagging/tag_merge_list.html", context)


@require_GET
@requires("tags.view")
def tag_merge(request: MemberRequest, pk: int) -> HttpResponse:
    return render(request, "tagging/tag_merge.html", _page(request, pk))


@require_GET
@requires("tags.view")
def merge_status(request: MemberRequest, pk: int) -> HttpResponse:
    """What of the page moves while the work goes on."""
    return render(request, "tagging/tag_merge.html#state", _page(request, pk))


def _page(request: MemberRequest, pk: int) -> dict[str, Any]:
    merge = get_object_or_404(merging.merges(), pk=pk)
    job = Job.objects.filter(pk=merge.undo_job_id or merge.job_id or 0).first()
    waiting = merging.waiting_in_wecom(merge)
    user = User.objects.filter(pk=merge.created_by_id or 0).first()
    is_open = merge.state in (State.WAITING, State.MOVING, State.UNDOING)
    tones = {State.DONE: "ok", State.UNDONE: "idle", State.FAILED: "bad"}
    may = may_change(request)
    return {
        "merge": merge,
        "shows_counts": may,
        "status": {**job_status(job), "result": job.last_error} if job else None,
        "is_open": is_open or waiting > 0,
        "waiting": waiting,
        "seconds": merging.seconds_for(waiting),
        "tone": tones.get(State(merge.state), "run"),
        "rewritten": len(merge.rewritten),
        "kept_as_is": merge.relations - merge.undone if merge.state == State.UNDONE else None,
        "who": user.display_name if user else "—",
        "can_undo": may and merge.state in (State.MOVING, State.DONE) and merge.old.deleted_at is None,
        "can_delete": may and merge.state == State.DONE and not waiting and merge.old.deleted_at is None,
    }


@require_POST
@requires("tags.edit", many=True)
def merge_undo(request: MemberRequest, pk: int) -> HttpResponse:
    _refuse_part(request)
    merge = get_object_or_404(merging.merges(), pk=pk)
    merging.ask_undo(merge.pk, by=request.actor)
    return redirect("tagging:tag_merge", pk=merge.pk)


@require_POST
@requires("tags.edit", many=True)
def merge_delete_old(request: MemberRequest, pk: int) -> HttpResponse:
    """The merged tag away in WeCom too."""
    _refuse_part(request)
    merge = get_object_or_404(merging.merges(), pk=pk)
    merging.delete_old(merge, by=request.actor)
    messages.success(request, _("旧标签已提交删除"))
    return redirect("tagging:tag_merge", pk=merge.pk)
