"""Tables as people save them: encodings, folded cells, and lines that are broken without breaking the file."""

import io
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from scrm.lib import tables
from scrm.lib.errors import UserError
from scrm.lib.tables import Line, read_lines


def read(tmp_path: Path, body: bytes) -> list[Line]:
    path = tmp_path / "upload"
    path.write_bytes(body)
    return list(read_lines(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_is_read_in_every_common_encoding(tmp_path: Path, encoding: str) -> None:
    lines = read(tmp_path, "姓名,城市\n王小雨,上海\n\n李㐂,成都\n".encode(encoding))
    assert [(line.number, line.cells) for line in lines] == [
        (1, ["姓名", "城市"]),
        (2, ["王小雨", "上海"]),
        (4, ["李㐂", "成都"]),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_broken_byte_breaks_its_line_only(tmp_path: Path, encoding: str) -> None:
    body = "\n".join(["姓名,城市", *["王小雨,上海"] * 50]).encode(encoding).split(b"\n")
    body[30] = b"\xff\xff,x"
    lines = read(tmp_path, b"\n".join(body))
    assert len(lines) == 51
    assert [line.number for line in lines if line.problem] == [31]
    assert lines[-1].cells == ["王小雨", "上海"]


def test_an_open_quote_breaks_its_line_only(tmp_path: Path) -> None:
    lines = read(tmp_path, b'a,b\n1,"x\n' + b"2,y\n" * 200 + b'3,"z"\n')
    assert [line.number for line in lines if line.problem] == [2]
    assert len(lines) == 203
    assert lines[-1] == Line(203, ["3", "z"], "")


def test_a_quoted_cell_may_run_over_lines(tmp_path: Path) -> None:
    lines = read(tmp_path, 'a,b\n1,"上海\n静安, ""南京西路"""\n2,y\n'.encode())
    assert [(line.number, line.cells) for line in lines[1:]] == [(2, ["1", '上海\n静安, "南京西路"']), (4, ["2", "y"])]


def test_a_line_without_end_is_one_broken_line(tmp_path: Path) -> None:
    lines = read(tmp_path, b"a,b\n" + b"x" * 3_000_000 + b"\n1,2\n")
    assert [(line.number, bool(line.problem)) for line in lines] == [(1, False), (2, True), (3, False)]


def test_a_spreadsheet_is_read_by_content_whatever_its_name(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["a", "b"])
    book.active.append([None, None])
    book.active.append([1.5, "y"])
    body = io.BytesIO()
    book.save(body)
    assert [(line.number, line.cells) for line in read(tmp_path, body.getvalue())] == [(1, ["a", "b"]), (3, [1.5, "y"])]


@pytest.mark.parametrize("body", [b"\x89PNG\r\n\x00\x00", b"\xff\xfe\xff\xff\xff", b"PK\x05\x06" + b"\x00" * 18])
def test_what_is_no_table_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(UserError):
        read(tmp_path, body)


@pytest.mark.parametrize(
    ("part", "keep"),
    [("xl/worksheets/sheet1.xml", 0.5), ("xl/workbook.xml", 0.5), ("xl/styles.xml", 0.1), ("[Content_Types].xml", 0)],
)
def test_a_spreadsheet_with_a_broken_part_is_refused_with_a_sentence(tmp_path: Path, part: str, keep: float) -> None:
    book, whole, cut = Workbook(), io.BytesIO(), io.BytesIO()
    for number in range(50):
        book.active.append([number, "王小雨"])
    book.save(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(cut, "w") as target:
        for name in source.namelist():
            body = source.read(name)
            target.writestr(name, body[: int(len(body) * keep)] if name == part else body)
    with pytest.raises(UserError, match="表格已损坏"):
        read(tmp_path, cut.getvalue())


def test_a_workbook_cannot_fill_the_memory_whatever_its_parts_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Workbook()
    book.active.append(["姓名", "城市"])
    book.active.append(["王小雨", "长" * 30_000])
    body, renamed = io.BytesIO(), io.BytesIO()
    book.save(body)
    monkeypatch.setattr(tables, "MAX_HELD", 60_000)
    assert read(tmp_path, body.getvalue())[1].cells[0] == "王小雨", "a sheet may be larger"
    with zipfile.ZipFile(body) as old, zipfile.ZipFile(renamed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name).replace(b"/docProps/app.xml", b"/xl/media/picture.png")
            new.writestr(name, part)
        new.writestr("xl/media/picture.png", b"x" * 60_000)
    with pytest.raises(UserError, match="解压后过大"):
        read(tmp_path, renamed.getvalue())
