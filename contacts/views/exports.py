"""Files of customers: what goes in, how far it is, where it is fetched until it expires."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from contacts import export_columns, listing
from contacts.counting import count_rows
from contacts.policy import people_policy
from contacts.services.export_limits import BEYOND, OverLimit, save_limit
from contacts.services.exports import (
    FILES,
    FORMATS,
    file_of,
    format_of,
    kept_until,
    own_jobs,
    request_export,
    taken_today,
)
from contacts.views.looking import looked_at
from contacts.views.people import selected_people, selection_of
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page, pager
from tenants import audit, retention
from tenants.ledger.models import Job

TONES = {Job.State.DONE: "ok", Job.State.FAILED: "bad", Job.State.QUEUED: "wait", Job.State.RUNNING: "run"}


@require_http_methods(["GET", "POST"])
@requires("contacts.export")
def export_start(request: MemberRequest) -> HttpResponse:
    """Which columns, in which format, phones whole or masked; then begin."""
    look = looked_at(request)
    if look.problems:
        raise UserError(look.problems[0])
    query = look.query.urlencode()
    if request.method == "POST":
        chosen = selection_of(request) if "expected" in request.POST else None
        if chosen is not None:
            selected_people(request, chosen)
        return begun(
            request,
            lambda: request_export(
                query, request.scope, by=request.actor, permissions=request.permissions,
                ids=chosen.ids if chosen and not chosen.select_all else (), keys=request.POST.getlist("columns"),
                file_format=request.POST.get("format", "csv"), is_unmasked=request.POST.get("phones") == "whole",
            ),
        )  # fmt: skip
    return _start_page(request, query, {"total": count_rows(look.people)})


def begun(request: MemberRequest, begin: Callable[[], Job]) -> HttpResponse:
    """To the page of the file that was asked for. That somebody wanted more than a day holds goes on record."""
    try:
        job = begin()
    except OverLimit as error:
        audit.record("contacts.export_refused", by=request.actor, **error.told)
        raise
    return redirect("contacts:export", pk=job.pk)


def _limit(request: MemberRequest) -> dict[str, Any]:
    """What the pages say of the limit of the day."""
    is_limited = BEYOND not in request.permissions
    return {
        "is_limited": is_limited,
        "most": people_policy().exports_a_day,
        "taken": taken_today(request.user.pk) if is_limited else 0,
    }


@require_POST
@requires(BEYOND)
def export_limit(request: MemberRequest) -> HttpResponse:
    """每日上限 of the merchant."""
    most = save_limit(request.POST.get("most", ""), by=request.actor)
    messages.success(request, _("已保存,每人每天最多导出 %(most)s 位客户。") % {"most": f"{most:,}"})
    return redirect("contacts:export_list")


def ask(request: HttpRequest, people: Any, chosen: listing.Selection) -> HttpResponse:
    """The same for those who were chosen in the list."""
    return _start_page(request, chosen.query, {"chosen": chosen, "count": people.count()})  # type: ignore[arg-type]  # as @requires made it


def _start_page(request: MemberRequest, query: str, who: dict[str, Any]) -> HttpResponse:
    context = {
        "query": query,
        "columns": export_columns.columns(request.permissions),
        "can_unmask": "contacts.unmask" in request.permissions,
        "days": retention.keep_days(FILES),
        **_limit(request),
        **who,
    }
    return render(request, "contacts/export_start.html", context)


@require_GET
@requires("contacts.export")
def export_list(request: MemberRequest) -> HttpResponse:
    """导出记录: one's own files, latest first."""
    page = keyset_page(own_jobs(request.user.pk), ("-created_at", "-pk"), request.GET.get("cursor", ""))
    days = retention.keep_days(FILES)
    rows = [{"job": job, "tone": TONES.get(Job.State(job.state), "idle"), **_fetching(job, days)} for job in page.rows]
    return render(
        request, "contacts/export_list.html", {"rows": rows, "days": days, **_limit(request), **pager(request, page)}
    )


@require_GET
@requires("contacts.export")
def export_page(request: MemberRequest, pk: int) -> HttpResponse:
    """Progress of an export, then its file."""
    job = _own_job(request, pk)
    days = retention.keep_days(FILES)
    context = {"job": job, "status": _status(job, days), "days": days}
    return render(request, "contacts/export.html", context)


@require_GET
@requires("contacts.export")
def export_status(request: MemberRequest, pk: int) -> HttpResponse:
    """The progress fragment."""
    return render(request, "ui/progress.html", _status(_own_job(request, pk), retention.keep_days(FILES)))


@require_GET
@requires("contacts.export")
def export_file(request: MemberRequest, pk: int) -> HttpResponse:
    """The file, for whoever asked for it; the download is audited."""
    job = _own_job(request, pk)
    path = file_of(job, retention.keep_days(FILES))
    if path is None:
        raise Http404
    audit.record("contacts.export_downloaded", job, by=request.actor)
    return FileResponse(  # type: ignore[return-value]  # the stubs keep streaming answers apart
        path.open("rb"), as_attachment=True, filename=path.name, content_type=FORMATS[format_of(job)]
    )


def _own_job(request: MemberRequest, pk: int) -> Job:
    return get_object_or_404(own_jobs(request.user.pk), pk=pk)


def _fetching(job: Job, days: int) -> dict[str, Any]:
    is_there = file_of(job, days) is not None
    return {
        "is_there": is_there,
        "until": kept_until(job, days),
        "is_gone": job.state == Job.State.DONE and not is_there,
    }


def _status(job: Job, days: int) -> dict[str, Any]:
    told = job.last_error
    if job.state == Job.State.DONE:
        until = timezone.localtime(kept_until(job, days)).strftime("%Y-%m-%d %H:%M")
        rows = _("文件已生成,共 %(count)s 行,保留至 %(until)s") % {"count": f"{job.done:,}", "until": until}
        told = rows if file_of(job, days) else _("文件已过期删除,请重新导出。")
    return {
        **job_status(job),
        "url": reverse("contacts:export_status", args=[job.pk]),
        "result": told,
        "result_url": reverse("contacts:export_file", args=[job.pk]) if file_of(job, days) else "",
        "result_label": _("下载 %(format)s") % {"format": format_of(job).upper()},
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


BULK = listing.BulkAction("export", gettext_lazy("导出"), 40, "download", "contacts.export", ask)
