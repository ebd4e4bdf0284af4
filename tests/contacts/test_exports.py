"""Files of customers: what stands in them, who gets them and until when, and that a killed worker's file is continued."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from accounts.scope import data_scope, scope_as_json, scope_from_json
from contacts import export_columns, longjobs
from contacts.models import ContactPhone, TimelineEvent
from contacts.services import exports
from scrm.lib import clock, sheets
from tenants.ledger.models import AuditEntry, Job
from tests.support import commerce, tagging
from tests.support.contacts import at, make_contact, make_follow, make_member, make_stages, make_store
from tests.support.core import actor_of

pytestmark = pytest.mark.django_db
HOLDER = ["contacts.view", "contacts.export"]


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def work() -> None:
    assert longjobs.drain(clock.wall() + timedelta(seconds=20)) is False


def begin(client: Client, query: str = "", **fields: Any) -> Job:
    response = client.post(f"/contacts/export/?{query}", fields)
    assert response.status_code == 302, response.content.decode()
    return Job.objects.latest("pk")


def fetched(client: Client, job: Job) -> bytes:
    response = client.get(f"/contacts/exports/{job.pk}/file/")
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def rows_of(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))


def sheet_of(body: bytes) -> list[list[Any]]:
    return [list(row) for row in load_workbook(io.BytesIO(body)).active.iter_rows(values_only=True)]


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return response.content.decode()


def person(name: str, member: Any = None, **overrides: Any) -> Any:
    found = make_follow(make_contact(name, **overrides), member, remark=f"{name}-静安").contact
    ContactPhone.objects.create(contact=found, phone="+8613812345678", source="manual", created_at=at(0))
    return found


def test_a_file_holds_the_filtered_people_masked_safe_and_with_its_origin(acme_client: Client, acme: Any) -> None:
    stages, lin = make_stages(), make_member("林小雅", store=make_store("静安寺"))
    hers = person("=cmd|'/c calc'!A1", lin, stage=stages["loyal"])
    person("=2+5", make_member("梅梅", store=make_store()))
    job = begin(acme_client, f"guide={lin.pk}")
    work()

    heads, row, note = rows_of(fetched(acme_client, job))
    cells = dict(zip(heads, row, strict=True))
    assert cells["客户编号"] == str(hers.pk) and cells["昵称"] == "'=cmd|'/c calc'!A1"
    assert cells["备注"].startswith("'=") and cells["手机号"] == "138****5678"
    assert (cells["阶段"], cells["归属导购"], cells["门店"], cells["关系"]) == ("忠诚", "林小雅", "静安寺", "好友")
    assert len(note) == len(heads) and note[1:] == [""] * (len(heads) - 1)
    assert acme.name in note[0] and acme_client.user.display_name in note[0] and f"编号 {job.pk}" in note[0]
    assert "共 1 行" in note[0] and note[0].isprintable()
    entry = AuditEntry.objects.get(action="contacts.exported")
    assert (entry.data["count"], entry.data["unmasked"]) == (1, False)


def test_a_workbook_says_the_same_as_the_csv(acme_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    for name in ("=1+1", "<王&姐>", "🌸阿May"):
        person(name)
    plain, book = begin(acme_client), begin(acme_client, format="xlsx")
    work()
    lines, sheet = rows_of(fetched(acme_client, plain)), sheet_of(fetched(acme_client, book))
    shown = [["" if cell is None else str(cell) for cell in row] for row in sheet]
    assert shown[:-1] == lines[:-1] and len(shown) == 5
    assert sheet[1][0] == int(lines[1][0])  # numbers are numbers
    assert [row[1] for row in sheet[1:4]] == ["'=1+1", "<王&姐>", "🌸阿May"]


@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
def test_a_file_goes_on_where_a_killed_worker_stopped(
    acme_client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, file_format: str
) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    for number in range(5):
        person(f"客户{number}")
    whole = begin(acme_client, format=file_format)
    work()
    broken, real, calls = begin(acme_client, format=file_format), exports.CUSTOMERS.page, []

    def dies(params: Any, after: Any) -> Any:
        calls.append(after)
        if len(calls) == 2:
            [part] = tmp_path.glob("*/exports/*.part")
            with part.open("ab") as file:
                file.write(b"half a page")
            raise RuntimeError("killed")
        return real(params, after)

    monkeypatch.setitem(exports._sources, exports.KIND, exports.Source("contacts", exports.CUSTOMERS.heads, dies))
    work()

    read = rows_of if file_format == "csv" else sheet_of
    assert read(fetched(acme_client, broken))[:-1] == read(fetched(acme_client, whole))[:-1]
    assert len(calls) == 4 and not list(tmp_path.glob("*/exports/*.part"))


def test_only_who_asked_gets_it_and_only_until_it_expires(acme_client: Client, log_in: Any, make_user: Any) -> None:
    person("小圆子")
    job = begin(acme_client)
    assert acme_client.get(f"/contacts/exports/{job.pk}/file/").status_code == 404
    work()
    job.refresh_from_db()
    other = log_in("hq")
    assert other.get(f"/contacts/exports/{job.pk}/file/").status_code == 404
    assert other.get(f"/contacts/exports/{job.pk}/").status_code == 404
    assert "还没有导出过" in text(other.get("/contacts/exports/"))
    assert log_in("store").get("/contacts/export/").status_code == 403
    page = text(acme_client.get(f"/contacts/exports/{job.pk}/"))
    assert "已完成" in page and "保留至" in page
    fetched(acme_client, job)
    assert AuditEntry.objects.filter(action="contacts.export_downloaded").count() == 1

    Job.objects.filter(pk=job.pk).update(finished_at=clock.now() - timedelta(days=7, minutes=1))
    assert acme_client.get(f"/contacts/exports/{job.pk}/file/").status_code == 404
    assert "文件已过期删除" in text(acme_client.get(f"/contacts/exports/{job.pk}/"))
    assert "已过期删除" in text(acme_client.get("/contacts/exports/"))


def test_what_a_failed_job_wrote_is_cleared_away_too(
    acme_client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    person("小圆子")
    begin(acme_client)

    def dies(*_given: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(exports, "_watermark", dies)
    work()
    assert Job.objects.get().state == "failed" and len(list(tmp_path.glob("*/exports/*"))) == 1
    assert longjobs.prune_files(clock.now() + timedelta(days=1), 10) == 1
    assert not list(tmp_path.glob("*/exports/*"))


def test_whole_phones_need_the_permission_and_the_wish(acme_client: Client, log_in: Any, make_user: Any) -> None:
    person("小圆子")
    holder = log_in(make_user(permissions=HOLDER))
    assert "完整,记入操作记录" not in text(holder.get("/contacts/export/"))
    assert "完整,记入操作记录" in text(acme_client.get("/contacts/export/"))
    found = [begin(client, phones="whole", columns=["phone"]) for client in (holder, acme_client)]
    found.append(begin(acme_client, columns=["phone"]))
    work()
    shown = [
        rows_of(fetched(client, job))[1] for client, job in zip((holder, acme_client, acme_client), found, strict=True)
    ]
    assert shown == [["138****5678"], ["13812345678"], ["138****5678"]]
    assert list(AuditEntry.objects.filter(action="contacts.exported", data__unmasked=True).values_list("actor_id")) == [
        (acme_client.user.pk,)
    ]


def test_columns_follow_the_wish_and_the_permissions(acme_client: Client, log_in: Any, make_user: Any) -> None:
    person("小圆子")
    job = begin(acme_client, columns=["name", "id", "nonsense"])
    lean = begin(log_in(make_user(permissions=HOLDER)), columns=["tags", "spent", "name"])
    work()
    job.refresh_from_db()
    assert job.params["columns"] == ["id", "name"] and Job.objects.get(pk=lean.pk).params["columns"] == ["name"]
    assert rows_of(fetched(acme_client, job))[0] == ["客户编号", "昵称"]
    everything = {one.key for one in export_columns.columns(frozenset(["contacts.view", "tags.view", "orders.view"]))}
    assert everything >= {
        "id",
        "name",
        "remark",
        "phone",
        "stage",
        "owner",
        "store",
        "tags",
        "spent",
        "relation",
        "opt_out",
    }


def test_nobody_exports_beyond_her_scope(make_user: Any, log_in: Any) -> None:
    jing = make_store("静安寺")
    person("小圆子", make_member(store=jing))
    person("别家的")
    manager = make_user(permissions=HOLDER, scope=jing)
    client = log_in(manager)
    job = begin(client)
    assert job.total == 1
    work()
    assert [row[1] for row in rows_of(fetched(client, job))[1:-1]] == ["小圆子"]
    assert scope_from_json(job.params["scope"]) == data_scope(manager, "contacts.export")


def test_the_chosen_are_exported_as_many_as_were_seen(acme_client: Client) -> None:
    first, second, _third = person("甲"), person("乙"), person("丙")
    body = {"ids": [first.pk, second.pk], "expected": 2}
    asked = text(acme_client.post("/contacts/bulk/", {**body, "action": "export"}))
    assert "已选 2 位客户" in asked and f'value="{first.pk}"' in asked
    job = begin(acme_client, **body, columns=["name"])
    everybody = begin(acme_client, select_all="1", expected=3, columns=["name"])
    work()
    assert [row[0] for row in rows_of(fetched(acme_client, job))[1:-1]] == ["甲", "乙"]
    assert len(rows_of(fetched(acme_client, everybody))) == 5
    assert acme_client.post("/contacts/export/", {**body, "expected": 3}).status_code == 409


def test_a_workbook_that_cannot_hold_them_is_refused(acme_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_XLSX_ROWS", 3)
    person("甲")
    begin(acme_client, format="xlsx")
    person("乙")
    assert "请选 CSV" in text(acme_client.post("/contacts/export/", {"format": "xlsx"}), 422)
    assert acme_client.post("/contacts/export/", {"format": "pdf"}).status_code == 422
    assert Job.objects.count() == 1


def test_the_pages_cost_a_constant_number_of_queries_and_so_does_a_page_of_a_file(acme_client: Client) -> None:
    person("甲")

    def cost(count: int) -> tuple[int, ...]:
        begin(acme_client)
        found = []
        for url in ("/contacts/exports/", "/contacts/export/"):
            with CaptureQueriesContext(connection) as captured:
                text(acme_client.get(url))
            found.append(len(captured))
        with CaptureQueriesContext(connection) as captured:
            rows, _after = exports.CUSTOMERS.page(Job.objects.latest("pk").params, None)
        assert len(rows) == count
        return (*found, len(captured))

    few = cost(1)
    for number in range(4):
        person(f"乙{number}", stage=None)
    assert cost(5) == few
    assert few[0] <= 12 and few[1] <= 12 and few[2] <= 14


def test_a_job_begun_by_an_earlier_release_is_finished(acme_client: Client, actor: Any) -> None:
    person("小圆子")
    scope = scope_as_json(data_scope(acme_client.user))
    job = longjobs.start(
        exports.KIND, "x", params={"query": "", "scope": scope}, by=actor_of(acme_client.user), total=1
    )
    Job.objects.filter(pk=job.pk).update(result={"bytes": 900, "after": 1})
    work()
    assert len(rows_of(fetched(acme_client, job))) == 3


# --- 已删除与回流 -----------------------------------------------------------------------------------------------


def ending(name: str, member: Any, kind: str, minutes: int) -> None:
    follow = make_follow(make_contact(name), member, relation="by_customer", relation_since=clock.now())
    TimelineEvent.objects.create(
        kind=kind, occurred_at=clock.now() - timedelta(days=1, minutes=minutes), recorded_at=clock.now(), source="callback",
        contact=follow.contact, member=member, store=member.store, fact_key=f"follow.ended:{follow.pk}",
        payload={"added_at": (clock.now() - timedelta(days=31)).isoformat()},
    )  # fmt: skip


def test_a_tab_of_the_ended_travels_under_its_filters(
    acme_client: Client, log_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    lin, mei = make_member("林小雅", store=make_store("静安寺")), make_member("梅梅", store=make_store("五角场"))
    for number in range(5):
        ending(f"=客{number}", lin, "follow.deleted_by_customer", number // 2)
    ending("别的导购", mei, "follow.deleted_by_customer", 1)
    ending("导购删的", lin, "follow.deleted_by_guide", 1)
    response = acme_client.post(f"/ended/export/?tab=customer&store={lin.store_id}", {"format": "csv"})
    job = Job.objects.get()
    assert response["Location"] == f"/contacts/exports/{job.pk}/" and job.total == 5
    work()

    heads, *rows, note = rows_of(fetched(acme_client, job))
    assert sorted(row[1] for row in rows) == [f"'=客{number}" for number in range(5)]
    assert {(row[2], row[3], row[4]) for row in rows} == {("林小雅", "静安寺", "客户删")}
    assert [row[5] for row in rows] == sorted(row[5] for row in rows) and len(note) == len(heads)
    assert AuditEntry.objects.get(action="contacts.ended_exported").data["count"] == 5
    assert acme_client.post("/ended/export/?tab=alarms").status_code == 404
    assert "导出 Excel" in text(acme_client.get("/ended/"))
    assert log_in("store").post("/ended/export/?tab=customer").status_code == 403
    nobody = acme_client.post("/ended/export/?tab=customer&store=nonsense")
    assert nobody.status_code == 302 and Job.objects.latest("pk").total == 0


# --- Cells ------------------------------------------------------------------------------------------------------


def test_no_cell_begins_like_a_formula() -> None:
    for risky in ("=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "=1", "+1", "-1", "@x"):
        assert sheets.as_text(risky) == "'" + risky
    assert sheets.as_text("王姐=敏感肌") == "王姐=敏感肌"
    assert sheets.csv_rows([[Decimal("-3.50"), -2, "-2"]]) == b"-3.50,-2,'-2\r\n"


def test_a_sheet_takes_any_text_and_any_width() -> None:
    row = sheets.sheet_rows([["\x00\x0b坏\ud800字", "x" * 40_000, *[""] * 24, "AA"]], 7).decode()
    assert '<row r="7"><c r="A7"' in row and ">坏字<" in row
    assert "x" * 32_767 in row and "x" * 32_768 not in row and '<c r="AA7"' in row


def test_what_other_apps_know_and_what_merged_branches_have_stands_in_the_row(acme_client: Client) -> None:
    root = person("小圆子")
    branch = make_follow(make_contact("小号", root=root), remark="小号-徐汇").contact
    tagging.put_tag(branch.follows.get(), tagging.make_tag("敏感肌"))
    tagging.put_tag(root.follows.get(), tagging.make_tag("老会员"))
    commerce.make_order(contact=branch, total_minor=12_350)
    gone = make_follow(make_contact("阿May"), relation="by_customer", relation_since=clock.now()).contact
    type(gone).objects.filter(pk=gone.pk).update(active_follows=0, opt_out_since=clock.now())
    keys = ["name", "remark", "phone", "tags", "spent", "relation", "opt_out"]
    job, book = begin(acme_client, columns=keys), begin(acme_client, columns=keys, format="xlsx")
    work()
    _heads, *rows, _note = rows_of(fetched(acme_client, job))
    assert sorted(rows[0][3].split(";")) == ["敏感肌", "老会员"]
    assert rows[0][:3] + rows[0][4:] == ["小圆子", "小圆子-静安;小号-徐汇", "138****5678", "123.5", "好友", ""]
    assert rows[1] == ["阿May", "", "", "", "", "已删除:客户删", "是"]
    assert sheet_of(fetched(acme_client, book))[1][4] == 123.5


def test_a_person_takes_no_more_along_than_the_day_holds_unless_she_may(
    make_user: Any, log_in: Any, acme_client: Client
) -> None:
    lin = make_member("林小雅", store=make_store())
    for name in ("甲", "乙", "丙"):
        person(name, lin)
    user = make_user(permissions=HOLDER)
    client = log_in(user)
    for nonsense in ("", "0", "abc", "9" * 30):
        assert acme_client.post("/contacts/exports/limit/", {"most": nonsense}).status_code == 422
    assert client.post("/contacts/exports/limit/", {"most": "9"}).status_code == 403
    assert acme_client.post("/contacts/exports/limit/", {"most": "5"}).status_code == 302

    first = begin(client)
    assert "每人每天最多导出 5 位客户,您今天已导出 3 位" in text(client.get("/contacts/export/"))
    refused = text(client.post("/contacts/export/", {}), 422)
    assert "您今天已经导出 3 位,这次 3 位超过了上限" in refused and "请加上筛选缩小范围" in refused
    entry = AuditEntry.objects.get(action="contacts.export_refused")
    assert (entry.actor_id, entry.data) == (user.pk, {"taken": 3, "count": 3, "most": 5})
    assert Job.objects.count() == 1
    begin(log_in(make_user(permissions=HOLDER)))  # another person's day
    begin(acme_client)
    begin(acme_client)  # she may take more

    Job.objects.filter(pk=first.pk).update(state=Job.State.FAILED)
    begin(client)  # what failed took nobody along
    Job.objects.update(created_at=clock.now() - timedelta(days=1))
    begin(client)
    assert {row.action for row in AuditEntry.objects.filter(action__startswith="contacts.export_limit")} == {
        "contacts.export_limit_changed"
    }
