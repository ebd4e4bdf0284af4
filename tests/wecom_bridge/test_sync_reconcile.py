"""What a reconciliation finds, writes down and mends: with the apps' own handlers against a shop that moved unseen."""

from datetime import timedelta

import pytest
from django.db import connection as database
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, Department, Follow, GroupChat, GroupMembership, Member, Relation
from contacts.services.inbound import apply_people
from scrm.lib import clock
from tagging.models import FollowTag, Tag
from tenants.audit import SYSTEM
from wecom_bridge.comparing import differing, find_differences
from wecom_bridge.contracts import EventFact, PeopleBatch
from wecom_bridge.gateway import gateway_for
from wecom_bridge.models import DriftRow, InboundEvent, StagedRow, SyncRun, SyncUnit
from wecom_bridge.services.sync import directory, drive, removals, repair, runs, telling

pytestmark = pytest.mark.django_db(transaction=True)


OK = {"errcode": 0, "errmsg": "ok"}


def drain(seconds=60):
    return drive.drain(clock.wall() + timedelta(seconds=seconds))


def sync(corp, **how):
    run = runs.start_sync(corp, by=SYSTEM, **how)
    drain()
    run.refresh_from_db()
    return run


def drift(run):
    """(entity, kind) → keys."""
    found = {}
    for row in DriftRow.objects.filter(run=run):
        found.setdefault((row.entity, row.kind), set()).add(row.key)
    return found


@pytest.fixture
def corp(wecom):
    """A shop after its first sync; nobody hears its callbacks."""
    connection = wecom.connect()
    assert sync(connection.corp).state == "done"
    return connection.corp


def customers(wecom, userid, **limits):
    return [row["external_userid"] for row in wecom.hand("customers", userid=userid, limit=20, **limits)["customers"]]


def test_a_second_reading_of_an_unchanged_shop_finds_nothing(corp):
    run = sync(corp)

    assert (run.state, run.kind, run.drift_counts) == ("done", "reconcile", {})
    assert not StagedRow.objects.exists()


def test_every_entity_that_changed_unheard_is_listed_and_mended(wecom, corp):
    [lost, edited, *_rest] = customers(wecom, "wutong")
    wecom.hand("guide_deletes", userid="wutong", external_userid=lost)
    wecom.hand(
        "edit_notes", userid="wutong", external_userid=edited, remark="王小雨老师", remark_mobiles=["13812345678"]
    )
    tags = wecom.hand("console_tags", group="口味", names=["偏甜"])["tags"]
    wecom.hand("tag", userid="wutong", external_userid=edited, add=[tags["偏甜"]])
    came = wecom.hand("add", userid="hechen", name="新来的人")["external_userid"]
    group = wecom.get("groups")["groups"][0]["chat_id"]
    wecom.hand("group_change", chat_id=group, name="换了名字的群")
    wecom.hand("group_join", chat_id=group, members=[came])
    wecom.hand("member_joins", userid="xinren", name="新人", contact=True)
    wecom.hand("member_changes", userid="hechen", position="店长")
    wecom.hand("console_department", name="新部门")

    run = sync(corp)

    found = drift(run)
    assert found["follow", "extra"] == {f"{lost}/wutong"}
    assert found["follow", "different"] == {f"{edited}/wutong"}
    assert found["follow", "missing"] == {f"{came}/hechen"} and found["contact", "missing"] == {came}
    assert group in found["group", "different"] and f"{group}/{came}" in found["group_member", "missing"]
    assert found["member", "missing"] == {"xinren"} and "hechen" in found["member", "different"]
    assert found["tag", "missing"] == {tags["偏甜"]} and ("department", "missing") in found
    notes = DriftRow.objects.get(run=run, key=f"{edited}/wutong")
    assert notes.after["remark"] == "王***师" and notes.after["remark_mobiles"] == ["138****5678"]
    assert notes.after["tags"] == [tags["偏甜"]], "what the tags' own app says stands in the same row"
    assert not DriftRow.objects.filter(run=run, repaired_at=None).exists()
    total, repaired = telling.total_drift(run)
    assert total == repaired == DriftRow.objects.filter(run=run).count()
    assert Follow.objects.get(identity__value=lost, member__userid="wutong").relation == Relation.UNKNOWN
    assert FollowTag.objects.filter(follow__identity__value=edited, tag__wecom_tag_id=tags["偏甜"]).exists()
    assert sync(corp).drift_counts == {}


def test_comparing_only_lists_and_writes_nothing_and_one_click_mends(wecom, corp):
    [lost, edited, *_rest] = customers(wecom, "wutong")
    wecom.hand("guide_deletes", userid="wutong", external_userid=lost)
    wecom.hand("edit_notes", userid="wutong", external_userid=edited, remark="老客")
    came = wecom.hand("add", userid="hechen", name="新来的人")["external_userid"]
    group = wecom.get("groups")["groups"][0]["chat_id"]
    wecom.hand("group_change", chat_id=group, name="换了名字的群")
    wecom.hand("member_changes", userid="hechen", position="店长")
    wecom.hand("console_tags", group="口味", names=["偏甜"])
    wecom.hand("console_department", name="新部门")

    run = sync(corp, compare_only=True)

    assert (run.state, run.kind) == ("done", "compare")
    open_rows = DriftRow.objects.filter(run=run, repaired_at=None)
    assert open_rows.count() == DriftRow.objects.filter(run=run).count() >= 8
    assert not Contact.objects.filter(identities__value=came).exists() and not Tag.objects.filter(name="偏甜").exists()
    assert Follow.objects.get(identity__value=lost, member__userid="wutong").relation == Relation.ACTIVE

    assert repair.ask(run, by=SYSTEM) == open_rows.count()
    drain()

    run.refresh_from_db()
    assert not open_rows.exists(), list(open_rows.values_list("entity", "key", "last_error"))
    assert telling.total_drift(run)[0] == telling.total_drift(run)[1]
    assert sync(corp, compare_only=True).drift_counts == {}


def test_what_cannot_be_read_says_why_and_stays_on_the_list(wecom, corp):
    [edited, *_rest] = customers(wecom, "wutong")
    wecom.hand("edit_notes", userid="wutong", external_userid=edited, remark="老客")
    run = sync(corp, compare_only=True)
    wecom.script("externalcontact/get", errcode=60011, times=9)

    repair.ask(run, by=SYSTEM)
    drain()

    row = DriftRow.objects.get(run=run)
    assert row.repaired_at is None and row.asked_at is None and "60011" in row.last_error
    assert repair.ask(run, by=SYSTEM) == 1, "it may be asked again"


def test_a_relation_that_both_ended_is_not_listed_every_night(wecom, corp):
    [lost, *_rest] = customers(wecom, "wutong")
    wecom.hand("customer_deletes", userid="wutong", external_userid=lost)
    fields = {"UserID": "wutong", "ExternalUserID": lost}
    now = clock.now()
    event = EventFact(1, "change_external_contact", "del_follow_user", now, now, fields)
    with transaction.atomic():
        apply_people(PeopleBatch(corp, "callback", now, events=[event]))
    assert Follow.objects.get(identity__value=lost, member__userid="wutong").relation == Relation.DELETED_BY_CUSTOMER
    assert sync(corp).drift_counts == {}, "WeCom lists it still"
    wecom.hand("guide_deletes", userid="wutong", external_userid=lost)

    assert sync(corp).drift_counts == {}


def test_the_rows_are_bounded_and_the_count_is_true(wecom, corp, monkeypatch):
    monkeypatch.setattr(telling, "KEEP", 5)
    Follow.objects.filter(member__userid="wutong").update(remark="unheard")

    run = sync(corp)

    count = Follow.objects.filter(member__userid="wutong", relation__in=("active", "by_customer")).count()
    assert run.drift_counts["follow"] == {"different": count, "repaired": count}
    assert DriftRow.objects.filter(run=run).count() == 5


def test_what_is_newer_than_the_reading_is_no_drift(wecom, corp):
    """A callback told of it while the pages were read: our word is the later one."""
    later = clock.now() + timedelta(hours=1)
    Follow.objects.filter(member__userid="wutong").update(remark="by callback", synced_at=later)

    assert sync(corp).drift_counts == {}


def test_what_an_event_in_the_inbox_will_bring_is_no_drift(wecom, corp):
    [edited, *_rest] = customers(wecom, "wutong")
    wecom.hand("edit_notes", userid="wutong", external_userid=edited, remark="老客")
    now = clock.wall()
    InboundEvent.objects.create(
        corp=corp, digest="d", lane="inbound", event="change_external_contact", entity_key=f"{corp.pk}:p:{edited}",
        body="<xml/>", occurred_at=now, received_at=now, next_attempt_at=now,
    )  # fmt: skip

    assert sync(corp).drift_counts == {}
    assert Follow.objects.get(identity__value=edited, member__userid="wutong").remark == "老客", (
        "it is written all the same"
    )


def test_comparing_costs_the_same_number_of_statements_for_one_and_for_many(wecom, corp):
    externals = customers(wecom, "wutong")
    rows = [gateway_for(corp).get_customer(external) for external in externals]

    def statements(some):
        batch = PeopleBatch(corp, "reconcile", clock.now(), rows=some)
        with transaction.atomic(), CaptureQueriesContext(database) as seen:
            assert find_differences("people", batch) == {}
        return len(seen)

    assert statements(rows) == statements(rows[:1]) < 15


@pytest.mark.parametrize("remove", [True, False])
def test_a_shrink_is_listed_while_a_person_decides_and_settled_by_the_answer(wecom, corp, remove):
    empty = OK | {"external_contact_list": [], "next_cursor": ""}
    wecom.script("externalcontact/batch/get_by_user", body=empty, match={"userid_list": ["hechen"]}, times=1)
    friends = Follow.objects.filter(member__userid="hechen", relation=Relation.ACTIVE)
    count = friends.count()

    run = sync(corp)
    assert run.state == "confirm" and run.shrink["emptied"] == ["hechen"] and friends.count() == count
    assert DriftRow.objects.filter(run=run, kind="extra", repaired_at=None).count() == count

    runs.decide(run.pk, remove=remove, by=SYSTEM)
    drain()

    run.refresh_from_db()
    assert run.state == "done" and run.drift_counts["follow"] == {"extra": count, "repaired": count if remove else 0}
    assert friends.count() == (0 if remove else count)
    assert DriftRow.objects.filter(run=run, repaired_at=None).count() == (0 if remove else count)
    if not remove:  # the list was wrong: asked for by name, they are all still there
        repair.ask(run, by=SYSTEM)
        drain()
        assert not DriftRow.objects.filter(run=run, repaired_at=None).exists() and friends.count() == count


def test_a_removal_longer_than_a_slice_goes_on_and_is_counted_once(wecom, corp, monkeypatch):
    monkeypatch.setattr(removals, "BATCH", 2)
    empty = OK | {"external_contact_list": [], "next_cursor": ""}
    wecom.script("externalcontact/batch/get_by_user", body=empty, match={"userid_list": ["hechen"]}, times=1)
    friends = Follow.objects.filter(member__userid="hechen", relation=Relation.ACTIVE)
    count = friends.count()
    run = sync(corp)
    runs.decide(run.pk, remove=True, by=SYSTEM)
    run.refresh_from_db()
    gateway, over = gateway_for(corp), clock.wall()

    assert not removals.apply(run, removals.find(run, gateway), gateway, over)
    assert friends.count() == count - 2, "a slice that has no time left still does a batch"

    drain()
    run.refresh_from_db()
    assert (run.state, friends.count()) == ("done", 0)
    assert run.drift_counts["follow"] == {"extra": count, "repaired": count}


# --- Nothing is destroyed by silence -----------------------------------------------------------------------------


def standing():
    """What must stay: (departments, members who serve, tags, groups, friends)."""
    return (
        Department.objects.filter(is_gone=False).count(),
        Member.objects.filter(has_customer_contact=True, status="active").count(),
        Tag.objects.filter(deleted_at=None).count(),
        GroupChat.objects.filter(dismissed_at=None).count(),
        Follow.objects.filter(relation=Relation.ACTIVE).count(),
    )


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("user/list", {"userlist": []}),
        ("department/list", {"department": []}),
        ("externalcontact/get_follow_user_list", {"follow_user": []}),
        ("externalcontact/get_corp_tag_list", {"tag_group": []}),
        ("externalcontact/groupchat/list", {"group_chat_list": [], "next_cursor": ""}),
    ],
)
def test_an_empty_list_leaves_everything_alone(wecom, corp, endpoint, body):
    before = standing()
    wecom.script(endpoint, body=OK | body, times=50)

    run = sync(corp)

    assert run.state in ("done", "confirm") and standing() == before
    if "groupchat" not in endpoint:
        assert SyncUnit.objects.filter(run=run, kind="list", state="failed").exclude(last_error="").exists(), (
            "it is said"
        )


@pytest.mark.parametrize(
    "endpoint", ["user/list", "externalcontact/get_follow_user_list", "externalcontact/get_corp_tag_list"]
)
def test_a_failed_list_of_the_hour_leaves_everything_alone_and_says_so(wecom, corp, endpoint):
    before = standing()
    wecom.script(endpoint, errcode=60020 if "user/list" not in endpoint else 301002, times=50)

    run = runs.start_lists(corp)
    drain()

    run.refresh_from_db()
    assert run.state == "done" and standing() == before
    assert SyncUnit.objects.filter(run=run, state="failed").exclude(last_error="").exists()


def test_a_directory_cut_short_marks_nobody(wecom, corp, monkeypatch):
    """More is missing than people leave in a day."""
    monkeypatch.setattr(directory, "ASKED", 1)
    monkeypatch.setattr(directory, "FEW", 1)
    before = standing()
    [first, *_rest] = [row["userid"] for row in wecom.get("members")["members"]]
    only = {"userid": first, "name": "x", "department": [1], "status": 1}
    wecom.script("user/list", body=OK | {"userlist": [only]}, times=50)
    wecom.script("externalcontact/get_follow_user_list", body=OK | {"follow_user": [first]}, times=50)

    run = runs.start_lists(corp)
    drain()

    assert standing() == before
    noted = set(SyncUnit.objects.filter(run=run, kind="list", state="failed").values_list("key", flat=True))
    assert noted == {"follow_users", "members"}


def test_a_directory_that_lacks_more_members_than_a_slice_can_ask_for_is_told_all_the_same(wecom, corp, monkeypatch):
    """Who was not asked for stays as she is; other ones come first next time."""
    [first, *_rest] = [row["userid"] for row in wecom.get("members")["members"]]
    only = {"userid": first, "name": "x", "department": [1], "status": 1}
    wecom.script("user/list", body=OK | {"userlist": [only]}, times=50)
    wecom.script("user/get", delay=0.4, errcode=60111, times=50)
    known = Member.objects.filter(status="active").count()
    monkeypatch.setattr(directory, "WIDTH", 1)
    assert directory.ASKED > known - 1 > 2
    run = runs.start_lists(corp)

    gateway, deadline = gateway_for(corp), clock.wall() + timedelta(seconds=0.3)
    while not directory.read(run, gateway, deadline):
        deadline = clock.wall() + timedelta(seconds=0.3)

    asked = len(wecom.calls("user/get"))
    assert 0 < asked <= 2
    assert Member.objects.filter(status="left").count() == asked


def test_a_member_who_left_unheard_is_asked_for_by_name(wecom, corp):
    wecom.hand("member_leaves", userid="hechen")

    run = runs.start_lists(corp)
    drain()

    assert Member.objects.get(userid="hechen").status == "left"
    assert drift(run)["member", "extra"] == {"hechen"}


def test_one_guides_failing_list_changes_nothing_else(wecom, corp):
    before = standing()
    wecom.script("externalcontact/batch/get_by_user", errcode=40003, match={"userid_list": ["hechen"]}, times=50)
    [lost, *_rest] = customers(wecom, "wutong")
    wecom.hand("guide_deletes", userid="wutong", external_userid=lost)

    run = sync(corp)

    assert SyncUnit.objects.get(run=run, kind="contacts", key="hechen").state == "denied"
    assert drift(run) == {("follow", "extra"): {f"{lost}/wutong"}}
    assert standing() == (*before[:-1], before[-1] - 1)


def test_a_directory_step_goes_on_where_it_was_stopped(wecom, corp):
    wecom.script("user/list", errcode=-1, times=1)
    run = runs.start_sync(corp, by=SYSTEM)
    drain()
    assert SyncRun.objects.get(pk=run.pk).step == "directory"
    calls = len(wecom.calls("externalcontact/get_follow_user_list"))
    SyncUnit.objects.filter(run=run).update(next_attempt_at=None)

    drain()

    assert SyncRun.objects.get(pk=run.pk).state == "done"
    assert len(wecom.calls("externalcontact/get_follow_user_list")) == calls, "what was read is not read twice"


def test_groups_keep_their_members_when_their_details_fail(wecom, corp):
    before = GroupMembership.objects.filter(left_at=None).count()
    wecom.script("externalcontact/groupchat/get", errcode=40050, times=50)

    run = sync(corp)

    assert run.state == "done" and GroupMembership.objects.filter(left_at=None).count() == before
    assert set(SyncUnit.objects.filter(run=run, kind="group").values_list("state", flat=True)) == {"failed"}


def test_a_group_that_its_owners_list_lacks_lives_on_unless_wecom_says_it_is_gone(wecom, corp):
    """Its owner may be another since, whose list was read before."""
    before = standing()
    [missing, *others] = GroupChat.objects.order_by("chat_id").values_list("chat_id", flat=True)
    rows = [{"chat_id": chat_id, "status": 0} for chat_id in others]
    wecom.script("externalcontact/groupchat/list", body=OK | {"group_chat_list": rows, "next_cursor": ""}, times=2)

    run = sync(corp)
    assert others and run.state == "done" and standing() == before
    assert not DriftRow.objects.filter(run=run, entity="group").exists()

    wecom.hand("group_dismiss", chat_id=missing)
    assert drift(sync(corp))["group", "extra"] == {missing}
    assert GroupChat.objects.get(chat_id=missing).dismissed_at


def test_250_groups_over_pages_lose_none_when_the_second_page_fails(wecom, corp):
    [someone] = customers(wecom, "wutong")[:1]
    for number in range(247):
        wecom.hand("group_create", owner="wutong", name=f"群{number}", members=[someone])
    assert sync(corp).drift_counts["group"]["missing"] == 247
    before = standing()
    assert before[3] == 250
    rows = [{"chat_id": chat_id, "status": 0} for chat_id in GroupChat.objects.values_list("chat_id", flat=True)[:100]]
    first = OK | {"group_chat_list": rows, "next_cursor": "page2"}
    wecom.script("externalcontact/groupchat/list", body=first, times=1)
    wecom.script("externalcontact/groupchat/list", errcode=40050, times=50)

    run = sync(corp)

    assert run.state == "done" and standing() == before
    assert SyncUnit.objects.get(run=run, kind="group_list").state == "failed"
    assert not DriftRow.objects.filter(run=run, entity="group").exists()


def test_a_personal_value_is_kept_masked_and_none_as_none():
    ours = Follow(remark="改过的备注", remark_mobiles=["13800001234"])
    assert differing(Follow, ours, {"remark": None, "remark_mobiles": []}) == (
        {"remark": "改***注", "remark_mobiles": ["138****1234"]},
        {"remark": None, "remark_mobiles": []},
    )
