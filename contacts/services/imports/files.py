"""The file itself: kept, looked at, its columns matched, and deleted when it is not needed any more."""

import csv
import hashlib
import io
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.translation import gettext as _

from contacts.models import ImportHead, ImportRow, ImportRun
from contacts.services.imports.registry import Kind, columns_of, guess, plain_head
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text
from scrm.lib.errors import UserError
from scrm.lib.sheets import as_text
from scrm.lib.tables import Line, read_lines, texts
from tenants.paths import tenant_dir

MAX_BYTES = 200 * 1024 * 1024
MAX_ROWS = 1_000_000
SHOWN = 5  # rows of the file on the mapping page
_BATCH = 5000


def keep(upload: Any) -> tuple[Path, str]:
    """Store an uploaded file (name, size, chunks()); its place and digest. Raises UserError for one too large or no table."""
    if upload.size > MAX_BYTES:
        raise UserError(_("文件超过 %(mb)d MB,请拆分后分别导入。") % {"mb": MAX_BYTES // 1024 // 1024})
    digest = hashlib.sha256()
    path = tenant_dir("imports") / f"{clock.wall():%Y%m%d%H%M%S%f}.upload"
    with path.open("xb") as file:
        for chunk in upload.chunks():
            digest.update(chunk)
            file.write(chunk)
    return path, digest.hexdigest()


def heads_of(path: Path) -> list[str]:
    """The first line's cells. Raises UserError for an empty file, or one whose head cannot be read."""
    lines = read_lines(path)
    first = next(lines, None)
    if first is None or next(lines, None) is None:
        raise UserError(_("文件里没有数据行。第一行写列名,从第二行起写数据。"))
    if first.problem:
        raise UserError(_("第 1 行(列名)无法读取:%(problem)s。") % {"problem": first.problem})
    return [clean_text(head.strip().lstrip("\ufeff"), 100) for head in texts(first)]


def first_rows(path: Path) -> list[list[str]]:
    """Some rows to look at while columns are matched."""
    found: list[list[str]] = []
    for line in read_lines(path):
        found.append(texts(line))
        if len(found) > SHOWN:
            break
    return found[1:]


def path_of(run: ImportRun) -> Path:
    """Raises UserError when the file is deleted already."""
    path = Path(settings.MEDIA_ROOT) / run.file_path
    if not run.file_path or not path.is_file():
        raise UserError(_("文件已过保留期并删除,请重新上传。"))
    return path


def guessed(kind: Kind, heads: list[str]) -> dict[str, int]:
    """Column key → position, as the last file of the kind had it, else by names."""
    remembered = ImportHead.objects.filter(kind=kind.key, head__in=[plain_head(head) for head in heads])
    return guess(columns_of(kind, heads), heads, dict(remembered.values_list("head", "column")))


def remember(run: ImportRun) -> None:
    """What each head of the run's file stands for."""
    meant = {position: key for key, position in run.mapping.items()}
    rows = {plain_head(head): meant.get(position, "") for position, head in enumerate(run.heads) if head.strip()}
    ImportHead.objects.bulk_create(
        [ImportHead(kind=run.kind, head=head, column=rows[head]) for head in sorted(rows)],
        update_conflicts=True, unique_fields=["kind", "head"], update_fields=["column"],
    )  # fmt: skip


def template(kind: Kind) -> bytes:
    """An example file with every column."""
    columns = columns_of(kind).values()
    return "\ufeff".encode() + _csv([[column.names[0] for column in columns], [column.sample for column in columns]])


# --- What did not come in -------------------------------------------------------------------------------------------


def write_rejects(run: ImportRun, into: BinaryIO) -> int:
    """Every rejected row with its reason, as the file had it and safe for spreadsheets; how many. The file is read once more,
    beside the rejected lines in their order."""
    into.write("\ufeff".encode() + _csv([[_("行号"), _("未导入原因"), *run.heads]]))
    lines = iter(read_lines(path_of(run)))
    after = count = 0
    while True:
        rows = ImportRow.objects.filter(run=run, outcome="rejected", line__gt=after).order_by("line")
        part = dict(rows.values_list("line", "problem")[:_BATCH])
        if not part:
            return count
        after = max(part)
        into.write(_csv([[str(line.number), part[line.number], *texts(line)] for line in _picked(lines, part, after)]))
        count += len(part)


def _picked(lines: Any, wanted: dict[int, str], last: int) -> list[Line]:
    found: list[Line] = []
    for line in lines:
        if line.number in wanted:
            found.append(line)
        if line.number >= last:
            break
    return found


def _csv(lines: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([list(map(as_text, line)) for line in lines])
    return text.getvalue().encode()


def prune(before: datetime, limit: int) -> int:
    """Delete what runs older than a domain instant brought: file, rows. The run and its figures stay. How many."""
    runs = list(ImportRun.objects.filter(created_at__lt=before).exclude(file_path="").order_by("created_at")[:limit])
    for run in runs:
        (Path(settings.MEDIA_ROOT) / run.file_path).unlink(missing_ok=True)
        ImportRow.objects.filter(run=run)._raw_delete(run._state.db)
    ImportRun.objects.filter(pk__in=[run.pk for run in runs]).update(file_path="")
    return len(runs)
