"""A run from the upload to its end: mapped, tried, brought in, taken back. Each a long job of bounded slices.

A slice is one transaction: what its rows changed, what came of them, the figures and the line reached stand together, so a
killed worker goes on at the next row, and no row comes in twice.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max
from django.utils.translation import gettext as _

from accounts.scope import DataScope, scope_as_json
from conditions import dirty
from contacts import longjobs
from contacts.models import ImportRow, ImportRun, ImportState, Outcome
from contacts.services.imports import files, staging
from contacts.services.imports.registry import Kind, Slice, columns_of, import_kind
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit
from tenants.audit import Actor
from tenants.ledger.models import Job
from tenants.paths import tenant_dir

CHECK, RUN, UNDO = "imports.check", "imports.run", "imports.undo"
UNDO_WITHIN = timedelta(hours=24)
MANY = 5000
_FIGURES = ("rows_created", "rows_updated", "rows_unchanged", "rows_rejected")


# --- What an operator does ----------------------------------------------------------------------------------------------


def take_upload(kind: Kind, upload: Any, scope: DataScope, *, by: Actor, aim: int | None = None) -> ImportRun:
    """Keep the file and guess its columns; nothing is read further until somebody confirms them. Raises UserError."""
    assert (aim is not None) == kind.is_aimed
    path, digest = files.keep(upload)
    try:
        heads = files.heads_of(path)
    except UserError:
        path.unlink(missing_ok=True)
        raise
    return ImportRun.objects.create(
        kind=kind.key, aim=aim, file_name=upload.name[:200], file_path=str(path.relative_to(settings.MEDIA_ROOT)), file_digest=digest,
        heads=heads, mapping=files.guessed(kind, heads), scope=scope_as_json(scope),
        created_by_id=by.id if by.kind == "user" else None, created_at=clock.now(),
    )  # fmt: skip


@transaction.atomic
def check(run_id: int, mapping: dict[str, int], *, by: Actor) -> ImportRun:
    """Start the trial with these columns (key → position); it writes nothing but what would come of each row.

    Raises UserError when no column says whose row it is, a required one is missing, or nothing would be written.
    """
    run = _locked(run_id)
    again = run.state == ImportState.CHECKING and _has_failed(run)
    if not again and run.state not in (ImportState.DRAFT, ImportState.CHECKED, ImportState.FAILED):
        return run
    _refuse_poor(import_kind(run.kind), run.heads, mapping)
    run.mapping, run.state, run.staged_line, run.applied_line, run.rows_read = mapping, ImportState.CHECKING, 0, 0, 0
    _zero(run)
    files.remember(run)
    return _begin(run, CHECK, _("试运行 %(name)s"), by)


@transaction.atomic
def start(run_id: int, *, acts: bool, by: Actor) -> ImportRun:
    """Bring the rows in. Starting twice is starting once. Raises Conflict when the trial is not over."""
    run = _locked(run_id)
    if run.state == ImportState.RUNNING and _has_failed(run):
        return _begin(run, RUN, _("导入 %(name)s"), by)  # where it stood
    if run.state in (ImportState.RUNNING, ImportState.DONE):
        return run
    if run.state != ImportState.CHECKED:
        raise Conflict(_("请先完成试运行,再开始导入。"))
    run.acts = acts and import_kind(run.kind).may_act
    run.state, run.applied_line = ImportState.RUNNING, 0
    _zero(run)
    audit.record("import.started", run, by=by, kind=run.kind, file=run.file_name, rows=run.rows_read, acts=run.acts)
    return _begin(run, RUN, _("导入 %(name)s"), by)


@transaction.atomic
def undo(run_id: int, *, by: Actor) -> ImportRun:
    """Set back what the import changed and nobody changed since. Raises UserError after 24 hours."""
    run = _locked(run_id)
    if run.state == ImportState.UNDOING and _has_failed(run):
        return _begin(run, UNDO, _("撤销导入 %(name)s"), by)
    if run.state in (ImportState.UNDOING, ImportState.UNDONE):
        return run
    if run.state != ImportState.DONE or run.finished_at is None or not run.file_path:
        raise Conflict(_("这次导入没有完成,不能撤销。"))
    if not can_undo(run):
        raise UserError(_("导入完成已超过 24 小时,不能撤销。"))
    run.state, run.applied_line, run.rows_undone, run.rows_kept = ImportState.UNDOING, 0, 0, 0
    run.save(update_fields=["rows_undone", "rows_kept"])
    audit.record("import.undone", run, by=by, kind=run.kind, file=run.file_name)
    return _begin(run, UNDO, _("撤销导入 %(name)s"), by)


def can_undo(run: ImportRun) -> bool:
    """Whether it may still be taken back."""
    if run.state != ImportState.DONE or run.finished_at is None or not run.file_path:
        return False
    return clock.now() <= run.finished_at + UNDO_WITHIN and run.rows_created + run.rows_updated > 0


def _locked(run_id: int) -> ImportRun:
    return ImportRun.objects.select_for_update().get(pk=run_id)


def _has_failed(run: ImportRun) -> bool:
    """Whether its job was given up, so that somebody may let it go on."""
    return run.job_id is not None and Job.objects.filter(pk=run.job_id, state=Job.State.FAILED).exists()


def _refuse_poor(kind: Kind, heads: list[str], mapping: dict[str, int]) -> None:
    columns = columns_of(kind, heads)
    chosen = [columns[key] for key in mapping]
    missing = [one.names[0] for one in columns.values() if one.is_required and one.key not in mapping]
    if not any(one.is_key for one in chosen):
        names = "、".join(one.names[0] for one in columns.values() if one.is_key)
        raise UserError(_("请至少对应一列来认出每一行:%(names)s。") % {"names": names})
    if missing:
        raise UserError(_("缺少必需的列:%(columns)s。") % {"columns": "、".join(missing)})
    if not kind.is_aimed and all(one.is_key for one in chosen):
        raise UserError(_("没有要写入的列,请至少对应一列。"))


def _zero(run: ImportRun) -> None:
    for name in _FIGURES:
        setattr(run, name, 0)


def _begin(run: ImportRun, job_kind: str, title: str, by: Actor) -> ImportRun:
    params = {"run": run.pk, "actor": [by.kind, by.id, by.name]}
    total = run.rows_created + run.rows_updated if job_kind == UNDO else run.rows_read
    job = longjobs.start(job_kind, title % {"name": run.file_name}, params=params, by=by, total=total or None)
    run.job_id = job.pk
    run.save(
        update_fields=["state", "mapping", "acts", "job_id", "staged_line", "applied_line", "rows_read", *_FIGURES]
    )
    return run


# --- Steps of the jobs ----------------------------------------------------------------------------------------------


def check_step(job: Job, deadline: datetime) -> bool:
    """Stage the file, then judge its rows."""
    run = ImportRun.objects.get(pk=job.params["run"])

    def progress(rows: int) -> None:
        job.done = rows
        job.save(update_fields=["done"])

    try:
        if run.applied_line == 0 and not staging.stage(run, deadline, progress):
            return False
        if run.applied_line == 0 and run.rows_read > MANY:
            _know_rows()
    except UserError:
        run.state = ImportState.FAILED
        run.save(update_fields=["state"])
        raise
    job.total = run.rows_read
    while (part := _next_slice(run)) is not None:
        with transaction.atomic():
            import_kind(run.kind).worker.judge(part)
            _count(run, part)
            _reached(job, run, part)
        if clock.wall() >= deadline:
            return False
    _end(run, ImportState.CHECKED)
    return True


def run_step(job: Job, deadline: datetime) -> bool:
    """Bring in further slices, then write the reject file."""
    run = ImportRun.objects.get(pk=job.params["run"])
    worker, by = import_kind(run.kind).worker, Actor(*job.params["actor"])
    while (part := _next_slice(run)) is not None:
        with transaction.atomic(), _told(run):
            worker.lock(part)
            worker.confirm(part)
            worker.apply(part, by=by, now=clock.now())
            _count(run, part)
            _reached(job, run, part)
        if clock.wall() >= deadline:
            return False
    job.file_path = _reject_file(run)
    with transaction.atomic():
        run.finished_at = clock.now()
        _end(run, ImportState.DONE)
        audit.record("import.finished", run, by=by, **{name: getattr(run, name) for name in ("rows_read", *_FIGURES)})
    return True


def undo_step(job: Job, deadline: datetime) -> bool:
    """Take back further slices."""
    run = ImportRun.objects.get(pk=job.params["run"])
    worker, by = import_kind(run.kind).worker, Actor(*job.params["actor"])
    while (part := _next_slice(run)) is not None:
        with transaction.atomic(), _told(run):
            worker.undo(part, by=by, now=clock.now())
            done = part.rows().filter(outcome__in=(Outcome.CREATED, Outcome.UPDATED))
            counted = dict(done.order_by().values_list("is_kept").annotate(n=Count("pk")))
            run.rows_undone += counted.get(False, 0)
            run.rows_kept += counted.get(True, 0)
            _reached(job, run, part, ("rows_undone", "rows_kept"))
        if clock.wall() >= deadline:
            return False
    run.undone_at = clock.now()
    _end(run, ImportState.UNDONE)
    return True


def _know_rows() -> None:
    """Many rows of a run nobody has statistics of: without them each slice would be planned as if it were the whole table."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {connection.ops.quote_name(ImportRow._meta.db_table)}")


def _next_slice(run: ImportRun) -> Slice | None:
    rows, kind = run.rows.filter(line__gt=run.applied_line), import_kind(run.kind)
    full = rows.order_by("line").values_list("line", flat=True)[kind.slice_rows - 1 : kind.slice_rows]
    until = next(iter(full), None) or rows.aggregate(last=Max("line"))["last"]
    if until is None:
        return None
    part = Slice(run, run.applied_line, until)
    return replace(part, until=kind.narrow(part)) if kind.narrow else part


def _told(run: ImportRun) -> Any:
    """Nobody's rules act on an import unless its owner asked for it; segments and lists take note all the same."""
    return nullcontext() if run.acts else dirty.told_by("backfill")


def _count(run: ImportRun, part: Slice) -> None:
    counted = dict(part.rows().order_by().values_list("outcome").annotate(n=Count("pk")))
    for name in _FIGURES:
        setattr(run, name, getattr(run, name) + counted.get(name.removeprefix("rows_"), 0))


def _reached(job: Job, run: ImportRun, part: Slice, figures: Sequence[str] = _FIGURES) -> None:
    run.applied_line = part.until
    run.save(update_fields=["applied_line", *figures])
    job.done = sum(getattr(run, name) for name in figures)
    job.save(update_fields=["done", "total"])


def _end(run: ImportRun, state: ImportState) -> None:
    run.state = state
    run.save(update_fields=["state", "finished_at", "undone_at"])


def _reject_file(run: ImportRun) -> str:
    """Where the rows that did not come in stand; nowhere when all did."""
    if not run.rows_rejected:
        return ""
    path = tenant_dir("imports") / f"rejects-{run.pk}.csv"
    with path.open("wb") as file:
        files.write_rejects(run, file)
    return str(path.relative_to(settings.MEDIA_ROOT))
