"""The pages of an import: from the file to the figures, for whom they are."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts import longjobs
from contacts.models import Contact, ImportRun
from scrm.lib import clock
from scrm.lib.privacy import mask_text
from tenants.ledger.models import AuditEntry
from tests.support.contacts import make_contact, make_follow, make_identity, make_region
from tests.support.core import log_in
from tests.support.imports import upload, work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def send(client: Client, text: str, kind: str = "contacts") -> int:
    response = client.post("/imports/", {"kind": kind, "file": upload(text)})
    assert response.status_code == 302, response.content.decode()
    return int(response["Location"].rstrip("/").rsplit("/", 1)[1])


def page(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


def test_an_operator_goes_from_file_to_figures_and_back(acme_client: Client) -> None:
    person = make_follow(make_contact("小圆子")).contact
    make_identity(person, value="wm1")
    pk = send(acme_client, "external_userid,生日,新增手机号\nwm1,1990-05-20,13812345678\nwm2,1990-05-20,\n")
    shown = page(acme_client, f"/imports/{pk}/")
    assert "wm1 · wm2" in shown
    assert '<option value="birthday" selected>' in shown
    heads = {"head-0": "external", "head-1": "birthday", "head-2": "phone"}
    assert acme_client.post(f"/imports/{pk}/check/", heads).status_code == 302
    assert "进行中" in page(acme_client, f"/imports/{pk}/status/")
    work()
    assert acme_client.get(f"/imports/{pk}/status/")["HX-Refresh"] == "true"
    shown = page(acme_client, f"/imports/{pk}/")
    assert "更新 1 行,1 行不会导入" in shown
    assert "找不到这位客户" in shown
    acme_client.post(f"/imports/{pk}/start/", {"acts": "1"})
    work()
    assert ImportRun.objects.get(pk=pk).acts
    shown = page(acme_client, f"/imports/{pk}/")
    assert "下载未导入的行" in shown
    body = b"".join(acme_client.get(f"/imports/{pk}/rejects/").streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]  # the client's answers are not typed as streams
    assert body.splitlines()[1].startswith("3,")
    shown = page(acme_client, f"/contacts/{person.pk}/")
    assert "生日 未填 → 1990-05-20" in shown
    assert f"新增手机号 {mask_text('13812345678')}" in shown
    acme_client.post(f"/imports/{pk}/undo/")
    work()
    assert f"去掉手机号 {mask_text('13812345678')}" in page(acme_client, f"/contacts/{person.pk}/")
    assert "已撤销 1 行" in page(acme_client, f"/imports/{pk}/")
    assert Contact.objects.get(pk=person.pk).birthday is None
    actions = set(AuditEntry.objects.filter(action__startswith="import.").values_list("action", flat=True))
    assert actions == {"import.started", "import.finished", "import.undone", "import.rejects_downloaded"}


def test_columns_that_clash_are_said_on_the_page(acme_client: Client) -> None:
    pk = send(acme_client, "a,b\n1,2\n")
    response = acme_client.post(f"/imports/{pk}/check/", {"head-0": "id", "head-1": "id"})
    assert response.status_code == 422
    assert "请只留一列" in response.content.decode()
    assert acme_client.post(f"/imports/{pk}/check/", {"head-0": "id", "head-1": "nonsense"}).status_code == 422
    assert acme_client.post(f"/imports/{pk}/start/").status_code == 422


def test_a_file_that_is_no_table_is_refused_at_once(acme_client: Client) -> None:
    response = acme_client.post("/imports/", {"kind": "contacts", "file": upload(b"\x00\x01\x02", "x.csv")})
    assert response.status_code == 422
    assert "CSV" in response.content.decode()
    assert not ImportRun.objects.exists()


def test_who_may_bring_in_what(acme_client: Client, make_user: Any) -> None:
    pk = send(acme_client, "id,生日\n1,1990-01-01\n")
    stores = send(acme_client, "门店编码,门店名\nS1,甲\n", "stores")
    operator, guide = log_in(make_user(role="operator")), log_in(make_user(role="guide"))
    assert guide.get("/imports/").status_code == 403
    shown = page(operator, "/imports/")
    assert "客户资料" in shown
    assert "成员门店" not in shown
    assert operator.get(f"/imports/{pk}/").status_code == 200
    assert "1990-01-01" not in page(operator, f"/imports/{pk}/")  # another person's file
    assert operator.get(f"/imports/{stores}/").status_code == 404
    assert operator.post("/imports/", {"kind": "stores", "file": upload("门店编码,门店名\nS1,甲\n")}).status_code == 422
    regional = log_in(make_user(role="operator", scope=make_region()))
    assert regional.get(f"/imports/{pk}/").status_code == 404
    assert page(acme_client, "/imports/template/?kind=stores").startswith("\ufeff门店编码")
    assert operator.get("/imports/template/?kind=stores").status_code == 404


def test_reasons_of_another_person_s_file_are_for_who_may_see_numbers(acme_client: Client, make_user: Any) -> None:
    pk = send(acme_client, "id,新增手机号,生日\n1,1381234567,1990-01-01\n")
    acme_client.post(f"/imports/{pk}/check/", {"head-0": "id", "head-1": "phone", "head-2": "birthday"})
    work()
    assert "1381234567" in page(acme_client, f"/imports/{pk}/")
    assert "1381234567" not in page(log_in(make_user(role="operator")), f"/imports/{pk}/")


def test_the_list_costs_the_same_however_many_imports_there_are(acme_client: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(acme_client, "/imports/")
        return len(queries)

    send(acme_client, "id,生日\n1,1990-01-01\n")
    first = cost()
    for _number in range(5):
        send(acme_client, "id,生日\n1,1990-01-01\n")
    assert cost() == first <= 10


def test_a_long_job_is_not_held_by_a_page(acme_client: Client) -> None:
    pk = send(acme_client, "id,生日\n1,1990-01-01\n")
    acme_client.post(f"/imports/{pk}/check/", {"head-0": "id", "head-1": "birthday"})
    assert longjobs.count_open() == 1
    longjobs.drain(clock.wall() - timedelta(seconds=1))  # no time left: nothing is begun
    assert ImportRun.objects.get(pk=pk).rows_read == 0
