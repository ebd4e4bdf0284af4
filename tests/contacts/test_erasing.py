"""删除个人信息: a person as full as possible is removed everywhere, proved, and not brought back by what WeCom goes on telling."""

from collections.abc import Iterator
from datetime import date, timedelta
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
    DeliveryMove,
    Dispatch,
    Enrollment,
    MassSend,
    MassSendResult,
    Sop,
    SopVersion,
    WelcomeSend,
)
from campaigns.services import ledger
from commerce.models import Order
from commerce.services.orders import upsert_orders
from contacts import comparing, handlers, inventory, longjobs
from contacts.models import (
    BulkChange,
    Clash,
    ConsentRecord,
    Contact,
    ContactMerge,
    ContactPhone,
    DetailChange,
    Duplicate,
    ErasedKey,
    ErasureRequest,
    Follow,
    FollowPeriod,
    GroupMembership,
    Identity,
    ImportRow,
    ImportRun,
    Note,
    Relation,
    RemarkEdit,
    SavedView,
    SharedPhone,
    StageTransition,
    TimelineEvent,
    Todo,
)
from contacts.services import erasing
from contacts.services.hand_merging import plan_merge, plan_undo
from contacts.services.merging import merge_roots, undo_merge
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from scrm.lib.sheets import SHEET_BEGIN, SHEET_END, csv_rows, pack_xlsx, sheet_rows
from tagging.models import FollowTag, Rule, RuleMatch, Segment, SegmentEntry
from tenants import audit, erasure
from tenants.audit import SYSTEM
from tenants.context import tenant_scope
from tenants.ledger.models import AuditEntry, IdempotentRequest, Job
from tenants.paths import tenant_dir
from tests.support import campaigns
from tests.support.commerce import make_order, order_row
from tests.support.contacts import (
    event_fact,
    follow_info,
    group_info,
    group_member,
    groups_batch,
    make_contact,
    make_follow,
    make_group,
    make_identity,
    make_member,
    make_phone_to_add,
    make_stages,
    make_store,
    people_batch,
    person_row,
)
from tests.support.core import actor_of, log_in, make_user
from tests.support.tagging import make_tag, tree_of
from wecom_bridge import answers
from wecom_bridge.models import DriftRow, InboundEvent, OutboundCommand, StagedRow, SyncRun, SyncUnit

pytestmark = pytest.mark.django_db

EXTERNAL, OTHER_EXTERNAL, UNION = "wmERASEME0001abcd", "wmERASEME0002abcd", "oUNIONeraseme0001"
PHONE = "+8613912345678"
# Words of hers, none of which may stand anywhere afterwards.
WORDS = (EXTERNAL, OTHER_EXTERNAL, UNION, "13912345678", "欧阳小圆子", "圆子-敏感肌", "喜欢木质香", "圆子商贸", "周末来店试香", "给圆子送小样",
         "圆子爱香群昵称", "圆子说太干", "当面签字的纸条", "圆子另一个名字", "圆子不要打扰")  # fmt: skip


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.MEDIA_ROOT = str(tmp_path)
    yield


def ask(contact: Contact, **over: Any) -> ErasureRequest:
    words = {
        "asked_by": "customer",
        "reason": "来信",
        "typed": str(contact.pk),
        "by": SYSTEM,
        "at": clock.now(),
        **over,
    }
    return erasing.request_erasure(contact.pk, **words)


def work(request: ErasureRequest) -> ErasureRequest:
    for _piece in range(400):
        erasing.advance(request.pk)
        request.refresh_from_db()
        if request.is_over or request.state == ErasureRequest.State.WAITING:
            break
    return request


def erase(contact: Contact) -> ErasureRequest:
    return work(ask(contact))


def traces(words: Any = WORDS) -> dict[str, int]:
    """Rows of any table that hold one of these texts."""
    models = [model for model in erasure.tenant_models() if erasure.is_searchable(model)]
    found = {model._meta.label: erasure.count_traces(model, [list(words)], 0)[0][0] for model in models}
    return {label: count for label, count in found.items() if count}


def full_person() -> Contact:
    """Somebody of whom every table that can say something does."""
    now, store = clock.now(), make_store()
    lin, mei = make_member("林小雅", store=store), make_member("梅梅", store=store)
    corp, stages = lin.corp, make_stages()
    person = make_contact(
        "欧阳小圆子", corp_name="圆子商贸", custom={"香调": "喜欢木质香"}, search_text="欧阳小圆子 ouyang 5678"
    )
    branch = make_contact("圆子另一个名字", birthday=date(1990, 5, 6))
    make_identity(person, corp=corp, value=EXTERNAL)
    make_identity(person, corp=corp, value=UNION, kind="unionid")
    make_identity(branch, corp=corp, value=OTHER_EXTERNAL)
    follow = make_follow(
        person,
        lin,
        remark="圆子-敏感肌",
        description="喜欢木质香",
        remark_company="圆子商贸",
        remark_mobiles=["13912345678"],
    )
    make_follow(branch, mei)
    merge_roots([(person.pk, branch.pk)], now=now, source="manual")
    ContactPhone.objects.create(contact=person, phone=PHONE, source=f"remark:{follow.pk}", created_at=now)
    Note.objects.create(contact=branch, text="圆子说太干", author_id=1, author_name="林小雅", written_at=now)
    todo = Todo.objects.create(
        contact=person, member=lin, text="给圆子送小样", due_at=now, created_at=now, author_id=1, author_name="林小雅"
    )
    RemarkEdit.objects.create(follow=follow, remark="圆子-敏感肌", state="done", asked_at=now, settled_at=now)
    ConsentRecord.objects.create(
        contact=person, purpose="profile", decision="given", channel="store", source="customer", evidence="当面签字的纸条",
        decided_at=now, noted_at=now, noted_by_name="林小雅",
    )  # fmt: skip
    StageTransition.objects.create(
        contact=person, to_stage=stages["repeat"], changed_at=now, source="manual", reason="周末来店试香"
    )
    group = make_group("静安寺福利群", owner=lin, notice="有事找 13912345678")
    joined = now - timedelta(days=3)
    GroupMembership.objects.create(
        group=group,
        kind=2,
        userid=EXTERNAL,
        name="欧阳小圆子",
        group_nickname="圆子爱香群昵称",
        contact=person,
        joined_at=joined,
    )
    GroupMembership.objects.create(group=group, kind=2, userid="wmFRIEND", invitor_userid=EXTERNAL, joined_at=now)
    record_events([
        NewEvent("group.joined", joined, "callback", f"group.joined:{group.pk}:{EXTERNAL}:1", contact_id=person.pk,
                 group_id=group.pk, payload={"userid": EXTERNAL, "scene": 3}),
        NewEvent("follow.added", now, "callback", "follow.added:pair:0123:1", contact_id=person.pk, member_id=lin.pk,
                 subject="pair:0123", payload={"state": "门店码", "note": "欧阳小圆子"}),
        NewEvent("group.left", now, "callback", f"group.left:{group.pk}:{OTHER_EXTERNAL}:9", group_id=group.pk,
                 payload={"userid": OTHER_EXTERNAL}),
    ])  # fmt: skip
    _bought(person)
    _tagged(person, follow)
    _written_to(person, follow, lin)
    _in_the_books(person, follow, todo, corp)
    _in_the_lists(person, branch, lin, mei)
    return Contact.objects.get(pk=person.pk)


def _in_the_lists(person: Contact, branch: Contact, lin: Any, mei: Any) -> None:
    """What colleagues did with many, or because she is like somebody."""
    now, other = clock.now(), make_contact("别人")
    DetailChange.objects.create(contact=person, key="skin", before=None, after="喜欢木质香", changed_at=now)
    Duplicate.objects.create(first=person, second=other, keys=[f"phone:{PHONE}"], found_at=now)
    SharedPhone.objects.create(phone=PHONE, people=9, found_at=now)
    Clash.objects.create(
        contact=person, member=lin, other=mei, fact_key=f"follow.added:{EXTERNAL}", added_at=now, noticed_at=now
    )
    make_phone_to_add(phone=PHONE)
    make_phone_to_add(phone=PHONE, state="added", contact=person, name="圆子另一个名字", remark="圆子说太干")
    BulkChange.objects.create(kind="tags", title=f"找 {PHONE}", params={"q": PHONE}, total=1, created_at=now)
    SavedView.objects.create(owner=make_user(), name="找人", filters={"q": PHONE}, created_at=now, changed_at=now)
    run = ImportRun.objects.create(kind="contacts", file_name="老客.csv", file_digest="0", created_at=now)
    ImportRow.objects.create(
        run=run,
        line=2,
        key_kind="external",
        key=EXTERNAL,
        values={"phone": PHONE},
        target_id=person.pk,
        outcome="updated",
    )


def _bought(person: Contact) -> None:
    make_order(person, phone=PHONE, total_minor=31_200, external_userid=EXTERNAL, unionid=UNION)


def _tagged(person: Contact, follow: Follow) -> None:
    now = clock.now()
    FollowTag.objects.create(follow=follow, contact=person, tag=make_tag("敏感肌"), origin="guide", tagged_at=now)
    segment = Segment.objects.create(name="老客", tree=tree_of({"all": []}), size=1, created_at=now)
    SegmentEntry.objects.create(segment=segment, contact=person, entered_at=now)
    rule = Rule.objects.create(name="规则", tree=tree_of({"all": []}), actions=[], created_at=now)
    RuleMatch.objects.create(rule=rule, contact=person, rule_version=1, entered_at=now)


def _written_to(person: Contact, follow: Follow, lin: Any) -> None:
    now = clock.now()
    with campaigns.at_time(campaigns.local(11)):
        first, second = (campaigns.units(campaigns.released(campaigns.make_customers(1, lin)))[0] for _time in range(2))
    delivery = Delivery.objects.create(
        push=first.push, target=f"c{person.pk}", contact=person, follow=follow, dispatch=second, state="sent", sent_at=now,
        external_userid=EXTERNAL, note="圆子不要打扰", frozen_at=now,
    )  # fmt: skip
    DeliveryMove.objects.create(
        delivery=delivery, from_dispatch=first, to_dispatch=second, from_follow=follow, from_member=lin,
        from_external_userid=EXTERNAL, moved_at=now,
    )  # fmt: skip
    Dispatch.objects.filter(pk=first.pk).update(note=f"{EXTERNAL} 刚来过")
    WelcomeSend.objects.create(
        corp=lin.corp, member_userid=lin.userid, external_userid=EXTERNAL, state="sent", received_at=now
    )
    sent = MassSend.objects.create(corp=lin.corp, msgid="m1", chat_type="single", create_type=0, created_at=now)
    sop = Sop.objects.create(name="新客7天", state="on", created_at=now)
    version = SopVersion.objects.create(sop=sop, number=1, trigger="follow_added", created_at=now)
    Enrollment.objects.create(
        version=version, sop=sop, target=f"c{person.pk}", contact=person, follow=follow, entered_at=now,
        trigger_key=f"group.joined:1:{EXTERNAL}:1",
    )  # fmt: skip
    MassSendResult.objects.create(corp=lin.corp, mass_send=sent, userid=lin.userid, target=EXTERNAL, status=1)


def _in_the_books(person: Contact, follow: Follow, todo: Todo, corp: Any) -> None:
    now = clock.now()
    done = {"state": "done", "settled_at": now, "next_attempt_at": now, "created_at": now, "lane": "outbound"}
    OutboundCommand.objects.create(
        corp=corp,
        kind="todo.remind",
        policy="once",
        entity_key=f"todo:{todo.pk}",
        payload={"text": "客户:欧阳小圆子 给圆子送小样"},
        **done,
    )
    OutboundCommand.objects.create(
        corp=corp,
        kind="tag.mark",
        policy="idempotent",
        entity_key="else",
        payload={"external_userid": EXTERNAL},
        **done,
    )
    InboundEvent.objects.create(
        corp=corp, digest="d1", lane="inbound", event="change_external_contact", change_type="edit_external_contact",
        entity_key=f"{corp.pk}:p:{EXTERNAL}", body=f"<xml><ExternalUserID>{EXTERNAL}</ExternalUserID></xml>", occurred_at=now,
        received_at=now, next_attempt_at=now,
    )  # fmt: skip
    run = SyncRun.objects.create(corp=corp, state="done", started_at=now, finished_at=now)
    SyncUnit.objects.create(run=run, kind="write", key=EXTERNAL, cursor="")
    StagedRow.objects.create(run=run, kind="contacts", unit_key="lin", key=EXTERNAL, payload={"name": "欧阳小圆子"})
    DriftRow.objects.create(
        run=run,
        entity="follow",
        key=f"{EXTERNAL}/lin",
        kind="different",
        before={"remark": "圆子-敏感肌"},
        found_at=now,
    )
    audit.record("contact.details_changed", person, by=SYSTEM, remark="圆子-敏感肌")
    audit.record("probe.done", by=SYSTEM, phones=[PHONE])
    Job.objects.create(kind="probe", title="t", params={"query": f"q={EXTERNAL}"}, state="done", created_at=now)
    IdempotentRequest.objects.create(
        token_id=1, key="k", request_digest="d", status=200, body={"phone": PHONE}, created_at=now
    )
    (tenant_dir("exports") / "contacts-1.csv").write_text(f"编号,昵称\n{person.pk},欧阳小圆子\n", encoding="utf-8")
    (tenant_dir("imports") / "rejects-1.csv").write_text(f"行号,手机\n2,{PHONE}\n", encoding="utf-8")
    (tenant_dir("exports") / "contacts-2.csv").write_text("编号,昵称\n1,别人\n", encoding="utf-8")


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


# --- Under way for her ---------------------------------------------------------------------------------------------------


def test_calls_not_made_yet_are_given_up_and_one_in_doubt_is_waited_for(acme: Any) -> None:
    follow = make_follow()
    now = clock.now()
    fields = {"corp": follow.corp, "lane": "outbound", "next_attempt_at": now, "created_at": now}
    edit = RemarkEdit.objects.create(follow=follow, remark="新备注", asked_at=now)
    waiting = OutboundCommand.objects.create(
        kind="follow.remark", policy="idempotent", entity_key=f"follow:{follow.pk}", subject_id=edit.pk, **fields
    )
    doubt = OutboundCommand.objects.create(
        kind="todo.remind", policy="once", entity_key=f"follow:{follow.pk}", state="unknown", sent_at=now, **fields
    )
    request = work(ask(follow.contact))
    assert (request.state, request.waits_for) == ("waiting", {"commands": 1})
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    follow.refresh_from_db()
    assert follow.contact.opt_out_since and follow.identity.value.startswith("wm"), "she is known until the answer is"
    assert erasing.drain(clock.wall() + timedelta(seconds=5)) is False, (
        "it looks again later, and holds up nobody meanwhile"
    )
    OutboundCommand.objects.filter(pk=doubt.pk).update(state="done", settled_at=now)
    assert work(request).state == "done"


def test_a_message_that_wecom_has_is_waited_for_and_one_that_it_has_not_is_not_made(acme: Any) -> None:
    with campaigns.at_time(campaigns.local(11)):
        person, other = campaigns.make_customers(2)
        early = campaigns.units(campaigns.released([person, other]))[0]
        request = work(ask(person))
        assert request.state == "done"
        left = Delivery.objects.get(contact=person)
        assert (left.state, left.reason, left.external_userid) == ("skipped", "opt_out", "")
        assert Delivery.objects.get(contact=other).state == "planned"
        Dispatch.objects.filter(pk=early.pk).update(state="tasked", msgid="m9")
        Delivery.objects.filter(contact=other).update(state="tasked")
        assert work(ask(other)).waits_for == {"messages": 1}


def test_an_import_under_way_ends_first(acme: Any) -> None:
    job = Job.objects.create(kind="orders.import", title="导入", created_at=clock.now())
    request = work(ask(make_follow().contact))
    assert request.waits_for == {"jobs": 1}
    Job.objects.filter(pk=job.pk).update(state="done")
    assert work(request).state == "done"
    assert longjobs.count_open() == 0


def test_a_crash_in_the_middle_goes_on_where_it_stood(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(full_person())
    real, calls = erasure.erase_rows, iter(range(1000))

    def killed(*given: Any) -> Any:
        if next(calls) == 12:
            raise RuntimeError("killed")
        return real(*given)

    monkeypatch.setattr(erasing.erasure, "erase_rows", killed)
    with pytest.raises(RuntimeError):
        for _piece in range(50):
            erasing.advance(request.pk)
    request.refresh_from_db()
    assert (request.state in ("waiting", "running") and request.keys != "") or request.state == "waiting"
    assert erasing.drain(clock.wall() + timedelta(seconds=20)) is False
    request.refresh_from_db()
    assert request.state == "done" and traces() == {}


# --- She does not come back by herself -----------------------------------------------------------------------------------


def test_what_wecom_goes_on_telling_of_her_past_is_not_let_in(acme: Any) -> None:
    person = full_person()
    follow = person.follows.get()
    corp, userid, added = follow.corp, follow.member.userid, follow.added_at
    erase(person)
    event = InboundEvent.objects.create(
        corp=corp, digest="d2", lane="inbound", event="change_external_contact", change_type="edit_external_contact",
        entity_key=f"{corp.pk}:p:{EXTERNAL}", body=f"<xml><ExternalUserID>{EXTERNAL}</ExternalUserID></xml>",
        occurred_at=clock.now(), received_at=clock.now(), next_attempt_at=clock.now(),
    )  # fmt: skip
    fact = event_fact("edit_external_contact", EXTERNAL, userid, clock.now())
    batch = people_batch(
        person_row(EXTERNAL, follow_info(userid, added, remark="圆子-敏感肌", remark_mobiles=("13912345678",)), name="欧阳小圆子"),
        corp=corp, events=[type(fact)(**{**vars(fact), "event_id": event.pk})],
    )  # fmt: skip
    assert list(comparing.compare_people(batch)) == []
    handlers.on_people(batch)
    assert traces() == {} and not Identity.objects.filter(value=EXTERNAL).exists()
    listed = inventory.list_follows(corp, [userid])[userid]
    assert len(listed) == inventory.count_follows(corp)[userid] == 2 and not any(one.startswith("~") for one in listed)


def test_a_group_keeps_its_count_and_not_her_name(acme: Any) -> None:
    person = full_person()
    row = GroupMembership.objects.get(contact=person)
    group, joined = row.group, row.joined_at
    erase(person)
    info = group_info(
        group.chat_id, group.owner_userid,
        [group_member(EXTERNAL, joined, name="欧阳小圆子", unionid=UNION), group_member("wmFRIEND", joined)],
    )  # fmt: skip
    batch = groups_batch(info, corp=group.corp)
    handlers.on_groups(batch)
    group.refresh_from_db()
    row.refresh_from_db()
    assert group.customer_count == 2 and row.left_at is None and traces() == {}


def test_who_adds_a_guide_again_is_a_new_person(acme: Any) -> None:
    person = full_person()
    follow = person.follows.get()
    corp, userid = follow.corp, follow.member.userid
    other = make_member("新导购", store=follow.member.store)
    erase(person)
    later = clock.now() + timedelta(minutes=5)
    row = person_row(
        EXTERNAL,
        follow_info(userid, follow.added_at, remark="圆子-敏感肌"),
        follow_info(other.userid, later),
        name="新名字",
    )
    handlers.on_people(people_batch(row, corp=corp, read_at=later))
    new = Contact.objects.get(name="新名字")
    assert new.pk != person.pk and new.opt_out_since is None
    assert [(one.member, one.relation) for one in new.follows.all()] == [(other, Relation.ACTIVE)]
    # Now known again, her new relation is read as anybody's; the old one is still nobody's.
    handlers.on_people(people_batch(row, corp=corp, read_at=later + timedelta(minutes=1)))
    assert new.follows.count() == 1 and not Follow.objects.filter(remark="圆子-敏感肌").exists()
    assert erase(Contact.objects.get(pk=new.pk)).state == "done", "and may be erased again"
    assert ErasedKey.objects.count() == 5


def test_an_old_file_of_orders_brings_no_phone_back_and_a_new_order_is_a_new_buyers(acme: Any) -> None:
    person = full_person()
    order = Order.objects.get()
    erase(person)
    again = order_row(
        number=order.number, phone=PHONE, external_userid=EXTERNAL, total_minor=31_200, ordered_at=order.ordered_at
    )
    later = order_row(phone=PHONE, ordered_at=clock.now() + timedelta(hours=1))
    upsert_orders([again, later], source="pos", by=SYSTEM)
    order.refresh_from_db()
    assert (order.buyer_phone, order.buyer_external_userid, order.contact_id) == ("", "", person.pk)
    assert Order.objects.get(number=later.number).buyer_phone == PHONE


def test_results_that_wecom_goes_on_listing_are_kept_without_her_id(acme: Any) -> None:
    person = full_person()
    sent = MassSend.objects.get()
    erase(person)
    told = {"send_list": [{"external_userid": EXTERNAL, "status": 1}, {"external_userid": "wmFRIEND", "status": 1}]}
    kept = answers.kept(told)
    assert kept["send_list"][1] == told["send_list"][1] and EXTERNAL not in str(kept)
    userid = sent.results.get().userid
    ledger._record_results(sent.corp_id, {"msgid": "m1", "userid": userid}, told)
    assert sent.results.count() == 2 and traces() == {}, "the row of before is found again, and quota still counted"


def test_two_requests_of_people_who_turn_out_to_be_one_remove_her_once(acme: Any) -> None:
    first, second = make_follow().contact, make_follow().contact
    asked, other = ask(first), ask(second)
    merge_roots([(first.pk, second.pk)], now=clock.now(), source="manual")
    assert work(other).waits_for == {erasing.MERGED: 1}
    assert (work(asked).state, asked.people) == ("done", 2)
    assert (work(other).state, other.contact_id) == ("done", first.pk)
    assert merge_roots([(first.pk, make_contact().pk)], now=clock.now(), source="manual") == set(), (
        "an empty shell joins nobody"
    )


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


def test_a_merge_with_an_erased_person_cannot_be_undone(acme: Any) -> None:
    person = full_person()
    merge = ContactMerge.objects.get()
    erase(person)
    with pytest.raises(UserError, match="已按请求删除"):
        undo_merge(merge.pk, by=actor_of(make_user()))
