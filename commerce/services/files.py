"""Reading an order file row by row, whatever a shop exported: CSV in UTF-8 or GBK, or XLSX. Never the whole file at once."""

import csv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from openpyxl import load_workbook

from commerce.services.columns import COLUMNS, REQUIRED, match_heads
from scrm.lib.errors import UserError

MAX_BYTES = 20 * 1024 * 1024
MAX_UNPACKED = 300 * 1024 * 1024
MAX_STRINGS = 60 * 1024 * 1024  # of an XLSX, which are held in memory
MAX_ROWS = 200_000
MAX_COLUMNS = 200
MAX_BLANK = 1_000  # rows one after the other: behind them nothing is looked for

Cells = dict[str, Any]


def read_rows(path: Path) -> Iterator[tuple[int, list[str], Cells]]:
    """(line number as a spreadsheet shows it, the raw cells, cells by column key) of each row that is not blank.

    Raises UserError for a file that is no table, lacks a required column, or is too long.
    """
    lines = _xlsx_lines(path) if zipfile.is_zipfile(path) else _csv_lines(path)
    heads: dict[str, int] | None = None
    count = blank = 0
    for number, cells in lines:
        if not any(str(cell if cell is not None else "").strip() for cell in cells):
            blank += 1
            if blank > MAX_BLANK:
                break
            continue
        blank = 0
        if heads is None:
            heads = _checked(match_heads([str(cell or "") for cell in cells]))
            continue
        count += 1
        if count > MAX_ROWS:
            raise UserError(_("文件超过 %(limit)s 行,请拆分后分别导入。") % {"limit": f"{MAX_ROWS:,}"})
        raw = ["" if cell is None else str(cell) for cell in cells]
        yield number, raw, {key: cells[index] if index < len(cells) else None for key, index in heads.items()}
    if heads is None:
        raise UserError(_("文件是空的,请使用模板填写后再上传。"))


def read_heads(path: Path) -> list[str]:
    """The head line as the file has it, for the reject file."""
    lines = _xlsx_lines(path) if zipfile.is_zipfile(path) else _csv_lines(path)
    for _number, cells in lines:
        if any(str(cell if cell is not None else "").strip() for cell in cells):
            return [str(cell or "") for cell in cells]
    return []


def check_file(path: Path) -> None:
    """Look at the head of a file at once, so that a wrong one is refused while its owner still looks. Raises UserError."""
    next(read_rows(path), None)


def _checked(heads: dict[str, int]) -> dict[str, int]:
    missing = [COLUMNS[key][0] for key in REQUIRED if key not in heads]
    if missing:
        raise UserError(_("缺少必需的列:%(columns)s。请下载模板对照表头。") % {"columns": "、".join(missing)})
    return heads


def _csv_lines(path: Path) -> Iterator[tuple[int, list[Any]]]:
    with path.open(encoding=_encoding(path), newline="") as file:
        head = file.read(4096)
        file.seek(0)
        first = head.splitlines()[0] if head else ""
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise UserError(_("第 %(line)d 行无法读取,请检查引号是否成对。") % {"line": reader.line_num}) from error


def _encoding(path: Path) -> str:
    """UTF-8 if every byte of the file is, else GB 18030 (which holds GBK). Raises UserError for neither, or a binary file."""
    with path.open("rb") as file:
        if b"\x00" in file.read(4096):
            raise UserError(_("这不是 CSV 或 XLSX 文件,请另存为 CSV(UTF-8 或 GBK)或 XLSX。"))
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            with path.open(encoding=encoding) as file:
                while file.read(1 << 20):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    raise UserError(_("无法识别文件编码,请另存为 CSV(UTF-8 或 GBK)或 XLSX。"))


def _xlsx_lines(path: Path) -> Iterator[tuple[int, list[Any]]]:
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
            raise UserError(_("表格解压后过大,请拆分后分别导入,或另存为 CSV。"))
        if any(info.filename == "xl/sharedStrings.xml" and info.file_size > MAX_STRINGS for info in archive.infolist()):
            raise UserError(_("表格解压后过大,请拆分后分别导入,或另存为 CSV。"))
        if "[Content_Types].xml" not in archive.namelist():
            raise UserError(_("这不是 CSV 或 XLSX 文件,请另存为 CSV(UTF-8 或 GBK)或 XLSX。"))
    with path.open("rb") as stream:  # by name it would insist on the .xlsx suffix
        try:
            book = load_workbook(stream, read_only=True, data_only=True)
        except (KeyError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(_("表格已损坏或不是 XLSX 格式,请重新导出。")) from error
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size may be a million rows of nothing
        for number, row in enumerate(sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS), start=1):
            yield number, list(row)
