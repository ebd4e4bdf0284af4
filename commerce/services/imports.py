"""Importing orders from a file: good rows come in, bad ones go to a reject file with their reasons, and the totals add up."""

import csv
import hashlib
import io
import re
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from commerce.models import OrderImport
from commerce.services.columns import BadRow, Reader
from commerce.services.files import MAX_BYTES, PROBLEM, check_file, read_heads, read_rows
from commerce.services.orders import upsert_orders
from commerce.services.rows import OrderRow
from contacts import longjobs
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.sheets import as_text
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant
from tenants.ledger.models import Job
from tenants.paths import tenant_dir

KIND = "orders.import"
CHUNK = 500
_SOURCE = re.compile(r"[\w\-]{1,24}")


def start_import(upload: Any, source: str, *, by: Actor) -> OrderImport:
    """Keep the file, look at its head, and start the job. Raises UserError for a file or source that cannot work.

    upload: an uploaded file (name, size, chunks()).
    """
    if not _SOURCE.fullmatch(source):
        raise UserError(_("来源名称只能用 24 个以内的字母、数字、汉字、下划线或短横线。"))
    if upload.size > MAX_BYTES:
        raise UserError(_("文件超过 %(mb)d MB,请拆分后分别导入。") % {"mb": MAX_BYTES // 1024 // 1024})
    path, digest = _keep(upload)
    try:
        check_file(path)
    except UserError:
        path.unlink(missing_ok=True)
        raise
    return _start(path, digest, upload.name, source, by)


def _keep(upload: Any) -> tuple[Path, str]:
    digest = hashlib.sha256()
    path = tenant_dir("imports") / f"{clock.wall():%Y%m%d%H%M%S%f}.upload"
    with path.open("wb") as file:
        for chunk in upload.chunks():
            digest.update(chunk)
            file.write(chunk)
    return path, digest.hexdigest()


@transaction.atomic
def _start(path: Path, digest: str, name: str, source: str, by: Actor) -> OrderImport:
    record = OrderImport.objects.create(
        source=source, file_name=name[:200], file_digest=digest, created_at=clock.now(),
        created_by_id=by.id if by.kind == "user" else None,
    )  # fmt: skip
    params = {
        "import_id": record.pk,
        "path": str(path.relative_to(settings.MEDIA_ROOT)),
        "actor": [by.kind, by.id, by.name],
    }
    job = longjobs.start(KIND, _("导入订单 %(name)s") % {"name": name}, params=params, by=by)
    record.job_id = job.pk
    record.save(update_fields=["job_id"])
    audit.record("orders.imported", record, by=by, source=source, file=name)
    return record


def import_step(job: Job, deadline: datetime) -> bool:
    """Work off chunks until the slice is over. Counters, orders and the place in the file are committed together, so a
    killed worker repeats at most one chunk, which changes nothing the second time."""
    path = Path(settings.MEDIA_ROOT) / job.params["path"]
    record = OrderImport.objects.get(pk=job.params["import_id"])
    if job.total is None:
        job.total = sum(1 for _row in read_rows(path))
        job.save(update_fields=["total"])
    tenant = current_tenant()
    reader = Reader.load(zone=tenant.time_zone, currency=tenant.currency, now=clock.now())
    by = Actor(*job.params["actor"])
    rejects = tenant_dir("imports") / f"rejects-{record.pk}.csv"
    chunk: list[tuple[int, list[str], OrderRow | str]] = []
    seen: dict[str, int] = {}
    for index, (line, raw, cells) in enumerate(read_rows(path)):
        judged = _judge(reader, cells, line, seen)
        if index < job.done:
            continue  # done by an earlier step; read again only to know the numbers seen
        chunk.append((line, raw, judged))
        if len(chunk) == CHUNK:
            _work_off(job, record, chunk, rejects, path, by)
            chunk = []
            if clock.wall() >= deadline:
                return False
    _work_off(job, record, chunk, rejects, path, by)
    _finish(job, record, rejects, path)
    return True


def _judge(reader: Reader, cells: dict[str, Any], line: int, seen: dict[str, int]) -> OrderRow | str:
    """The order, or why not."""
    if PROBLEM in cells:
        return str(cells[PROBLEM])
    try:
        row = reader.read(cells)
    except BadRow as problem:
        return str(problem)
    first = seen.setdefault(row.number, line)
    return row if first == line else _("订单号与第 %(line)d 行重复") % {"line": first}


@transaction.atomic
def _work_off(
    job: Job,
    record: OrderImport,
    chunk: list[tuple[int, list[str], OrderRow | str]],
    rejects: Path,
    path: Path,
    by: Actor,
) -> None:
    good = [judged for _line, _raw, judged in chunk if isinstance(judged, OrderRow)]
    report = upsert_orders(good, source=record.source, by=by, collect=True)
    bad = [(line, raw, reason) for line, raw, judged in chunk if (reason := _reason(judged, report.rejected))]
    offset = _write_rejects(rejects, int(job.result.get("reject_bytes", 0)), bad, path)
    record.rows_read += len(chunk)
    record.rows_created += len(report.created)
    record.rows_updated += len(report.updated)
    record.rows_unchanged += len(report.unchanged)
    record.rows_rejected += len(bad)
    record.rows_unbound += report.unbound
    record.save(
        update_fields=["rows_read", "rows_created", "rows_updated", "rows_unchanged", "rows_rejected", "rows_unbound"]
    )
    job.done += len(chunk)
    job.result = {**job.result, "reject_bytes": offset}
    job.save(update_fields=["done", "result"])


def _reason(judged: OrderRow | str, rejected: dict[str, str]) -> str:
    return judged if isinstance(judged, str) else rejected.get(judged.number, "")


def _write_rejects(rejects: Path, offset: int, bad: list[tuple[int, list[str], str]], path: Path) -> int:
    """Append to the reject file behind what the last committed chunk wrote; the new length."""
    if not bad and not offset:
        return 0
    text = io.StringIO()
    writer = csv.writer(text)
    if not offset:
        writer.writerow([_("行号"), _("未导入原因"), *read_heads(path)])
    writer.writerows([line, reason, *map(as_text, raw)] for line, raw, reason in bad)
    with _opened(rejects) as file:
        file.truncate(offset)
        file.seek(offset)
        file.write((b"" if offset else "\ufeff".encode()) + text.getvalue().encode())
        return file.tell()


def _opened(path: Path) -> BinaryIO:
    return path.open("r+b" if path.exists() else "w+b")


def _finish(job: Job, record: OrderImport, rejects: Path, path: Path) -> None:
    record.finished_at = clock.now()
    record.reject_path = str(rejects.relative_to(settings.MEDIA_ROOT)) if record.rows_rejected else ""
    record.save(update_fields=["finished_at", "reject_path"])
    path.unlink(missing_ok=True)  # the orders are in; the file holds phones and is not needed any more
    job.file_path = record.reject_path
