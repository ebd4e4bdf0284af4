"""Rows of the file become ImportRows, by COPY in slices. The run remembers the last line staged, with the rows."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from contacts.models import ImportRow, ImportRun, Outcome
from contacts.services.imports.cells import plain
from contacts.services.imports.files import MAX_ROWS, path_of
from contacts.services.imports.registry import BadCell, Read, columns_of, import_kind
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text, insert_rows
from scrm.lib.errors import UserError
from scrm.lib.tables import Line, read_lines

SLICE = 5000
_CUSTOM = "custom."


def stage(run: ImportRun, deadline: datetime, progress: Callable[[int], None]) -> bool:
    """Stage what is not staged yet; True when the whole file is. progress(rows so far) is called inside each slice's
    transaction. Raises UserError for a file that is too long."""
    if run.staged_line == 0:
        ImportRow.objects.filter(run=run)._raw_delete(run._state.db)  # of a trial with other columns
    lines = read_lines(path_of(run))
    next(lines, None)
    parse = _parser(run)
    while part := list(islice(lines, SLICE)):
        if part[-1].number <= run.staged_line:
            continue  # staged by an earlier step
        fresh = [line for line in part if line.number > run.staged_line]
        rows = [parse(line) for line in fresh]
        with transaction.atomic():
            insert_rows(ImportRow, rows)
            run.staged_line = fresh[-1].number
            run.rows_read += len(rows)
            if run.rows_read > MAX_ROWS:
                raise UserError(_("文件超过 %(limit)s 行,请拆分后分别导入。") % {"limit": f"{MAX_ROWS:,}"})
            run.save(update_fields=["staged_line", "rows_read"])
            progress(run.rows_read)
        if clock.wall() >= deadline:
            return False
    return True


def _parser(run: ImportRun) -> Callable[[Line], dict[str, Any]]:
    """Turns lines into rows, knowing where each column stands."""
    columns = columns_of(import_kind(run.kind), run.heads)
    mapped = [(columns[key], position) for key, position in run.mapping.items() if key in columns]
    keys = [(one.key, position, one.reader()) for one, position in mapped if one.is_key]
    places = [(one.key, position, one.reader(), one.names[0]) for one, position in mapped if not one.is_key]
    needed = [(position, one.names[0]) for one, position in mapped if one.is_required]

    def parse(line: Line) -> dict[str, Any]:
        problems = [line.problem] if line.problem else []
        key_kind, key, values = "", "", {}
        if not problems:
            cells = line.cells
            key_kind, key = _key(keys, cells, problems)
            values = _values(places, cells, problems)
            problems += [_("缺少%(label)s") % {"label": label} for at, label in needed if not _cell(cells, at)]
        return {
            "run_id": run.pk, "line": line.number, "key_kind": key_kind, "key": key, "values": values,
            "target_id": None, "changes": {}, "seen": None, "outcome": Outcome.REJECTED.value if problems else "",
            "problem": clean_text(";".join(problems), 400), "is_broken": bool(problems), "is_kept": False,
        }  # fmt: skip

    return parse


def _cell(cells: Sequence[Any], position: int) -> Any:
    return plain(cells[position]) if position < len(cells) else ""


def _key(keys: list[tuple[str, int, Read]], cells: Sequence[Any], problems: list[str]) -> tuple[str, str]:
    for name, position, read in keys:
        value = _cell(cells, position)
        if value:
            try:
                return name, str(read(value))
            except BadCell as problem:
                problems.append(str(problem))
                return "", ""
    problems.append(_("没有写是谁或是哪一家"))
    return "", ""


def _values(places: list[tuple[str, int, Read, str]], cells: Sequence[Any], problems: list[str]) -> dict[str, Any]:
    """What the row wants; an empty cell wants nothing."""
    values: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    for key, position, read, _label in places:
        value = _cell(cells, position)
        if value == "":
            continue
        try:
            if key.startswith(_CUSTOM):
                custom[key.removeprefix(_CUSTOM)] = read(value)
            else:
                values[key] = read(value)
        except BadCell as problem:
            problems.append(str(problem))
    return values | {"custom": custom} if custom else values
