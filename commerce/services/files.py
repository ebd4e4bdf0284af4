"""Reading an order file row by row: its columns by the names that shops give them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from commerce.services.columns import COLUMNS, REQUIRED, match_heads
from scrm.lib.errors import UserError
from scrm.lib.tables import read_lines, texts

MAX_BYTES = 20 * 1024 * 1024
MAX_ROWS = 200_000

Cells = dict[str, Any]
PROBLEM = "\x00problem"  # among the cells of a line that cannot be read: why not


def read_rows(path: Path) -> Iterator[tuple[int, list[str], Cells]]:
    """(line number as a spreadsheet shows it, the raw cells, cells by column key) of each row that is not blank.

    Raises UserError for a file that is no table, lacks a required column, or is too long.
    """
    heads: dict[str, int] | None = None
    count = 0
    for line in read_lines(path):
        if heads is None:
            heads = _checked(match_heads(texts(line)))
            continue
        count += 1
        if count > MAX_ROWS:
            raise UserError(_("文件超过 %(limit)s 行,请拆分后分别导入。") % {"limit": f"{MAX_ROWS:,}"})
        cells = line.cells
        if line.problem:
            yield line.number, texts(line), {PROBLEM: line.problem}
        else:
            found = {key: cells[index] if index < len(cells) else None for key, index in heads.items()}
            yield line.number, texts(line), found
    if heads is None:
        raise UserError(_("文件是空的,请使用模板填写后再上传。"))


def read_heads(path: Path) -> list[str]:
    """The head line as the file has it, for the reject file."""
    first = next(read_lines(path), None)
    return texts(first) if first else []


def check_file(path: Path) -> None:
    """Look at the head of a file at once, so that a wrong one is refused while its owner still looks. Raises UserError."""
    next(read_rows(path), None)


def _checked(heads: dict[str, int]) -> dict[str, int]:
    missing = [COLUMNS[key][0] for key in REQUIRED if key not in heads]
    if missing:
        raise UserError(_("缺少必需的列:%(columns)s。请下载模板对照表头。") % {"columns": "、".join(missing)})
    return heads
