"""人员变动: what is noticed after a reading of the directory, what a person decides, and that nothing happens before."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import (
    Contact,
    Department,
    Follow,
    GroupChat,
    HandoverPlan,
    Member,
    MemberPlacement,
    StaffChange,
    Store,
    Todo,
)
from contacts.services import organisation
from contacts.services.handover import planning, unassigned
from contacts.services.staffing import deciding
from contacts.services.staffing.noticing import notice
from contacts.services.standing import refresh_standing
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.audit import SYSTEM
from tenants.context import current_tenant
from tenants.ledger.models import AuditEntry
from tests.support.contacts import (
    group_info,
    group_member,
    groups_batch,
    make_contact,
    make_corp,
    make_follow,
    make_group,
    make_member,
    make_staff_change,
    make_store,
    members_batch,
)
from tests.support.core import actor_of, grant, log_in, make_user
from wecom_bridge.contracts import MemberInfo, handlers_for
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db
FOLLOW, STAY = "follow", "stay"


def department(number: int, store: Store | None = None, parent: int = 1) -> Department:
    return Department.objects.create(
        corp=make_corp(), department_id=number, name=f"部门{number}", store=store, parent_department_id=parent
    )


def read(*members: MemberInfo, **more: Any) -> None:
    for handler in handlers_for("members"):
        handler(members_batch(*members, read_at=clock.now(), **more))


def info(member: Member, *departments: int, **more: Any) -> MemberInfo:
    return MemberInfo(member.userid, member.name, departments, more.pop("status", "active"), True, **more)


def look() -> None:
    notice(make_corp(), now=clock.now())


def open_changes() -> list[tuple[str, str, int | None]]:
    rows = StaffChange.objects.filter(state="open").order_by("kind", "pk")
    return [(row.kind, row.member.name, row.to_store_id) for row in rows]


def seen(change: StaffChange) -> str:
    return StaffChange.objects.get(pk=change.pk).digest


def todo(member: Member, contact: Contact) -> Todo:
    now = clock.now()
    return Todo.objects.create(
        contact=contact, member=member, text="送小样", due_at=now, created_at=now, author_id=1, author_name="x"
    )


def moving(customers: int = 2) -> tuple[Member, Store, Store, StaffChange]:
    """A guide with customers and a group whose department stands for another store now."""
    old, new = make_store("静安寺店"), make_store("五角场店")
    member = make_member("林小雅", store=old)
    for _number in range(customers):
        make_follow(make_contact(), member)
    make_group(owner=member)
    department(9, new)
    read(info(member, 9))
    return member, old, new, StaffChange.objects.get(state="open")


def stores_of_hers(member: Member) -> set[int | None]:
    people = Contact.objects.filter(owner=member).values_list("store_id", flat=True)
    return {*people, *GroupChat.objects.filter(owner=member).values_list("store_id", flat=True)}


# --- noticing -------------------------------------------------------------------------------------------------------


def test_a_plain_newcomer_is_placed_and_everything_else_waits() -> None:
    jing, wu = make_store(), make_store()
    department(2, jing), department(3, wu), department(4)
    plain, torn, lost, before = (make_member(name) for name in ("新人", "两店", "无部门", "有客户"))
    make_follow(make_contact(), before)
    office = make_member("总部", has_customer_contact=False)
    for member, ids in ((plain, [2]), (torn, [3, 2]), (lost, [4]), (before, [2]), (office, [4])):
        Member.objects.filter(pk=member.pk).update(department_ids=ids)
    look()
    assert open_changes() == [("joined", "两店", wu.pk), ("joined", "无部门", None), ("joined", "有客户", jing.pk)]
    plain.refresh_from_db()
    assert plain.store == jing and plain.placements.get().store == jing
    look()
    assert StaffChange.objects.count() == 3


def test_before_any_department_has_a_store_nobody_is_asked_about() -> None:
    make_member("新人", department_ids=[2])
    department(2)
    look()
    assert not StaffChange.objects.exists()


def test_a_moved_department_moves_nobody_until_somebody_decides() -> None:
    member, old, new, change = moving()
    member.refresh_from_db()
    assert (member.store, change.kind, change.from_store, change.to_store) == (old, "moved", old, new)
    assert stores_of_hers(member) == {old.pk}

    read(info(member, 9, position="店长"))  # read again: still one row
    read(info(member, 1))  # back where nobody proposes anything
    change.refresh_from_db()
    assert (change.state, StaffChange.objects.count()) == ("void", 1)
    with pytest.raises(Conflict, match="已经失效"):
        deciding.move(change.pk, deciding.Move(new, FOLLOW), seen=change.digest, by=SYSTEM)


def test_a_leaver_with_something_left_behind_is_noticed_once_each_time_she_leaves() -> None:
    empty, full = make_member("没有客户"), make_member("有待办", store=make_store())
    task = todo(full, make_contact())
    read(left_userids=[empty.userid, full.userid])
    assert open_changes() == [("left", "有待办", None)]
    deciding.keep(StaffChange.objects.get().pk, seen=seen(StaffChange.objects.get()), by=SYSTEM)
    look()
    assert open_changes() == []
    with clock.shifted(timedelta(days=1)):
        read(info(full, 1))
        read(left_userids=[full.userid])
        assert open_changes() == [("left", "有待办", None)]
        Todo.objects.filter(pk=task.pk).update(done_at=clock.now(), done_by_id=1)
        look()
        assert open_changes() == []


def test_wecoms_list_is_read_when_somebody_leaves_and_nightly_while_her_customers_wait(acme_client: Client) -> None:
    gone = make_member("王悦", store=make_store())
    friend = make_follow(make_contact(), gone)
    readings = OutboundCommand.objects.filter(kind=unassigned.READ)

    def answer(count: int) -> None:
        readings.update(state="done")
        waiting = [{"handover_userid": gone.userid, "dimission_time": 0}] * count
        unassigned.record_page(gone.corp, {"counts": {}}, waiting, "")

    def pages() -> list[str]:
        urls = ("/org/changes/?tab=left", f"/org/changes/{StaffChange.objects.get().pk}/", f"/handover/{plan.pk}/")
        return [acme_client.get(url).content.decode() for url in urls]

    read(info(gone, 1))
    assert not readings.exists()
    read(left_userids=[gone.userid])
    read(left_userids=[gone.userid])
    unassigned.ask(by=SYSTEM)
    assert readings.count() == 1  # a reading that is wished stands for all of them
    plan = planning.open_plan(Member.objects.get(pk=gone.pk), by=SYSTEM)
    assert ["还没有读到" in page for page in pages()] == [False, True, True]
    readings.update(state="failed")
    read()
    assert readings.count() == 1  # what WeCom refused is not asked again by every reading of the directory
    answer(7)
    read()
    assert readings.count() == 1
    due = planning.deadline_for(Member.objects.get(pk=gone.pk))
    deadline = clock.local_day(due, current_tenant().time_zone).isoformat()
    assert all("7" in page and "企业微信待分配" in page and deadline in page for page in pages())
    with clock.shifted(timedelta(days=1)):
        read()
        assert readings.count() == 2
    answer(0)
    Follow.objects.filter(pk=friend.pk).update(relation="transferred")
    with clock.shifted(timedelta(days=2)):
        read()
        assert readings.count() == 2


def test_noticing_costs_as_much_for_many_as_for_few() -> None:
    store, other = make_store(), make_store()
    department(2, store), department(3, other)

    def cost(count: int) -> int:
        for _number in range(count):
            make_member(store=store, department_ids=[3])
            make_member(department_ids=[2])
            make_follow(make_contact(), make_member(store=store, status="left", left_at=clock.now()))
        with CaptureQueriesContext(connection) as captured:
            look()
        return len(captured)

    assert cost(2) == cost(20)


# --- deciding -------------------------------------------------------------------------------------------------------


def test_customers_follow_to_the_new_store_when_a_person_says_so() -> None:
    member, old, new, change = moving()
    with CaptureQueriesContext(connection) as captured:
        assert deciding.move(change.pk, deciding.Move(new, FOLLOW), seen=seen(change), by=SYSTEM) is None
    hers = [one["sql"] for one in captured if '"contacts_contact"."owner_id" IN' in one["sql"]]
    assert all("FOR UPDATE" in sql for sql in hers), "who is credited to another meanwhile keeps that one's store"
    member.refresh_from_db()
    assert member.store == new and stores_of_hers(member) == {new.pk}
    first, second = MemberPlacement.objects.filter(member=member).order_by("placed_from")
    assert (first.store, second.store, first.placed_to) == (old, new, second.placed_from)
    entry = AuditEntry.objects.get(action="staff.moved")
    assert (entry.data["old"], entry.data["new"], entry.data["customers"]) == (old.pk, new.pk, "follow")
    look()
    assert open_changes() == []


def test_customers_stay_with_the_old_store_and_no_later_reading_takes_them_along() -> None:
    member, old, new, change = moving()
    colleague = make_member("梅梅", store=old)
    plan = deciding.move(change.pk, deciding.Move(new, STAY, with_plan=True), seen=seen(change), by=SYSTEM)
    member.refresh_from_db()
    assert member.store == new and stores_of_hers(member) == {old.pk}
    assert plan and (plan.kind, plan.state, plan.successor_ids) == ("onjob", "draft", [colleague.pk])

    group = GroupChat.objects.get()
    refresh_standing(Contact.objects.values_list("pk", flat=True), now=clock.now())
    batch = groups_batch(
        group_info(group.chat_id, member.userid, [group_member("wm1", clock.now())]), read_at=clock.now()
    )
    for handler in handlers_for("groups"):
        handler(batch)
    assert stores_of_hers(member) == {old.pk}

    organisation.move_member(member.pk, make_store(), by=SYSTEM)  # and on: those of the old store still stay
    assert stores_of_hers(member) == {old.pk}


def test_a_move_may_be_dated_back_but_not_into_another_placement_or_the_future() -> None:
    member, _old, new, change = moving()
    first = member.placements.get()
    now = clock.now()
    for wrong, why in ((now + timedelta(days=1), "今天之后"), (first.placed_from, "调店日期要在这之后")):
        with pytest.raises(UserError, match=why):
            deciding.move(change.pk, deciding.Move(new, FOLLOW, since=wrong), seen=seen(change), by=SYSTEM)
    assert member.placements.get() == first
    since = now - timedelta(days=3)
    deciding.move(change.pk, deciding.Move(new, FOLLOW, since=since), seen=seen(change), by=SYSTEM)
    first.refresh_from_db()
    assert first.placed_to == since


def test_who_comes_second_is_told_who_was_first_and_changes_nothing() -> None:
    member, old, new, change = moving()
    ting, min_ = (actor_of(make_user("hq", display_name=name)) for name in ("周婷", "李敏"))
    look_of_min = seen(change)
    deciding.keep(change.pk, seen=seen(change), by=ting)
    with pytest.raises(Conflict, match=r"周婷 已在 .*维持原样"):
        deciding.move(change.pk, deciding.Move(new, FOLLOW), seen=look_of_min, by=min_)
    member.refresh_from_db()
    assert member.store == old
    look()
    assert open_changes() == []  # the same proposal is not made again


def test_a_proposal_that_changed_meanwhile_is_looked_at_again() -> None:
    member, _old, new, change = moving()
    before = seen(change)
    third = make_store("世纪大道店")
    department(10, third)
    read(info(member, 10))
    with pytest.raises(Conflict, match="建议也变了"):
        deciding.move(change.pk, deciding.Move(new, FOLLOW), seen=before, by=SYSTEM)
    assert open_changes() == [("moved", "林小雅", third.pk)]


def test_moving_her_by_hand_answers_the_question() -> None:
    member, _old, _new, change = moving()
    elsewhere = make_store("拉萨店")
    organisation.move_member(member.pk, elsewhere, by=SYSTEM)
    look()
    assert open_changes() == []
    change.refresh_from_db()
    assert (change.state, change.store) == ("done", elsewhere)


def test_two_operators_on_one_members_page_do_not_undo_each_other(acme_client: Client) -> None:
    first, second = make_store("静安寺店"), make_store("五角场店")
    member = make_member()
    assert 'name="seen" value=""' in acme_client.get(f"/org/members/{member.pk}/").content.decode()
    path = f"/org/members/{member.pk}/store/"
    assert acme_client.post(path, {"store": first.pk, "seen": ""}).status_code == 302
    refused = acme_client.post(path, {"store": second.pk, "seen": ""})
    assert refused.status_code == 409 and "已改为「静安寺店」" in refused.content.decode()
    assert acme_client.post(path, {"store": second.pk, "seen": first.pk}).status_code == 302
    member.refresh_from_db()
    assert member.store == second


def test_her_to_dos_go_to_a_colleague_of_the_old_store_and_to_nobody_else() -> None:
    member, old, new, change = moving()
    task = todo(member, Contact.objects.filter(owner=member)[0])
    stranger, colleague = make_member(store=new), make_member(store=old)
    with pytest.raises(UserError, match="原门店在职的同事"):
        deciding.move(change.pk, deciding.Move(new, STAY, todos_to=stranger.pk), seen=seen(change), by=SYSTEM)
    deciding.move(change.pk, deciding.Move(new, STAY, todos_to=colleague.pk), seen=seen(change), by=SYSTEM)
    task.refresh_from_db()
    assert task.member == colleague and AuditEntry.objects.filter(action="todos.reassigned").exists()


# --- the pages ------------------------------------------------------------------------------------------------------


def test_hq_decides_on_the_page_and_the_second_sees_why_not(acme_client: Client) -> None:
    member, _old, new, change = moving()
    todo(member, Contact.objects.filter(owner=member)[0])
    assert "林小雅" in acme_client.get("/org/changes/").content.decode()
    assert "调店 1" in acme_client.get("/").content.decode()
    page = acme_client.get(f"/org/changes/{change.pk}/").content.decode()
    assert "静安寺店 → 五角场店" in page and "2 位归属客户、1 个客户群" in page and "1 条未完成的待办" in page
    body = {"seen": change.digest, "store": new.pk, "plan": "1"}
    refused = acme_client.post(f"/org/changes/{change.pk}/decide/", body)
    assert refused.status_code == 422 and "请选择她的客户" in refused.content.decode()
    refused = acme_client.post(f"/org/changes/{change.pk}/decide/", body | {"customers": "stay", "since": "下周"})
    assert refused.status_code == 422 and "看不懂调店日期" in refused.content.decode()

    answer = acme_client.post(f"/org/changes/{change.pk}/decide/", body | {"customers": "stay"})
    assert answer["Location"] == f"/handover/{HandoverPlan.objects.get().pk}/"
    again = acme_client.post(f"/org/changes/{change.pk}/decide/", body | {"customers": "follow"})
    assert again.status_code == 409 and acme_client.user.display_name in again.content.decode()
    assert "五角场店" in acme_client.get("/org/changes/?tab=settled").content.decode()
    assert "已处理" in acme_client.get(f"/org/members/{member.pk}/").content.decode()


def test_newcomers_are_placed_with_one_click_alone_or_together(acme_client: Client) -> None:
    store = make_store()
    changes = [make_staff_change(make_member(), "joined", to_store=store) for _number in range(3)]
    unclear = make_staff_change(make_member(), "joined")
    assert acme_client.get("/org/changes/?tab=joined").content.decode().count("采用建议") == 4
    acme_client.post("/org/changes/place/", {"only": changes[0].pk, "ids": [changes[1].pk]})
    assert [row.member.store for row in StaffChange.objects.filter(state="done").select_related("member__store")] == [
        store
    ]
    page = acme_client.post("/org/changes/place/", {"ids": [c.pk for c in (*changes, unclear)]}, follow=True)
    assert "2 位成员已归到门店" in page.content.decode() and "2 位没有处理" in page.content.decode()
    assert acme_client.post("/org/changes/place/", {}).status_code == 422

    acme_client.post(f"/org/changes/{unclear.pk}/decide/", {"seen": unclear.digest, "act": "keep"})
    unclear.refresh_from_db()
    assert unclear.state == "kept"


def test_a_store_manager_sees_off_her_own_leaver_and_moves_nobody() -> None:
    store, other = make_store("静安寺店"), make_store("五角场店")
    gone, colleague = make_member("王悦", store=store, status="left", left_at=clock.now()), make_member(store=store)
    task = todo(gone, make_follow(make_contact(), gone).contact)
    mine, theirs = make_staff_change(gone, "left"), make_staff_change(make_member(store=other), "left")
    moved = make_staff_change(make_member("林小雅", store=store), "moved", to_store=other)
    manager = log_in("store", scope=store)
    leader = make_member("陈婧", store=store, user=manager.user)

    home = manager.get("/").content.decode()
    assert "离职 1" in home and "调店 1" not in home
    page = manager.get("/org/changes/?tab=left").content.decode()
    assert "王悦" in page and manager.get(f"/org/changes/{theirs.pk}/").status_code == 404
    page = manager.get(f"/org/changes/{mine.pk}/").content.decode()
    assert page.index(f'value="{leader.pk}"') < page.index(f'value="{colleague.pk}"') and "能看全店" in page
    assert "请联系总部" in manager.get(f"/org/changes/{moved.pk}/").content.decode()
    body = {"seen": moved.digest, "store": other.pk, "customers": "follow"}
    assert manager.post(f"/org/changes/{moved.pk}/decide/", body).status_code == 403
    assert manager.post("/org/changes/place/", {"ids": [moved.pk]}).status_code == 403

    body = {"seen": mine.digest, "todos_to": leader.pk, "plan": "1"}
    assert manager.post(f"/org/changes/{mine.pk}/decide/", body).status_code == 302
    task.refresh_from_db()
    plan = HandoverPlan.objects.get()
    assert task.member == leader and plan.kind == "resigned"
    assert set(plan.successor_ids) == {leader.pk, colleague.pk, moved.member_id}


def test_seeing_by_one_role_does_not_decide_by_another() -> None:
    mine, other = make_store(), make_store()
    gone = make_staff_change(make_member(store=other, status="left", left_at=clock.now()), "left")
    person = make_user(permissions=["org.view"])
    grant(person, make_user(permissions=["handover.manage"]).grants.get().role, mine)
    client = log_in(person)
    assert client.get(f"/org/changes/{gone.pk}/").status_code == 200
    assert client.post(f"/org/changes/{gone.pk}/decide/", {"seen": gone.digest}).status_code == 404

    # The other way round: she sees one store's members, and decides for all stores.
    editor = make_user(permissions=["org.edit"])
    grant(editor, make_user(permissions=["org.view"]).grants.get().role, mine)
    moved, unseen = (make_staff_change(make_member(store=store), "moved", to_store=other) for store in (mine, other))
    client = log_in(editor)
    assert client.get(f"/org/changes/{unseen.pk}/").status_code == 404
    assert other in client.get(f"/org/changes/{moved.pk}/").context["stores"]
    body = {"seen": moved.digest, "store": other.pk, "customers": "follow"}
    assert client.post(f"/org/changes/{moved.pk}/decide/", body).status_code == 302
    moved.member.refresh_from_db()
    assert moved.member.store == other


def test_the_list_costs_the_same_for_few_and_for_many(acme_client: Client) -> None:
    def cost(count: int) -> int:
        for _number in range(count):
            member = make_member(store=make_store())
            make_follow(make_contact(), member)
            make_staff_change(member)
        with CaptureQueriesContext(connection) as captured:
            acme_client.get("/org/changes/?tab=moved")
        return len(captured)

    cost(1)
    assert cost(1) == cost(15) <= 20


def test_one_open_row_each_and_settled_rows_say_when() -> None:
    change = make_staff_change()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_staff_change(change.member)
    with pytest.raises(IntegrityError), transaction.atomic():
        StaffChange.objects.update(state="done")
