"""导入: a file is taken, its columns matched, tried, brought in, and taken back."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from contacts.forms import ImportFileForm
from contacts.models import ImportRow, ImportRun, ImportState
from contacts.services.exports import stored_file
from contacts.services.imports import files, running
from contacts.services.imports.registry import Kind, columns_of, import_kind, import_kinds
from contacts.views.exports import job_status
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page, pager
from tenants import audit
from tenants.ledger.models import Job

REASONS = 20  # rejected rows shown on the page; all of them are in the file
TONES = {ImportState.DONE: "ok", ImportState.FAILED: "bad", ImportState.UNDONE: "idle"}
TONES |= dict.fromkeys((ImportState.DRAFT, ImportState.CHECKED), "wait")
TONES |= dict.fromkeys((ImportState.CHECKING, ImportState.RUNNING, ImportState.UNDOING), "run")
_AT_WORK = (ImportState.CHECKING, ImportState.RUNNING, ImportState.UNDOING)


@require_http_methods(["GET", "POST"])
@requires("contacts.import")
def import_list(request: MemberRequest) -> HttpResponse:
    """Bring in a file; the imports so far."""
    kinds = [kind for kind in import_kinds(request.permissions) if not kind.is_aimed]
    form = ImportFileForm(
        request.POST or None, request.FILES or None, kinds=kinds, initial={"kind": request.GET.get("kind")}
    )
    if request.method == "POST" and form.is_valid():
        try:
            kind = import_kind(form.cleaned_data["kind"])
            run = running.take_upload(kind, form.cleaned_data["file"], request.scope, by=request.actor)
        except UserError as error:
            form.add_error("file", error.message)
        else:
            return redirect("contacts:import", pk=run.pk)
    page = keyset_page(_runs(request), ("-pk",), request.GET.get("cursor", ""), size=30)
    rows = [{"run": run, "kind": import_kind(run.kind), "tone": TONES[ImportState(run.state)]} for run in page.rows]
    context = {"form": form, "kinds": kinds, "rows": rows, **pager(request, page)}
    return render(request, "contacts/import_list.html", context, status=422 if request.method == "POST" else 200)


def _runs(request: MemberRequest) -> QuerySet[ImportRun]:
    """One's own imports; whoever sees everything sees those of others too. Of kinds one may bring in."""
    kinds = [kind.key for kind in import_kinds(request.permissions)]
    runs = ImportRun.objects.filter(kind__in=kinds)
    return runs if request.scope.sees_all else runs.filter(created_by_id=request.user.pk)


def _run_or_404(request: MemberRequest, pk: int) -> tuple[ImportRun, Kind]:
    run = get_object_or_404(_runs(request), pk=pk)
    return run, import_kind(run.kind)


@require_GET
@requires("contacts.import")
def import_template(request: MemberRequest) -> HttpResponse:
    """An example file with every column of a kind."""
    kind = next((one for one in import_kinds(request.permissions) if one.key == request.GET.get("kind")), None)
    if kind is None:
        raise Http404
    response = HttpResponse(files.template(kind), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{kind.key}-template.csv"'
    return response


@require_GET
@requires("contacts.import")
def import_run(request: MemberRequest, pk: int) -> HttpResponse:
    """Where the import stands, and what may be done next."""
    run, kind = _run_or_404(request, pk)
    return _page(request, run, kind)


@require_GET
@requires("contacts.import")
def import_status(request: MemberRequest, pk: int) -> HttpResponse:
    """Progress and figures, polled; the whole page again when the work is over."""
    run, kind = _run_or_404(request, pk)
    status = _status(run)
    if status["state"] == "running":
        return render(request, "contacts/import_run.html#numbers", _context(request, run, kind, status))
    response = HttpResponse(status=204)
    response["HX-Refresh"] = "true"
    return response


@require_POST
@requires("contacts.import")
def import_check(request: MemberRequest, pk: int) -> HttpResponse:
    """The columns are matched: try it."""
    run, kind = _run_or_404(request, pk)
    try:
        running.check(run.pk, _mapping(request, run, kind), by=request.actor)
    except UserError as error:
        return _page(request, run, kind, error.message)
    return redirect("contacts:import", pk=pk)


@require_POST
@requires("contacts.import")
def import_start(request: MemberRequest, pk: int) -> HttpResponse:
    """Bring it in as tried."""
    run, kind = _run_or_404(request, pk)
    try:
        running.start(run.pk, acts=bool(request.POST.get("acts")), by=request.actor)
    except UserError as error:
        return _page(request, run, kind, error.message)
    return redirect("contacts:import", pk=pk)


@require_POST
@requires("contacts.import")
def import_undo(request: MemberRequest, pk: int) -> HttpResponse:
    """Take it back."""
    run, kind = _run_or_404(request, pk)
    try:
        running.undo(run.pk, by=request.actor)
    except UserError as error:
        return _page(request, run, kind, error.message)
    return redirect("contacts:import", pk=pk)


@require_GET
@requires("contacts.import")
def import_rejects(request: MemberRequest, pk: int) -> HttpResponse:
    """The rows that did not come in, with the reasons; it holds what the file held, so the download is audited."""
    run, _kind = _run_or_404(request, pk)
    job = Job.objects.filter(pk=run.job_id, kind=running.RUN).first() if run.job_id else None
    path = stored_file(job) if job and job.state == Job.State.DONE else None
    if path is None:
        raise Http404
    if run.created_by_id != request.user.pk and "contacts.unmask" not in request.permissions:
        raise PermissionDenied  # whole phone numbers of a file that somebody else brought
    audit.record("import.rejects_downloaded", run, by=request.actor)
    return FileResponse(  # type: ignore[return-value]  # the stubs keep streaming answers apart
        path.open("rb"), as_attachment=True, filename=path.name, content_type="text/csv; charset=utf-8"
    )


def _mapping(request: MemberRequest, run: ImportRun, kind: Kind) -> dict[str, int]:
    """Column key → position, as chosen. Raises UserError for a column chosen twice or unknown."""
    columns = columns_of(kind, run.heads)
    found: dict[str, int] = {}
    for position, head in enumerate(run.heads):
        key = request.POST.get(f"head-{position}", "")
        if not key:
            continue
        if key not in columns:
            raise UserError(_("「%(head)s」对应的列不存在,请刷新页面后重新选择。") % {"head": head})
        if key in found:
            words = {"column": columns[key].names[0], "one": run.heads[found[key]], "two": head}
            raise UserError(_("「%(one)s」和「%(two)s」都对应到了「%(column)s」,请只留一列。") % words)
        found[key] = position
    return found


def _page(request: MemberRequest, run: ImportRun, kind: Kind, error: str = "") -> HttpResponse:
    context = _context(request, run, kind, _status(run)) | {"error": error}
    if context["is_matching"]:
        context |= _matching(request, run, kind)
    return render(request, "contacts/import_run.html", context, status=422 if error else 200)


def _context(request: MemberRequest, run: ImportRun, kind: Kind, status: dict[str, Any]) -> dict[str, Any]:
    # A reason quotes its row: whole numbers of a file that somebody else brought are for who may see them.
    may_see = run.created_by_id == request.user.pk or "contacts.unmask" in request.permissions
    rejected = (
        may_see and run.rows_rejected and run.state in (ImportState.CHECKED, ImportState.DONE, ImportState.UNDONE)
    )
    mapped = {position: key for key, position in run.mapping.items()}
    columns = columns_of(kind, run.heads)
    return {
        "run": run, "kind": kind, "status": status, "has_figures": run.state not in (ImportState.DRAFT, ImportState.FAILED),
        "is_trial": run.state in (ImportState.CHECKING, ImportState.CHECKED),
        "is_matching": run.state in (ImportState.DRAFT, ImportState.FAILED)
        or (run.state == ImportState.CHECKED and "match" in request.GET),
        "columns": [(run.heads[at], columns[mapped[at]].names[0]) for at in sorted(mapped) if mapped[at] in columns],
        "matched": [(at, mapped[at]) for at in sorted(mapped)], "reasons": _reasons(run) if rejected else [], "can_undo": running.can_undo(run),
        "can_resume": status["state"] == "failed" and run.state in (ImportState.RUNNING, ImportState.UNDOING),
        "can_check_again": status["state"] == "failed" and run.state == ImportState.CHECKING,
        "has_rejects": may_see and bool(run.rows_rejected and run.state == ImportState.DONE and run.file_path),
    }  # fmt: skip


def _reasons(run: ImportRun) -> list[tuple[int, str]]:
    rows = ImportRow.objects.filter(run=run, outcome="rejected").order_by("line")
    return list(rows.values_list("line", "problem")[:REASONS])


def _matching(request: MemberRequest, run: ImportRun, kind: Kind) -> dict[str, Any]:
    """Each head with what it stands for; what its first rows hold is shown to who brought the file."""
    chosen = {position: key for key, position in run.mapping.items()}
    if request.method == "POST":
        chosen = {at: request.POST.get(f"head-{at}", "") for at in range(len(run.heads))}
    rows: list[list[str]] = []
    if run.created_by_id == request.user.pk:
        try:
            rows = files.first_rows(files.path_of(run))
        except UserError:
            rows = []
    heads = [
        {"position": at, "head": head, "chosen": chosen.get(at, ""),
         "samples": [row[at] for row in rows if at < len(row) and row[at].strip()][:3]}
        for at, head in enumerate(run.heads)
    ]  # fmt: skip
    return {"heads": heads, "choices": list(columns_of(kind, run.heads).values())}


def _status(run: ImportRun) -> dict[str, Any]:
    job = Job.objects.filter(pk=run.job_id).first() if run.job_id else None
    if job is None:
        return {
            "state": "done" if run.state not in _AT_WORK else "failed",
            "done": 0,
            "total": 0,
            "title": run.file_name,
            "result": "",
        }
    return {**job_status(job), "result": job.last_error, "url": reverse("contacts:import_status", args=[run.pk])}
