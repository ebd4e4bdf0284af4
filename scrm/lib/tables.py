"""Reading a table row by row, whatever somebody saved it as: CSV in UTF-8 or GB 18030, or XLSX. Never the whole file at once.

A line that cannot be read is one line with its problem; those behind it are read all the same.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import ParseError, fromstring

from django.utils.translation import gettext as _
from openpyxl import load_workbook

from scrm.lib.errors import UserError

MAX_UNPACKED = 300 * 1024 * 1024
MAX_HELD = 60 * 1024 * 1024  # of an XLSX what is held in memory: its strings and whatever else is no sheet
MAX_INDEX = 1024 * 1024
_INDEX = "[Content_Types].xml"
MAX_COLUMNS = 200
MAX_BLANK = 1_000  # rows one after the other: behind them nothing is looked for
MAX_LINE = 1 << 20  # characters of one line
MAX_FOLDED = 50  # lines that one quoted cell may run over; behind them its first quote was a slip
_SAMPLE = 20_000  # lines by which the encoding is told
_BROKEN = (
    KeyError,
    ValueError,
    IndexError,
    EOFError,
    ParseError,
    zipfile.BadZipFile,
    zlib.error,
)  # what openpyxl and zipfile raise


class Line(NamedTuple):
    """number: as a spreadsheet shows it. problem: why it cannot be read; then the cells are what could be made out."""

    number: int
    cells: list[Any]
    problem: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """Every line that is not blank. Raises UserError for a file that is no table."""
    blank = 0
    for line in _xlsx_lines(path) if zipfile.is_zipfile(path) else _csv_lines(path):
        if line.problem or any(str(cell if cell is not None else "").strip() for cell in line.cells):
            blank = 0
            yield line
        else:
            blank += 1
            if blank > MAX_BLANK:
                return


def texts(line: Line) -> list[str]:
    """The cells as they stand in the file."""
    return ["" if cell is None else str(cell) for cell in line.cells]


# --- CSV ------------------------------------------------------------------------------------------------------------


def _csv_lines(path: Path) -> Iterator[Line]:
    with path.open(encoding=_encoding(path), errors="surrogateescape", newline="") as file:
        head = file.read(4096)
        file.seek(0)
        first = head.splitlines()[0] if head else ""
        delimiter = max(",;\t", key=first.count)
        yield from _records(file, delimiter)


def _records(file: io.TextIOWrapper, delimiter: str) -> Iterator[Line]:
    """A line is a row, unless a quoted cell runs on to the next ones. How many cells the first row has tells whether it does."""
    for line in _read_records(file, delimiter):
        yield line._replace(cells=[_storable(cell) for cell in line.cells]) if line.problem else line


def _read_records(file: io.TextIOWrapper, delimiter: str) -> Iterator[Line]:
    number, width = 0, 0
    waiting: list[str] = []
    while True:
        text = waiting.pop() if waiting else file.readline(MAX_LINE)
        if not text:
            return
        number += 1
        if len(text) >= MAX_LINE:
            while not text.endswith("\n") and (text := file.readline(MAX_LINE)):
                pass
            yield Line(number, [], _("这一行过长"))
        elif '"' not in text:
            cells = text.rstrip("\r\n").split(delimiter)
            yield Line(number, cells, _unreadable(text))
            width = width or len(cells)
        else:
            more = [] if text.count('"') % 2 == 0 else _folded(file, waiting, text)
            whole = "".join([text, *more])
            parsed = _parsed(whole, delimiter)
            if parsed is None or (more and width and len(parsed) != width):
                waiting.extend(reversed(more))
                yield Line(number, [text.rstrip("\r\n")], _unreadable(text) or _("引号不成对"))
                continue
            yield Line(number, parsed, _unreadable(whole))
            width = width or len(parsed)
            number += len(more)


def _folded(file: io.TextIOWrapper, waiting: list[str], text: str) -> list[str]:
    """The lines behind, as far as the one that closes the quote."""
    more: list[str] = []
    quotes = text.count('"')
    while quotes % 2 and len(more) < MAX_FOLDED:
        following = waiting.pop() if waiting else file.readline(MAX_LINE)
        if not following:
            break
        more.append(following)
        quotes += following.count('"')
    return more


def _parsed(text: str, delimiter: str) -> list[Any] | None:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _storable(text: str) -> str:
    """What of a broken cell can be shown and written to a file."""
    return text.encode("utf-8", "replace").decode()


def _unreadable(text: str) -> str:
    """A byte that is no character of the encoding came through as a lone surrogate, which nothing can store."""
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _("有无法识别的字符")
    return ""


def _encoding(path: Path) -> str:
    """UTF-8 where the lines that are not plain ASCII are, else GB 18030 (which holds GBK). Raises UserError for neither, or a
    binary file. One broken line does not make the file another one."""
    with path.open("rb") as file:
        if b"\x00" in file.read(4096):
            raise UserError(_("这不是 CSV 或 XLSX 文件,请另存为 CSV(UTF-8 或 GBK)或 XLSX。"))
        file.seek(0)
        lines = [line for line in islice(file, _SAMPLE) if not line.isascii()]
    for encoding in ("utf-8-sig", "gb18030"):
        if 2 * sum(_decodes(line, encoding) for line in lines) >= len(lines):
            return encoding
    raise UserError(_("无法识别文件编码,请另存为 CSV(UTF-8 或 GBK)或 XLSX。"))


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


# --- XLSX -----------------------------------------------------------------------------------------------------------


def _xlsx_lines(path: Path) -> Iterator[Line]:
    try:
        yield from _sheet_lines(path)
    except _BROKEN as error:  # of a file cut short this comes to light in the middle of its rows
        raise UserError(_("表格已损坏或不是 XLSX 格式,请重新导出。")) from error


def _sheet_lines(path: Path) -> Iterator[Line]:
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
            raise UserError(_("表格解压后过大,请拆分后分别导入,或另存为 CSV。"))
        if _INDEX not in archive.namelist():
            raise UserError(_("这不是 CSV 或 XLSX 文件,请另存为 CSV(UTF-8 或 GBK)或 XLSX。"))
        if _held(archive) > MAX_HELD:
            raise UserError(_("表格解压后过大,请拆分后分别导入,或另存为 CSV。"))
    with path.open("rb") as stream:  # by name it would insist on the .xlsx suffix
        book = load_workbook(stream, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size may be a million rows of nothing
        for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
            yield Line(number, list(row[:MAX_COLUMNS]))


def _held(archive: zipfile.ZipFile) -> int:
    """Bytes that are unpacked into memory: all but the sheets, which are read row by row, and pictures, which are not read. The index
    says which is which; a part may have any name. Raises UserError for an index that cannot be read."""
    if archive.getinfo(_INDEX).file_size > MAX_INDEX:
        raise UserError(_("表格已损坏或不是 XLSX 格式,请重新导出。"))
    try:
        index = fromstring(archive.read(_INDEX))  # noqa: S314  # small, and expat bounds what entities grow to
    except (ParseError, zipfile.BadZipFile) as error:
        raise UserError(_("表格已损坏或不是 XLSX 格式,请重新导出。")) from error
    sheets, others = set[str](), set[str]()
    for part in index:
        is_sheet = part.get("ContentType", "").endswith(".worksheet+xml")
        (sheets if is_sheet else others).add(part.get("PartName", "").removeprefix("/"))
    return sum(
        info.file_size
        for info in archive.infolist()
        if info.filename in others or not (info.filename in sheets or info.filename.startswith("xl/media/"))
    )
