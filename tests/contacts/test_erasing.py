"""删除个人信息: a person as full as possible is removed everywhere, proved, and only on request."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from openpyxl import Workbook

from campaigns.models import (
    Delivery,
    Enrollment,
)
from commerce.models import Order
from contacts.models import (
    ConsentRecord,
    Contact,
    ContactMerge,
    ContactPhone,
    ErasedKey,
    ErasureRequest,
    Follow,
    FollowPeriod,
    GroupMembership,
    Note,
    StageTransition,
    TimelineEvent,
)
from contacts.services import erasing
from contacts.services.hand_merging import plan_merge, plan_undo
from contacts.services.merging import merge_roots, undo_merge
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from scrm.lib.sheets import SHEET_BEGIN, SHEET_END, csv_rows, pack_xlsx, sheet_rows
from tagging.models import Segment
from tenants import erasure
from tenants.audit import SYSTEM
from tenants.context import tenant_scope
from tenants.ledger.models import AuditEntry, Job
from tenants.paths import tenant_dir
from tests.support.contacts import (
    make_contact,
    make_follow,
    make_identity,
)
from tests.support.core import log_in, make_user
from tests.support.erasing import EXTERNAL, PHONE, WORDS, ask, erase, full_person, traces, work
from tests.support.tagging import tree_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.MEDIA_ROOT = str(tmp_path)
    yield


# --- Everything goes ---------------------------------------------------------------------------------------------------


def test_a_person_as_full_as_possible_leaves_no_word_in_any_table_or_file(acme: Any) -> None:
    person = full_person()
    before = traces()
    assert len(before) > 20, before
    request = erase(person)
    assert (request.state, request.left["keys"], request.left["words"]) == ("done", {}, {})
    assert traces() == {}
    labels = {one.label for cut in (True, False) for one in erasure.erasers(at_cut=cut)}
    assert labels - set(request.counts) == set(), "the person is not full: a table knew nothing of her"
    assert sorted(path.name for path in tenant_dir("exports").iterdir()) == ["contacts-2.csv"]
    assert list(tenant_dir("imports").iterdir()) == []
    assert (request.keys, request.reason, request.people) == ("", "", 2)


def test_counts_and_money_stay(acme: Any) -> None:
    person = full_person()
    tables = (TimelineEvent, FollowPeriod, Follow, Delivery, Order, GroupMembership, StageTransition, ConsentRecord)
    before = {model: model._default_manager.count() for model in tables}
    money = Order.objects.aggregate(sum=Sum("total_minor"))
    paid = TimelineEvent.objects.get(kind="order.paid").payload
    erase(person)
    after = {model: model._default_manager.count() for model in tables}
    # The erasure says so itself: one fact that it happened, one of 免打扰, whose setting is a row of the consents too.
    assert after == before | {TimelineEvent: before[TimelineEvent] + 2, ConsentRecord: before[ConsentRecord] + 1}
    assert Order.objects.aggregate(sum=Sum("total_minor")) == money
    assert TimelineEvent.objects.get(kind="order.paid").payload["amount_minor"] == paid["amount_minor"]
    assert TimelineEvent.objects.get(kind="follow.added", contact=person).payload == {"state": "门店码"}
    assert Segment.objects.get(name="老客").size == 0
    run = Enrollment.objects.get()
    assert (run.state, run.end_reason, run.next_due_at) == ("exited", "erased", None)


def test_another_with_the_same_phone_or_name_keeps_hers(acme: Any) -> None:
    person, other = full_person(), make_contact("欧阳小圆子")
    ContactPhone.objects.create(contact=other, phone=PHONE, source="manual", created_at=clock.now())
    Note.objects.create(
        contact=other, text="她的备用号 13912345678", author_id=1, author_name="林", written_at=clock.now()
    )
    request = erase(person)
    assert request.state == "done" and request.left["words"] == {"contacts.Contact": 1}
    assert other.phones.get().phone == PHONE and other.notes.get().text.endswith("13912345678")
    other.refresh_from_db()
    assert other.name == "欧阳小圆子"


@pytest.mark.parametrize("cell", ["{pk}", "欧阳小圆子", PHONE])
def test_a_spreadsheet_that_names_her_goes_and_one_of_another_stays(acme: Any, cell: str) -> None:
    person = make_follow(make_contact("欧阳小圆子")).contact
    ContactPhone.objects.create(contact=person, phone=PHONE, source="manual", created_at=clock.now())
    for name, words in (("hers.xlsx", cell.format(pk=person.pk)), ("others.xlsx", f"{person.pk}9")):
        book = Workbook()
        book.active.append(["昵称", int(words) if words.isdecimal() else words])
        book.save(tenant_dir("exports") / name)
    assert erase(person).counts["files"] == 1
    assert [path.name for path in tenant_dir("exports").iterdir()] == ["others.xlsx"]


def test_a_file_that_holds_nothing_of_her_but_a_short_or_a_quoted_name_goes_too(acme: Any) -> None:
    odd = '欧阳"小"<圆子>&'
    person = make_follow(make_contact("王悦"), remark=odd).contact
    folder = tenant_dir("exports")
    for name, words in (("name", "王悦"), ("remark", odd), ("another", "王悦儿")):
        (folder / f"{name}.csv").write_bytes(csv_rows([["昵称"], [words]]))
        (folder / f"{name}.part").write_bytes(SHEET_BEGIN + sheet_rows([["昵称"], [words]], 1) + SHEET_END)
        pack_xlsx(folder / f"{name}.part", folder / f"{name}.xlsx")
    (folder / "last.csv").write_bytes("备注,昵称\n老客,王悦".encode("gb18030"))
    assert erase(person).counts["files"] == 7
    assert sorted(path.name for path in folder.iterdir()) == ["another.csv", "another.part", "another.xlsx"]


# --- Asking ------------------------------------------------------------------------------------------------------------


def test_the_number_is_typed_and_one_request_stands_at_a_time(acme: Any) -> None:
    person = make_follow().contact
    for over in ({"typed": "1"}, {"reason": " "}, {"asked_by": "nobody"}):
        with pytest.raises(UserError):
            ask(person, **over)
    assert not ErasureRequest.objects.exists()
    ask(person)
    with pytest.raises(Conflict, match="进行中的删除请求"):
        ask(person)


def test_the_page_counts_first_and_the_certificate_names_nobody(acme_client: Client) -> None:
    person = full_person()
    with CaptureQueriesContext(connection) as caught:
        page = acme_client.get(f"/contacts/{person.pk}/erase/").content.decode()
    assert len(caught) < 60, "one for each table, whatever is in it"
    assert "好友关系与备注" in page and "企业微信回调" in page
    refused = acme_client.post(
        f"/contacts/{person.pk}/erase/", {"asked_by": "customer", "reason": "来信", "typed": "0"}
    )
    assert refused.status_code == 422 and "客户编号不对" in refused.content.decode()
    answer = acme_client.post(
        f"/contacts/{person.pk}/erase/", {"asked_by": "customer", "reason": "来信", "typed": person.pk}
    )
    request = ErasureRequest.objects.get()
    assert answer["Location"] == f"/erasures/{request.pk}/"
    assert acme_client.get(f"/contacts/{person.pk}/erase/")["Location"] == answer["Location"]
    work(request)
    proof = acme_client.get(f"/erasures/{request.pk}/").content.decode()
    assert "剩余 0 处" in proof and "群发对象" in proof and not any(word in proof for word in WORDS)
    assert acme_client.get(f"/contacts/{person.pk}/").status_code == 404
    assert "第" in acme_client.get("/erasures/").content.decode()
    assert AuditEntry.objects.filter(action="contact.erased").count() == 1


def test_only_who_may_erase_sees_the_door(acme: Any) -> None:
    person = make_follow().contact
    shop = log_in(make_user("store", person.store))
    assert "客户要求删除个人信息" not in shop.get(f"/contacts/{person.pk}/").content.decode()
    assert shop.get(f"/contacts/{person.pk}/erase/").status_code == 403
    assert shop.get("/erasures/").status_code == 403
    part = log_in(make_user(permissions=["contacts.view", "contacts.erase"], scope=person.store))
    assert part.get(f"/contacts/{person.pk}/erase/").status_code == 403, (
        "nobody erases from within a part of the merchant"
    )


def test_a_request_that_waits_may_be_taken_back_and_one_that_began_may_not(acme: Any, acme_client: Client) -> None:
    person = make_follow(remark="圆子-敏感肌").contact
    job = Job.objects.create(kind="orders.import", title="导入", created_at=clock.now())
    request = work(ask(person))
    assert "撤回请求" in acme_client.get(f"/erasures/{request.pk}/").content.decode()
    assert acme_client.post(f"/erasures/{request.pk}/take-back/").status_code == 302
    request.refresh_from_db()
    person.refresh_from_db()
    assert (request.state, request.reason, person.opt_out_since) == ("taken", "", None)
    assert "剩余 0 处" not in acme_client.get(f"/erasures/{request.pk}/").content.decode(), "nothing is proved"
    assert person.follows.get().remark == "圆子-敏感肌" and not ErasedKey.objects.exists()
    Job.objects.filter(pk=job.pk).update(state="done")
    again = erase(person)
    assert again.state == "done"
    assert acme_client.post(f"/erasures/{again.pk}/take-back/").status_code == 409


def test_what_is_left_where_nobody_looks_for_her_is_said_and_not_hidden(acme: Any, acme_client: Client) -> None:
    person = full_person()
    Segment.objects.create(name=f"送给 {PHONE}", tree=tree_of({"all": []}), created_at=clock.now())
    request = erase(person)
    assert (request.state, request.left["keys"], request.rounds) == ("left", {"tagging.Segment": 1}, 3)
    proof = acme_client.get(f"/erasures/{request.pk}/").content.decode()
    assert "仍有残留" in proof and "tagging.Segment" in proof and "剩余 0 处" not in proof


def test_another_merchant_knows_her_as_before(acme: Any, globex: Any) -> None:
    with tenant_scope(globex):
        there = make_contact("欧阳小圆子")
        make_identity(there, value=EXTERNAL)
        ContactPhone.objects.create(contact=there, phone=PHONE, source="manual", created_at=clock.now())
    assert erase(full_person()).state == "done"
    with tenant_scope(globex):
        there.refresh_from_db()
        assert (there.name, there.identities.get().value, there.phones.get().phone) == ("欧阳小圆子", EXTERNAL, PHONE)
        assert not ErasedKey.objects.exists()


def test_while_a_request_stands_nobody_changes_who_it_is_about(acme: Any) -> None:
    first, second, third = (make_follow().contact for _time in range(3))
    merge_roots([(first.pk, second.pk)], now=clock.now(), source="manual")
    merge = ContactMerge.objects.get()
    request = ask(Contact.objects.get(pk=first.pk))
    for refused in (
        lambda: undo_merge(merge.pk, by=SYSTEM), lambda: plan_undo(merge), lambda: plan_merge(first, third), lambda: plan_merge(third, first),
    ):  # fmt: skip
        with pytest.raises(UserError, match="删除个人信息的请求"):
            refused()
    erasing.take_back(request.pk, by=SYSTEM, at=clock.now())
    undo_merge(merge.pk, by=SYSTEM)


def test_a_request_taken_back_after_wecom_joined_her_to_another_leaves_no_quiet(acme: Any) -> None:
    first, second = make_follow().contact, make_follow().contact
    request = ask(second)
    merge_roots([(first.pk, second.pk)], now=clock.now())
    erasing.take_back(request.pk, by=SYSTEM, at=clock.now())
    assert not Contact.objects.exclude(opt_out_source="").exists()
