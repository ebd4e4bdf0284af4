"""The pages of a long job somebody started here: progress, result, file."""

from typing import Any

from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.access import MemberRequest, requires
from contacts.services.exports import KIND, file_of
from scrm.lib import clock
from tenants import audit
from tenants.ledger.models import Job


@require_GET
@requires("contacts.export")
def export_page(request: MemberRequest, pk: int) -> HttpResponse:
    """Progress of an export, then its file."""
    return render(request, "contacts/export.html", {"job": _own_job(request, pk), "status": _status(request, pk)})


@require_GET
@requires("contacts.export")
def export_status(request: MemberRequest, pk: int) -> HttpResponse:
    """The progress fragment."""
    return render(request, "ui/progress.html", _status(request, pk))


@require_GET
@requires("contacts.export")
def export_file(request: MemberRequest, pk: int) -> HttpResponse:
    """The file, for whoever asked for it; the download is audited."""
    job = _own_job(request, pk)
    path = file_of(job)
    if path is None or job.state != Job.State.DONE:
        raise Http404
    audit.record("contacts.export_downloaded", job, by=request.actor)
    return FileResponse(  # type: ignore[return-value]  # the stubs keep streaming answers apart
        path.open("rb"), as_attachment=True, filename=path.name, content_type="text/csv; charset=utf-8"
    )


def _own_job(request: MemberRequest, pk: int) -> Job:
    return get_object_or_404(Job, pk=pk, kind=KIND, created_by_id=request.user.pk)


def _status(request: MemberRequest, pk: int) -> dict[str, Any]:
    job = _own_job(request, pk)
    is_done = job.state == Job.State.DONE
    return {
        **job_status(job),
        "url": reverse("contacts:export_status", args=[pk]),
        "result": _("文件已生成,共 %(count)s 行") % {"count": f"{job.done:,}"} if is_done else job.last_error,
        "result_url": reverse("contacts:export_file", args=[pk]) if is_done else "",
        "result_label": _("下载 CSV"),
    }


def job_status(job: Job) -> dict[str, Any]:
    """What ui/progress.html needs of a job: state, counts, and the time left at the pace so far."""
    left = None
    if job.started_at and job.done and job.total:
        left = (clock.now() - job.started_at).total_seconds() / job.done * max(job.total - job.done, 0)
    state = {Job.State.DONE: "done", Job.State.FAILED: "failed", Job.State.CANCELLED: "failed"}.get(
        Job.State(job.state), "running"
    )
    return {
        "id": f"job-{job.pk}",
        "title": job.title,
        "state": state,
        "done": job.done,
        "total": job.total,
        "left_seconds": left,
    }
