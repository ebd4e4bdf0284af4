"""Files of customers: made in the background, page by page in flat memory, for whoever asked and nobody else, until they expire.

A Source says what stands in a file; how it is written, resumed, watermarked and given out is the same for all. Each page commits how
long the file is, so that after a crash it is cut back to that and continued.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.http import QueryDict
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.scope import DataScope, scope_as_json, scope_from_json
from contacts import export_columns, listing, longjobs
from contacts.queries import listed_contacts
from contacts.services import export_limits
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from scrm.lib.sheets import MAX_XLSX_ROWS, SHEET_BEGIN, SHEET_END, Cell, csv_rows, pack_xlsx, sheet_rows
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant
from tenants.ledger.models import Job
from tenants.paths import tenant_dir

KIND = "contacts.export"
PAGE = 5000  # rows held at a time
FILES = "export_files"  # the retention kind of the files
FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
Rows = Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Source:
    """heads(params) is the first line. page(params, after) is the rows behind a cursor and the next cursor, None at the end."""

    name: str  # begins the file's name
    heads: Callable[[Mapping[str, Any]], list[str]]
    page: Callable[[Mapping[str, Any], Any], tuple[Rows, Any]]


_sources: dict[str, Source] = {}


def register(kind: str, source: Source) -> None:
    """A further kind of file; its long job runs by the same steps."""
    _sources[kind] = source
    longjobs.register(kind, export_step)


def start(
    kind: str, title: str, params: Mapping[str, Any], count: int, *, by: Actor, permissions: frozenset[str], file_format: str
) -> Job:  # fmt: skip
    """Begin a file, in the caller's transaction. Raises UserError for a format we do not write or that cannot hold so many rows, and
    when it is more than she may take along that day."""
    if file_format not in FORMATS:
        raise UserError(_("请选择 CSV 或 Excel 格式。"))
    if file_format == "xlsx" and count > MAX_XLSX_ROWS - 2:  # the heads and the watermark
        raise UserError(
            _("Excel 一张表最多 %(most)s 行,请选 CSV,或加上筛选分几次导出。") % {"most": f"{MAX_XLSX_ROWS:,}"}
        )
    if export_limits.BEYOND not in permissions:
        export_limits.check(count, list(_sources), by=by)
    known = {"format": file_format, "who": clean_text(by.name, 80), "language": translation.get_language() or "zh-hans"}
    return longjobs.start(kind, title, params={**params, **known}, by=by, total=count)


# --- Customers --------------------------------------------------------------------------------------------------


@transaction.atomic
def request_export(
    query: str, scope: DataScope, *, by: Actor, permissions: frozenset[str], ids: Sequence[int] = (), keys: Sequence[str] = (),
    file_format: str = "csv", is_unmasked: bool = False,
) -> Job:  # fmt: skip
    """Start the export of what the filters find within the scope; audited with the filter, the count and what was shown whole.

    ids: only these of them. keys: the columns wanted, all that the permissions allow by default. Whole phone numbers only with contacts.unmask.
    """
    allowed = [one.key for one in export_columns.columns(permissions)]
    chosen = [key for key in allowed if key in set(keys)] or allowed
    is_unmasked = is_unmasked and "contacts.unmask" in permissions and "phone" in chosen
    params = {
        "query": query,
        "ids": list(ids),
        "scope": scope_as_json(scope),
        "columns": chosen,
        "is_unmasked": is_unmasked,
    }
    count = _chosen(params).count()
    title = _("导出客户 %(count)s 位") % {"count": f"{count:,}"}
    job = start(KIND, title, params, count, by=by, permissions=permissions, file_format=file_format)
    audit.record(
        "contacts.exported",
        job,
        by=by,
        query=query,
        count=count,
        format=file_format,
        columns=chosen,
        unmasked=is_unmasked,
    )
    return job


def _heads(params: Mapping[str, Any]) -> list[str]:
    return [str(column.label) for column in export_columns.named(params["columns"])]


def _people(params: Mapping[str, Any], after: Any) -> tuple[Rows, Any]:
    people = _chosen(params).filter(pk__gt=after or 0).order_by("pk")[:PAGE]
    columns, zone = export_columns.named(params["columns"]), current_tenant().time_zone
    rows, last = export_columns.rows_of(people, columns, zone, is_unmasked=params["is_unmasked"])
    return rows, last if len(rows) == PAGE else None


def _chosen(params: Mapping[str, Any]) -> Any:
    people = listing.narrowed(listed_contacts(scope_from_json(params["scope"])), QueryDict(params["query"]))
    return people.filter(pk__in=params["ids"]) if params.get("ids") else people


CUSTOMERS = Source("contacts", _heads, _people)


# --- How any file is made ---------------------------------------------------------------------------------------

# What the jobs of an earlier release, which may be under way during an upgrade, do not say.
_EARLIER = {
    "format": "csv", "who": "", "language": "zh-hans", "is_unmasked": False,
    "columns": ["id", "name", "remark", "gender", "stage", "owner", "store", "first_added", "added", "friends"],
}  # fmt: skip


def export_step(job: Job, deadline: datetime) -> bool:
    """Write further pages until the slice is over; at the end the watermark, and the file can be fetched."""
    job.params = _EARLIER | job.params
    source, is_xlsx = _sources[job.kind], job.params["format"] == "xlsx"
    path = tenant_dir("exports") / f"{source.name}-{job.pk}.part"
    if not path.exists():  # the first step, or what was written is lost: from the beginning
        job.done, job.result = 0, {key: value for key, value in job.result.items() if key == "failures"}
    job.file_path = str(path.relative_to(settings.MEDIA_ROOT))  # what a failed job leaves behind expires, too
    with translation.override(job.params["language"]), path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(int(job.result.get("bytes", 0)))
        file.seek(0, io.SEEK_END)
        heads = source.heads(job.params)
        if not file.tell():
            file.write(SHEET_BEGIN + sheet_rows([heads], 1) if is_xlsx else "\ufeff".encode() + csv_rows([heads]))
        while not job.result.get("is_last"):
            if clock.wall() >= deadline:
                return False
            rows, after = source.page(job.params, job.result.get("after"))
            file.write(sheet_rows(rows, job.done + 2) if is_xlsx else csv_rows(rows))
            file.flush()
            job.done += len(rows)
            job.result = {**job.result, "bytes": file.tell(), "after": after, "is_last": after is None}
            job.save(update_fields=["done", "result", "file_path"])
        note = [[_watermark(job), *[""] * (len(heads) - 1)]]
        file.write(sheet_rows(note, job.done + 2) + SHEET_END if is_xlsx else csv_rows(note))
    _finish(job, path)
    return True


def _watermark(job: Job) -> str:
    """Who took this along, when, and from where: the last line, in plain sight."""
    at = job.created_at.astimezone(ZoneInfo(current_tenant().time_zone))
    text = _("%(merchant)s · %(who)s 于 %(at)s 导出 · 编号 %(number)d · 共 %(count)d 行 · 含客户信息,请勿外传")
    return text % {
        "merchant": current_tenant().name, "who": job.params["who"] or "—", "at": at.strftime("%Y-%m-%d %H:%M"),
        "number": job.pk, "count": job.done,
    }  # fmt: skip


def _finish(job: Job, path: Path) -> None:
    target = path.with_suffix(f".{job.params['format']}")
    if job.params["format"] == "xlsx":
        pack_xlsx(path, target)
        path.unlink()
    else:
        path.replace(target)
    job.file_path = str(target.relative_to(settings.MEDIA_ROOT))


# --- Giving it out ----------------------------------------------------------------------------------------------


def taken_today(user_id: int) -> int:
    """Customers in the files that somebody asked for today."""
    return export_limits.taken_today(user_id, list(_sources))


def own_jobs(user_id: int) -> Any:
    """The files somebody asked for, latest first."""
    return Job.objects.filter(kind__in=list(_sources), created_by_id=user_id).order_by("-created_at", "-pk")


def kept_until(job: Job, days: int) -> datetime | None:
    """Until when a finished file can be fetched; the nightly clearing takes it away after that."""
    return job.finished_at + timedelta(days=days) if job.finished_at else None


def file_of(job: Job, days: int) -> Path | None:
    """The finished file of a job, unless it is older than so many days."""
    until = kept_until(job, days)
    return stored_file(job) if job.state == Job.State.DONE and until and clock.now() <= until else None


def stored_file(job: Job) -> Path | None:
    """A long job's file, if it still stands within the tenant's own folder."""
    if not job.file_path:
        return None
    path = (Path(settings.MEDIA_ROOT) / job.file_path).resolve()
    own = (Path(settings.MEDIA_ROOT) / current_tenant().schema_name).resolve()
    return path if path.is_relative_to(own) and path.is_file() else None


def format_of(job: Job) -> str:
    """A key of FORMATS; files begun by an earlier release are CSV."""
    return str(job.params.get("format", "csv"))
