"""A sync run: begun, watched, confirmed, and what it found mended."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access import MemberRequest, requires
from wecom_bridge import outcomes, queries
from wecom_bridge.models import Corp, SyncRun, SyncUnit
from wecom_bridge.services import sync
from wecom_bridge.services.sync import repair

TEMPLATE = "wecom_bridge/sync.html"
PARTS = ("progress", "drift")


@require_POST
@requires("bridge.manage")
def sync_start(request: MemberRequest, pk: int) -> HttpResponse:
    """开始同步, or 只比对; a second click shows the run that is under way."""
    corp = get_object_or_404(Corp, pk=pk)
    run = sync.start_sync(corp, by=request.actor, compare_only=request.POST.get("compare") == "1")
    return redirect("bridge_sync", pk=run.pk)


@require_safe
@requires("bridge.view")
def sync_detail(request: MemberRequest, pk: int) -> HttpResponse:
    """Progress, figures, who was read, what differed. With ?part= only a part that moves."""
    run = get_object_or_404(SyncRun.objects.select_related("corp"), pk=pk)
    job = queries.find_job(run)
    drift = run.drift.filter(repaired_at=None)
    context = {
        "run": run,
        "job": job,
        "steps": queries.list_steps(run),
        "left_seconds": outcomes.seconds_left(job) if run.state == SyncRun.State.RUNNING else None,
        "missing": outcomes.name_some(run),
        "unread": outcomes.list_unread(run),
        "drift": outcomes.list_drift(run),
        "drift_sums": outcomes.sum_drift(run),
        "drift_open": drift.count(),
        "drift_asked": drift.filter(asked_at__isnull=False).count(),
        "recent": outcomes.list_recent(run),
        "can_manage": "bridge.manage" in request.permissions,
        "is_moving": run.state == SyncRun.State.RUNNING,
        **_outcomes(request, run),
    }
    part = request.GET.get("part")
    return render(request, f"{TEMPLATE}#{part}" if part in PARTS else TEMPLATE, context)


def _outcomes(request: MemberRequest, run: SyncRun) -> dict[str, Any]:
    """The guides of the chosen outcome, and the tabs to choose by."""
    chosen = request.GET.get("outcome", "")
    state = chosen if chosen in outcomes.OUTCOMES else ""
    before = request.GET.get("before", "")
    rows, following = outcomes.list_outcomes(
        run, state, int(before) if before.isdecimal() and len(before) < 19 else None
    )
    counts = outcomes.count_outcomes(run)
    url = reverse("bridge_sync", args=[run.pk])
    tabs = [{"label": _("全部"), "url": f"{url}#guides", "active": not state, "count": sum(counts.values())}]
    tabs += [
        {
            "label": SyncUnit.State(one).label,
            "url": f"{url}?outcome={one}#guides",
            "active": one == state,
            "count": counts[one],
        }
        for one in outcomes.OUTCOMES
        if counts.get(one)
    ]
    return {
        "guides": rows,
        "tabs": tabs,
        "guides_total": counts.get(state, 0) if state else sum(counts.values()),
        "next_url": f"{url}?outcome={state}&before={following}#guides" if following else "",
        "first_url": f"{url}?outcome={state}#guides" if before else "",
    }  # fmt: skip


@require_POST
@requires("bridge.manage")
def sync_decide(request: MemberRequest, pk: int) -> HttpResponse:
    """Much would vanish: a person says whether it really is gone."""
    run = get_object_or_404(SyncRun, pk=pk)
    about = request.POST.get("about", "compare")
    sync.decide(run.pk, remove=request.POST.get("decision") == "remove", by=request.actor, about=about)
    return redirect("bridge_sync", pk=run.pk)


@require_POST
@requires("bridge.manage")
def sync_repair(request: MemberRequest, pk: int) -> HttpResponse:
    """一键修复: whatever of this run still differs is read again."""
    run = get_object_or_404(SyncRun, pk=pk)
    count = repair.ask(run, by=request.actor)
    text = ngettext("正在重新读取 %(n)s 条差异。", "正在重新读取 %(n)s 条差异。", count) % {"n": count}
    messages.success(request, text if count else _("没有需要修复的差异。"))
    return redirect("bridge_sync", pk=run.pk)
