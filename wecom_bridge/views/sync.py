"""A sync run: begun, watched, confirmed."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import MemberRequest, requires
from scrm.lib import clock
from tenants.ledger.models import Job
from wecom_bridge import queries
from wecom_bridge.models import Corp, SyncRun
from wecom_bridge.services import sync


@require_POST
@requires("bridge.manage")
def sync_start(request: MemberRequest, pk: int) -> HttpResponse:
    """开始同步; a second click shows the run that is under way."""
    run = sync.start_sync(get_object_or_404(Corp, pk=pk), by=request.actor)
    return redirect("bridge_sync", pk=run.pk)


@require_safe
@requires("bridge.view")
def sync_detail(request: MemberRequest, pk: int) -> HttpResponse:
    """Progress, figures, what could not be read, what differed. With ?part=progress only the moving part."""
    run = get_object_or_404(SyncRun.objects.select_related("corp"), pk=pk)
    job = queries.find_job(run)
    context = {
        "run": run,
        "job": job,
        "steps": queries.list_steps(run),
        "left_seconds": _left(job),
        "problems": queries.list_unit_problems(run),
        "drift": run.drift.order_by("id")[:200],
        "drift_count": run.drift.count(),
        "can_manage": "bridge.manage" in request.permissions,
        "progress_state": {"done": "done", "failed": "failed"}.get(run.state, "running"),
    }
    template = "wecom_bridge/sync.html"
    return render(request, f"{template}#progress" if request.GET.get("part") else template, context)


def _left(job: Job | None) -> int | None:
    """Seconds left at the pace so far."""
    if job is None or job.is_over or not job.total or not job.done or not job.started_at:
        return None
    spent = (clock.wall() - job.started_at).total_seconds()
    return int(spent / job.done * (job.total - job.done))


@require_POST
@requires("bridge.manage")
def sync_decide(request: MemberRequest, pk: int) -> HttpResponse:
    """Much would vanish: a person says whether it really is gone."""
    run = get_object_or_404(SyncRun, pk=pk)
    sync.decide(run.pk, remove=request.POST.get("decision") == "remove", by=request.actor)
    return redirect("bridge_sync", pk=run.pk)
