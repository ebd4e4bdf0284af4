"""Order files: good rows in, bad rows out with their reasons, totals that add up."""

import csv
import io
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from openpyxl import Workbook

from commerce.models import Order, OrderImport, OrderLine
from commerce.services.imports import start_import
from contacts import longjobs
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry, Job
from tests.support.contacts import make_store

pytestmark = pytest.mark.django_db

HEAD = "订单号,下单时间,实付金额,手机号,门店编码,退款金额"
GOOD = 'A1,2026-01-31 18:30:00,"1,299.50",138 1234 5678,S1,\nA2,2026/2/1 9:05,88,,,8'


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def upload(text: str | bytes, name: str = "订单.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text)


def run(text: str | bytes, source: str = "pos", name: str = "订单.csv") -> OrderImport:
    record = start_import(upload(text, name), source, by=SYSTEM)
    longjobs.drain(clock.wall() + timedelta(seconds=20))
    record.refresh_from_db()
    assert record.rows_read == record.rows_created + record.rows_updated + record.rows_unchanged + record.rows_rejected
    return record


def reject_lines(record: OrderImport, tmp_path: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO((tmp_path / record.reject_path).read_text(encoding="utf-8-sig"))))


def test_good_rows_come_in_with_money_in_minor_units() -> None:
    store = make_store(code="S1")
    record = run(f"{HEAD}\n{GOOD}\n")
    assert (record.rows_read, record.rows_created, record.rows_unbound) == (2, 2, 2)
    first, second = Order.objects.order_by("number")
    assert (first.total_minor, first.buyer_phone, first.store, first.currency) == (
        129_950,
        "+8613812345678",
        store,
        "CNY",
    )
    assert first.ordered_at.isoformat() == "2026-01-31T10:30:00+00:00"
    assert (second.refunded_minor, second.refunds.get().amount_minor) == (800, 800)


def test_gbk_and_xlsx_are_read_like_utf8() -> None:
    make_store(code="S1")
    run(f"{HEAD}\n{GOOD}\n".encode("gbk"))
    sheet = Workbook()
    sheet.active.append(HEAD.split(","))
    sheet.active.append(["A3", clock.now().replace(tzinfo=None, microsecond=0), 12.5, 13812345678.0, "S1", None])
    body = io.BytesIO()
    sheet.save(body)
    record = run(body.getvalue(), name="订单.xlsx")
    assert record.rows_created == 1
    assert Order.objects.get(number="A3").buyer_phone == "+8613812345678"
    assert Order.objects.count() == 3


def test_bad_rows_go_to_the_reject_file_with_every_reason(tmp_path: Any) -> None:
    make_store(code="S1")
    bad = [
        ",2026-01-31,10,,,", "B1,昨天,10,,,", "B2,2026-01-31,abc,,,", "B3,2026-01-31,10,138****5678,,", "B4,2026-01-31,10,,NOPE,",
        "B5,2026-01-31,10,,,11", "B6,2026-01-31,-5,,,", "B7,2999-01-01,1.234,,,", "A1,2026-01-31,5,,,", "1.2E+15,2026-01-31,5,,,",
    ]  # fmt: skip
    record = run("\n".join([HEAD, GOOD, *bad, "", ",,,,,"]) + "\n")

    assert (record.rows_read, record.rows_created, record.rows_rejected) == (12, 2, 10)
    lines = reject_lines(record, tmp_path)
    assert lines[0][:3] == ["行号", "未导入原因", "订单号"]
    reasons = {int(line[0]): line[1] for line in lines[1:]}
    expected = [
        "缺少订单号",
        "无法识别",
        "不是数字",
        "不是有效号码",
        "不存在",
        "大于实付金额",
        "不能为负",
        "在未来;实付金额「1.234」小数位过多",
        "第 2 行重复",
        "科学计数",
    ]
    for (line, reason), part in zip(sorted(reasons.items()), expected, strict=True):
        assert part in reason, (line, reason)


def test_a_broken_line_is_rejected_and_the_others_come_in(tmp_path: Any) -> None:
    make_store(code="S1")
    lines = f"{HEAD}\n{GOOD}\n".encode().split(b"\n")
    body = b"\n".join(
        [lines[0], b'B1,"2026-01-31,10,,,', *lines[1:3], b"B2,2026-01-31,10,\xff,,", b"A3,2026-01-31,5,,,"]
    )
    record = run(body)
    assert (record.rows_read, record.rows_created, record.rows_rejected) == (5, 3, 2)
    assert [line[:2] for line in reject_lines(record, tmp_path)[1:]] == [["2", "引号不成对"], ["5", "有无法识别的字符"]]


def test_the_same_file_again_changes_nothing() -> None:
    make_store(code="S1")
    run(f"{HEAD}\n{GOOD}\n")
    again = run(f"{HEAD}\n{GOOD}\n")
    assert (again.rows_created, again.rows_updated, again.rows_unchanged) == (0, 0, 2)
    changed = run(f"{HEAD}\nA2,2026/2/1 9:05,90,,,8\n")
    assert (changed.rows_updated, Order.objects.get(number="A2").total_minor) == (1, 9_000)
    other = run(f"{HEAD}\nA2,2026/2/1 9:05,90,,,8\n", source="youzan")
    assert other.rows_created == 1


def test_a_product_column_becomes_a_line() -> None:
    run("订单号,下单时间,实付金额,商品名称,商品编码,数量\nA1,2026-01-31,30,面膜,SKU1,3\n")
    line = OrderLine.objects.get()
    assert (line.name, line.quantity, line.amount_minor, line.product.code) == ("面膜", 3, 3_000, "SKU1")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "空的"),
        ("姓名,电话\n王,1\n", "缺少必需的列:订单号、下单时间、实付金额"),
        (b"\x89PNG\x00\x00binary", "这不是 CSV"),
        (b"\xff\xfe\xff\xff\xff", "无法识别文件编码"),
    ],
)
def test_a_file_that_cannot_work_is_refused_at_once(body: str | bytes, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        start_import(upload(body), "pos", by=SYSTEM)
    assert OrderImport.objects.count() == Job.objects.count() == 0


def test_too_large_a_file_is_refused() -> None:
    file = upload("x")
    file.size = 21 * 1024 * 1024
    with pytest.raises(UserError, match="20 MB"):
        start_import(file, "pos", by=SYSTEM)


def test_a_killed_import_goes_on_and_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("commerce.services.imports.CHUNK", 10)
    rows = [f"N{n:03d},2026-01-31,{n}.00,,," if n % 4 else f"N{n:03d},nie,1,,," for n in range(35)]
    record = start_import(upload("\n".join([HEAD, *rows])), "pos", by=SYSTEM)
    job = Job.objects.get()
    from commerce.services.imports import import_step

    assert import_step(job, clock.wall()) is False  # the slice is over after one chunk, as if the worker died then
    rejects = tmp_path / next(tmp_path.glob("*/imports/rejects-*.csv")).relative_to(tmp_path)
    rejects.write_bytes(rejects.read_bytes() + b"half a li")

    longjobs.drain(clock.wall() + timedelta(seconds=20))

    record.refresh_from_db()
    assert (record.rows_read, record.rows_created, record.rows_rejected) == (35, 26, 9)
    assert len(reject_lines(record, tmp_path)) == 10
    assert not list(tmp_path.glob("*/imports/*.upload"))


def test_the_page_imports_and_offers_the_rejects(acme_client: Client) -> None:
    response = acme_client.post(
        "/orders/import/", {"source": "pos", "file": upload(f"{HEAD}\nA1,2026-01-31,10,,,\nA2,nie,1,,,\n")}
    )
    record = OrderImport.objects.get()
    assert response["Location"] == f"/orders/import/{record.pk}/"
    longjobs.drain(clock.wall() + timedelta(seconds=20))

    page = acme_client.get(f"/orders/import/{record.pk}/").content.decode()
    assert f"/orders/import/{record.pk}/rejects/" in page
    rejects = acme_client.get(f"/orders/import/{record.pk}/rejects/")
    assert "nie" in b"".join(rejects.streaming_content).decode()
    assert AuditEntry.objects.filter(action="orders.rejects_downloaded").exists()
    assert "A1" in acme_client.get("/orders/?bound=no").content.decode()
    assert acme_client.get("/orders/import/template/").content.decode("utf-8-sig").startswith("订单号,下单时间")


def test_a_refused_file_answers_422_with_the_reason(acme_client: Client) -> None:
    response = acme_client.post("/orders/import/", {"source": "pos", "file": upload("a,b\n1,2\n")})
    assert response.status_code == 422
    assert "缺少必需的列" in response.content.decode()


@pytest.mark.parametrize(("status", "refunded"), [("已全额退款", 10_000), ("refunded", 10_000), ("已支付", 0)])
def test_a_status_that_says_all_was_given_back_is_a_refund_of_all(status: str, refunded: int) -> None:
    run(f"订单号,下单时间,实付金额,状态\nA1,2026-01-31 18:30:00,100,{status}\n")

    assert Order.objects.get().refunded_minor == refunded


def test_a_status_that_says_something_was_given_back_needs_the_amount(tmp_path: Any) -> None:
    record = run("订单号,下单时间,实付金额,状态\nA1,2026-01-31 18:30:00,100,已退款\n")

    assert not Order.objects.exists() and "请填退款金额" in reject_lines(record, tmp_path)[1][1]


def test_a_formula_in_a_rejected_row_stays_text_and_comes_back_as_it_was(tmp_path: Any) -> None:
    record = run(f"{HEAD}\n=1+1,2026-01-31 18:30:00,bad,,,\n")

    assert reject_lines(record, tmp_path)[1][2] == "'=1+1"


def test_a_sheet_that_claims_a_million_empty_rows_is_read_in_a_moment(tmp_path: Any) -> None:
    book = Workbook()
    book.active.append(["订单号", "下单时间", "实付金额"])
    book.active.append(["A1", "2026-01-31 18:30:00", 100])
    book.active["XFD1048576"] = " "
    stream = io.BytesIO()
    book.save(stream)

    began = time.monotonic()
    record = run(stream.getvalue(), name="订单.xlsx")

    assert record.rows_created == 1 and time.monotonic() - began < 10


def test_files_of_finished_jobs_are_deleted_after_their_days(tmp_path: Any) -> None:
    record = run(f"{HEAD}\n=1+1,2026-01-31 18:30:00,bad,,,\n")
    path = tmp_path / record.reject_path
    assert path.exists()

    assert longjobs.prune_files(clock.now() + timedelta(days=1), 10) == 1

    assert not path.exists() and longjobs.prune_files(clock.now() + timedelta(days=1), 10) == 0
