"""Nothing is destroyed by silence: empty, failed and cut lists leave everything alone, and it is said."""

from datetime import timedelta

import pytest

from contacts.models import Department, Follow, GroupChat, GroupMembership, Member, Relation
from scrm.lib import clock
from tagging.models import Tag
from tenants.audit import SYSTEM
from tests.support.syncing import OK, customers, drain, drift, first_synced, sync
from wecom_bridge.gateway import gateway_for
from wecom_bridge.models import DriftRow, SyncRun, SyncUnit
from wecom_bridge.services.sync import directory, runs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return first_synced(wecom)


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
