"""Rows on their way into a spreadsheet: cells no program runs as a formula, and files written row by row, never held as a whole."""

import csv
import io
import re
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path
from xml.sax.saxutils import escape

Cell = str | int | Decimal
# Full-width signs too: Excel takes them for the plain ones in East Asian locales.
_RISKY = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
MAX_XLSX_ROWS = 1_048_576  # of one sheet (ECMA-376, Excel's own limit)
_MAX_CELL = 32_767
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_text(cell: str) -> str:
    """The cell so that no spreadsheet runs it as a formula; order files are read back without the mark."""
    return "'" + cell if cell[:1] in _RISKY else cell


def csv_rows(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Lines of a CSV file; numbers stay as they are."""
    text = io.StringIO()
    # as_text, but for the call: a file has millions of cells.
    csv.writer(text).writerows(
        ["'" + cell if isinstance(cell, str) and cell[:1] in _RISKY else cell for cell in row] for row in rows
    )
    return text.getvalue().encode()


# --- XLSX: the sheet grows as a plain file that can be cut back and continued, and is packed at the end ----------

_SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
SHEET_BEGIN = (
    f'{_XML}<worksheet xmlns="{_SPREADSHEET}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
).encode()
SHEET_END = b"</sheetData></worksheet>"
_PARTS = {
    "[Content_Types].xml": (
        f'{_XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPES}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'{_XML}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'{_XML}<workbook xmlns="{_SPREADSHEET}" xmlns:r="{_OFFICE}">'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'{_XML}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}


def sheet_rows(rows: Iterable[Sequence[Cell]], first: int) -> bytes:
    """Rows of a sheet's XML, numbered from `first` (1 is the head line)."""
    return "".join(_row(row, number) for row, number in zip(rows, count(first), strict=False)).encode()


def _row(row: Sequence[Cell], number: int) -> str:
    cells = "".join(_cell(cell, f"{_letters(index)}{number}") for index, cell in enumerate(row) if cell != "")
    return f'<row r="{number}">{cells}</row>'


def _cell(cell: Cell, place: str) -> str:
    if not isinstance(cell, str):
        return f'<c r="{place}"><v>{cell}</v></c>'
    text = escape(_NOT_XML.sub("", as_text(cell))[:_MAX_CELL])
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _letters(index: int) -> str:
    """0 → A, 26 → AA."""
    return (_letters(index // 26 - 1) if index >= 26 else "") + chr(65 + index % 26)


def pack_xlsx(sheet: Path, target: Path) -> None:
    """Make the workbook of a finished sheet, without reading it into memory."""
    draft = target.with_suffix(".packing")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in _PARTS.items():
            archive.writestr(name, text)
        with sheet.open("rb") as source, archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            shutil.copyfileobj(source, part, 1024 * 1024)
    draft.replace(target)
