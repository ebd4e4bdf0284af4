"""批量加好友: phones come in by file, are given out, copied, found added, taken back, and seen by whom they concern."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.scope import EVERYTHING, DataScope
from contacts.models import Contact, Member, PhoneBatch, PhoneToAdd
from contacts.services import adding
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support import wecom
from tests.support.contacts import (
    follow_info,
    make_contact,
    make_dealer,
    make_follow,
    make_identity,
    make_member,
    make_phone,
    make_phone_to_add,
    make_store,
    people_batch,
    person_row,
)
from tests.support.core import log_in, make_user
from tests.support.imports import brought_in, figures, problems, taken_back, tried, work
from wecom_bridge.contracts import handlers_for

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
State = PhoneToAdd.State


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def file_of(*lines: str) -> str:
    return "手机号,姓名,备注,来源,门店,导购账号\n" + "".join(line + "\n" for line in lines)


def states() -> dict[str, tuple[str, str]]:
    """Phone's tail → (state, guide)."""
    rows = PhoneToAdd.objects.select_related("member")
    return {row.phone[-2:]: (row.state, str(row.member or "")) for row in rows}


def passed() -> None:
    """The lane, until nothing is due."""
    assert adding.drain(clock.wall() + timedelta(seconds=20)) is False


# --- The file ---------------------------------------------------------------------------------------------------------


def test_phones_go_to_the_named_guide_or_within_the_store_and_the_rest_waits() -> None:
    here, empty = make_store("静安寺", code="S1"), make_store("五角场", code="S2")
    lin, mei = make_member("林", store=here, userid="lin"), make_member("梅", store=here, userid="mei")
    make_member("没权限", store=empty, has_customer_contact=False)
    friend = make_follow().contact
    Contact.objects.filter(pk=friend.pk).update(active_follows=1)
    make_phone(friend, "+8613900000090")
    quiet = make_contact("安静", opt_out_since=clock.now())
    make_phone(quiet, "+8613900000091")
    make_phone_to_add(phone="+8613900000092")
    text = file_of(
        "139 0000 0001,王女士,想试香,周年庆,,lin", "13900000002,,,,S1,", "+86-13900000003,,,,S1,", "13900000004,,,,S2,", "13900000005,,,,,",
        "13900000090,,,,,", "13900000091,,,,,", "13900000092,,,,,", "13900000005,,,,,", "139****0006,,,,,", "13900000007,,,,S9,",
    )  # fmt: skip
    assert figures(tried(text, "adding")) == (5, 0, 0, 6)
    assert PhoneToAdd.objects.count() == 1  # the trial writes nothing
    run = brought_in(text, "adding")
    assert figures(run) == (5, 0, 0, 6)
    said = problems(run)
    for line, words in (
        (7, "已经是导购的好友"),
        (8, "免打扰"),
        (9, "已在别的批次"),
        (10, "同一个号码"),
        (11, "不是有效号码"),
        (12, "门店「S9」"),
    ):
        assert words in said[line]
    found = states()
    assert found["01"] == ("to_add", "林")
    assert sorted((found["02"], found["03"])) == [
        ("to_add", "林"),
        ("to_add", "梅"),
    ]  # evenly in the store: she has one already
    assert (found["04"], found["05"]) == (("unassigned", ""), ("unassigned", ""))
    first = PhoneToAdd.objects.get(phone="+8613900000001")
    assert (first.name, first.remark, first.source, first.had) == ("王女士", "想试香", "周年庆", [lin.pk])
    assert (first.batch.name, mei.pk in first.had) == ("客户.csv", False)


def test_an_import_is_taken_back_but_for_what_a_guide_took_up() -> None:
    lin = make_member("林", store=make_store("静安寺", code="S1"), userid="lin")
    run = brought_in(file_of("13900000001,,,,,lin", "13900000002,,,,,lin", "13900000003,,,,,"), "adding")
    taken = PhoneToAdd.objects.get(phone="+8613900000001")
    adding.copy(PhoneToAdd.objects.filter(member=lin), taken.pk, by=SYSTEM, at=clock.now())
    taken_back(run)
    assert (run.rows_undone, run.rows_kept) == (2, 1)
    assert states() == {"01": ("waiting", "林")}


def test_a_manager_brings_in_only_for_her_own_stores_and_guides() -> None:
    here, there = make_store("静安寺", code="S1"), make_store("五角场", code="S2", dealer=make_dealer("海纳"))
    make_member("林", store=here, userid="lin")
    make_member("梅", store=there, userid="mei")
    scope = DataScope(user_id=0, store_ids=frozenset({here.pk}))
    lines = ("13900000001,,,,S1,", "13900000002,,,,S2,", "13900000003,,,,,mei", "13900000004,,,,,")
    run = brought_in(file_of(*lines), "adding", scope=scope)
    assert (figures(run), states()) == ((1, 0, 0, 3), {"01": ("to_add", "林")})
    assert [
        words in problems(run)[line] for line, words in ((3, "管辖范围"), (4, "管辖范围"), (5, "写明门店或导购"))
    ] == [True] * 3


def test_the_database_keeps_a_phone_open_once_and_a_closed_one_may_come_again() -> None:
    first = make_phone_to_add(phone="+8613900000001")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_phone_to_add(phone="+8613900000001")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_phone_to_add(recycle_at=clock.now())
    adding.stop(first.batch_id, by=SYSTEM, at=clock.now())
    assert figures(brought_in(file_of("13900000001,,,,,"), "adding")) == (1, 0, 0, 0)


# --- Given out ----------------------------------------------------------------------------------------------------------


def test_what_waits_goes_evenly_to_the_chosen_stores_and_guides_who_can_take_it() -> None:
    here = make_store("静安寺")
    lin, mei, zoe = make_member("林", store=here), make_member("梅", store=here), make_member("舟")
    for over in ({"status": Member.Status.LEFT}, {"has_customer_contact": False}, {"archived_at": clock.now()}):
        make_member("不能", store=here, **over)
    batch = make_phone_to_add().batch
    for _ in range(9):
        make_phone_to_add(batch=batch)
    with pytest.raises(UserError):
        adding.start_distribution(batch.pk, [], [], EVERYTHING, by=SYSTEM)
    assert adding.start_distribution(batch.pk, [here.pk], [zoe.pk], EVERYTHING, by=SYSTEM) == 3
    with pytest.raises(Conflict):
        adding.start_distribution(batch.pk, [here.pk], [], EVERYTHING, by=SYSTEM)
    work()
    held = [batch.phones.filter(member=one, state=State.TO_ADD).count() for one in (lin, mei, zoe)]
    assert (sorted(held), sum(held)) == ([3, 3, 4], 10)


def test_after_some_days_a_phone_goes_on_to_who_had_it_not_and_at_last_to_nobody() -> None:
    here = make_store("静安寺")
    lin, mei = make_member("林", store=here), make_member("梅", store=here)
    make_member("外店", store=make_store("五角场"))
    with time_machine.travel(NOW, tick=False):
        phone = make_phone_to_add(lin)
        adding.save_days(3, by=SYSTEM)
    for day, expected, had in ((6.9, ("to_add", "林"), 1), (7.1, ("to_add", "梅"), 2), (10.2, ("unassigned", ""), 2)):
        with time_machine.travel(NOW + timedelta(days=day), tick=False):
            passed()
            passed()  # again: nothing is due
            phone.refresh_from_db()
            assert ((phone.state, str(phone.member or "")), len(phone.had)) == (expected, had)
    with time_machine.travel(NOW + timedelta(days=11), tick=False):
        zoe = make_member("舟", store=here)
        adding.reassign(PhoneToAdd.objects.all(), zoe, by=SYSTEM, at=clock.now())
    with time_machine.travel(NOW + timedelta(days=15), tick=False):
        passed()
        phone.refresh_from_db()
        assert (phone.state, phone.reason, phone.had) == ("recycled", "tired", [lin.pk, mei.pk, zoe.pk])


@pytest.mark.parametrize("days", [None, 0, 61])
def test_days_that_make_no_sense_are_refused(days: int | None) -> None:
    with pytest.raises(UserError):
        adding.save_days(days, by=SYSTEM)


# --- Added ----------------------------------------------------------------------------------------------------------------


def told(member: Member, *mobiles: str, external: str = "a", source: str = "callback", way: int = 2) -> None:
    info = follow_info(member.userid, clock.now(), add_way=way, remark_mobiles=mobiles)
    for handler in handlers_for("people"):
        handler(people_batch(person_row(external, info, name="客"), corp=member.corp, source=source))


@pytest.mark.parametrize("source", ["callback", "reconcile", "backfill"])
def test_whoever_is_added_with_that_phone_is_added_by_the_guide_or_by_another(source: str) -> None:
    corp = wecom.make_corp()
    lin, mei = make_member("林", corp=corp), make_member("梅", corp=corp)
    mine, others, waits = (make_phone_to_add(lin) for _ in range(3))
    told(lin, mine.phone, external="a", source=source)
    told(mei, others.phone.removeprefix("+86"), external="b", source=source)
    told(lin, external="c", source=source)  # added by phone, and nobody noted which
    for phone in (mine, others, waits):
        phone.refresh_from_db()
    assert (mine.state, mine.added_by, mine.add_way, mine.recycle_at) == ("added", lin, 2, None)
    assert (others.state, others.member, others.added_by) == ("added", lin, mei)
    assert waits.state == "to_add"
    assert mine.contact is not None


def test_a_known_person_who_comes_back_is_found_by_the_phone_known_of_her() -> None:
    lin = make_member("林", corp=wecom.make_corp())
    person = make_contact("老客")
    make_phone(person, "+8613900000001", "order")
    phone = make_phone_to_add(lin, phone="+8613900000001")
    make_identity(person, corp=lin.corp, value="a")
    told(lin, external="a")
    phone.refresh_from_db()
    assert (phone.state, phone.contact) == ("added", person)


# --- Pages ----------------------------------------------------------------------------------------------------------------


def test_a_guide_copies_on_record_and_marks_and_sees_only_her_own() -> None:
    user = make_user(role="guide")
    lin = make_member("林", store=make_store(), user=user)
    mine, other = make_phone_to_add(lin, phone="+8613912345678", name="王女士"), make_phone_to_add(make_member("梅"))
    client = log_in(user)
    page = client.get("/m/adding/").content.decode()
    assert "139****5678" in page and "13912345678" not in page
    assert "1 个号码待添加" in client.get(reverse("campaigns:today")).content.decode()
    assert client.get(f"/m/adding/{mine.pk}/copy/").status_code == 405
    assert "13912345678" in client.post(f"/m/adding/{mine.pk}/copy/").content.decode()
    assert "13912345678" in log_in(user, HTTP_HX_REQUEST="true").post(f"/m/adding/{mine.pk}/copy/").content.decode()
    assert AuditEntry.objects.filter(action="adding.copied", subject_id=str(mine.pk)).count() == 2
    assert "13912345678" not in client.get("/m/adding/?state=waiting").content.decode()
    for address in ("copy", "mark"):
        assert client.post(f"/m/adding/{other.pk}/{address}/", {"reason": "wrong"}).status_code == 404
    assert client.post(f"/m/adding/{mine.pk}/mark/", {"reason": "tired"}).status_code == 422
    assert client.post(f"/m/adding/{mine.pk}/mark/", {"reason": "declined"}).status_code == 302
    mine.refresh_from_db()
    assert (mine.state, mine.reason, mine.recycle_at) == ("invalid", "declined", None)
    assert client.get("/adding/").status_code == 403


def test_a_manager_sees_her_store_and_reassigns_within_it() -> None:
    here, there = make_store("静安寺"), make_store("五角场", dealer=make_dealer("海纳"))
    lin, mei = make_member("林", store=here), make_member("梅", store=here)
    away = make_member("远", store=there)
    mine, waits = make_phone_to_add(lin), make_phone_to_add(store=here)
    other, _pool = make_phone_to_add(away), make_phone_to_add()
    boss, hq = log_in("store", scope=here), log_in("hq")
    context = boss.get("/adding/").context
    assert {row["phone"] for row in context["rows"]} == {mine, waits}
    assert [tab["count"] for tab in context["tabs"]] == [2, 1, 1, 0, 0, 0, 0]
    assert hq.get("/adding/").context["tabs"][0]["count"] == 4
    ids = [mine.pk, waits.pk, other.pk]
    assert boss.post("/adding/reassign/", {"ids": ids, "guide": away.userid}).status_code == 422
    assert boss.post("/adding/reassign/", {"ids": ids, "guide": mei.userid}).status_code == 302
    assert set(PhoneToAdd.objects.filter(member=mei)) == {mine, waits}
    assert boss.get(f"/adding/batches/{other.batch_id}/").status_code == 404
    assert boss.post(f"/adding/batches/{mine.batch_id}/stop/").status_code == 403
    assert boss.post("/adding/days/", {"days": "5"}).status_code == 403
    assert boss.post(f"/adding/batches/{mine.batch_id}/distribute/", {"stores": [there.pk]}).status_code == 422

    assert hq.post(f"/adding/batches/{other.batch_id}/stop/").status_code == 302
    other.refresh_from_db()
    assert (other.state, other.reason, other.batch.stopped_at is not None) == ("recycled", "stopped", True)
    assert hq.post("/adding/days/", {"days": "5"}).status_code == 302
    assert hq.get("/adding/").context["days"] == 5
    assert hq.post(f"/adding/batches/{mine.batch_id}/distribute/", {"guides": "没有这人"}).status_code == 422


def test_the_pages_cost_the_same_with_many(acme_client: Client) -> None:
    batch = PhoneBatch.objects.create(name="名单", import_id=77_777, created_at=clock.now())

    user = make_user(role="guide")
    own = make_member(user=user)
    guide = log_in(user)

    def cost(address: str) -> int:
        client = guide if address.startswith("/m/") else acme_client
        with CaptureQueriesContext(connection) as spent:
            assert client.get(address).status_code == 200
        return len(spent)

    def fill() -> None:
        for _ in range(4):
            make_phone_to_add(make_member(store=make_store()), batch=batch)
            make_phone_to_add()
            make_phone_to_add(own)

    addresses = ("/adding/", "/adding/batches/", f"/adding/batches/{batch.pk}/", "/m/adding/")
    fill()
    few = {one: (cost(one), cost(one))[1] for one in addresses}
    fill()
    assert {one: cost(one) for one in addresses} == few
    assert max(few.values()) <= 18
