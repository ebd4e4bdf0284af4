"""What WeCom lastingly keeps from the app: said with its cause, and neither waited for nor taken as gone."""

from datetime import timedelta

import pytest

from contacts.models import Department, Follow, GroupChat, Member, Relation
from scrm.lib import clock
from tagging.models import FollowTag, Tag
from tenants.audit import SYSTEM
from tests.support.core import log_in
from tests.support.syncing import OK, drain, first_synced, sync
from wecom_bridge.models import DriftRow, SyncRun, SyncUnit
from wecom_bridge.services.sync import nightly, runs

pytestmark = pytest.mark.django_db(transaction=True)

NO_API, NO_MEMBER, OTHER = 48002, 60011, 84074


@pytest.fixture
def corp(wecom):
    """A shop after its first sync."""
    return first_synced(wecom)


def standing():
    """What must stay: (departments, members who serve, tags, marks, groups, friends)."""
    return (
        Department.objects.filter(is_gone=False).count(),
        Member.objects.filter(has_customer_contact=True, status="active").count(),
        Tag.objects.filter(deleted_at=None).count(),
        FollowTag.objects.count(),
        GroupChat.objects.filter(dismissed_at=None).count(),
        Follow.objects.filter(relation=Relation.ACTIVE).count(),
    )


@pytest.mark.parametrize("errcode", [NO_API, NO_MEMBER, OTHER])
@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("externalcontact/get_follow_user_list", "follow_users"),
        ("department/list", "departments"),
        ("externalcontact/get_corp_tag_list", "tags"),
    ],
)
def test_a_run_goes_on_without_a_list_that_wecom_refuses(wecom, corp, endpoint, name, errcode):
    before = standing()
    wecom.script(endpoint, errcode=errcode, times=50)
    wecom.hand("edit_notes", userid="wutong", external_userid=a_customer(wecom), remark="老客")

    run = sync(corp)

    assert run.state == "done" and standing() == before
    unit = SyncUnit.objects.get(run=run, kind="list", key=name)
    assert unit.state == "denied" and f"[{errcode}]" in unit.last_error
    assert Follow.objects.filter(remark="老客").exists(), "the customers were read"
    assert set(DriftRow.objects.filter(run=run).values_list("entity", flat=True)) == {"follow"}
    assert run.last_error, "the list of runs says it"
    corp.refresh_from_db()
    assert corp.last_synced_at > run.started_at


def a_customer(wecom):
    return wecom.hand("customers", userid="wutong", limit=1)["customers"][0]["external_userid"]


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("user/list", "members"),
        ("externalcontact/groupchat/list", "group_list"),
        ("externalcontact/groupchat/get", "group"),
        ("externalcontact/batch/get_by_user", "contacts"),
    ],
)
def test_a_run_goes_on_without_members_customers_or_groups_that_are_not_the_apps(wecom, corp, endpoint, kind):
    before, synced_at = standing(), corp.last_synced_at
    wecom.script(endpoint, errcode=NO_API, times=50)

    run = sync(corp)

    assert run.state == "done" and standing() == before and run.drift_counts == {}
    assert set(SyncUnit.objects.filter(run=run, kind=kind).values_list("state", flat=True)) == {"denied"}
    corp.refresh_from_db()
    assert (corp.last_synced_at == synced_at) == (kind == "contacts"), "a run that read no customer is no reading"
    page = log_in("it").get(f"/bridge/syncs/{run.pk}/").content.decode()
    assert "应用没有这个接口的权限" in page and "可调用接口的应用" in page
    assert ("没有全部读到" in page) == (kind != "group")


def test_a_missing_member_who_may_not_be_asked_for_by_name_stays(wecom, corp):
    rows = [{"userid": "wutong", "name": "吴桐", "department": [1], "status": 1}]
    wecom.script("user/list", body=OK | {"userlist": rows}, times=50)
    wecom.script("user/get", errcode=NO_API, times=50)
    before = standing()

    run = sync(corp)

    assert run.state == "done" and standing() == before
    assert "[48002]" in SyncUnit.objects.get(run=run, kind="list", key="members").last_error


def test_a_group_that_may_not_be_asked_for_by_name_stays(wecom, corp):
    wecom.script("externalcontact/groupchat/list", body=OK | {"group_chat_list": [], "next_cursor": ""}, times=50)
    wecom.script("externalcontact/groupchat/get", errcode=NO_API, times=50)
    before = standing()

    assert sync(corp).state == "done" and standing() == before


def test_a_first_sync_that_may_read_nobody_ends_and_the_next_is_still_the_first(wecom):
    made = wecom.connect()
    wecom.script("externalcontact/get_follow_user_list", errcode=NO_API, times=1)

    run = sync(made.corp)

    assert (run.state, run.kind) == ("done", "first") and run.last_error
    again = sync(made.corp)
    assert (again.state, again.kind, again.last_error) == ("done", "first", "")
    assert Follow.objects.filter(relation=Relation.ACTIVE).count() > 600


@pytest.mark.parametrize("errcode", [60020, 48004, 50003])
def test_a_refusal_of_everything_still_pauses(wecom, corp, errcode):
    wecom.script("externalcontact/get_corp_tag_list", errcode=errcode, times=1)

    run = sync(corp)

    assert run.state == "running" and str(errcode) in run.last_error
    assert SyncUnit.objects.get(run=run, key="tags").state == "waiting"


# --- The night ---------------------------------------------------------------------------------------------------


def tonight(days=1, **later):
    return clock.shifted(nightly.latest_night(clock.now()) + timedelta(days=days, **later) - clock.wall())


def paused(wecom, corp):
    """A run that WeCom does not let go on: the address is not trusted."""
    wecom.script("department/list", errcode=60020, times=50)
    return sync(corp)


def nights():
    return list(SyncRun.objects.exclude(night=None).order_by("night").values_list("state", flat=True))


def test_a_paused_run_does_not_stand_for_the_night_and_the_night_says_so(wecom, corp):
    run = paused(wecom, corp)

    with tonight(minutes=1):
        nightly.begin_due()
        assert nights() == [], "for an hour it may go on"
    with tonight(minutes=61):
        nightly.begin_due()
        nightly.begin_due()

    run.refresh_from_db()
    skipped = SyncRun.objects.get(state="skipped")
    assert run.night is None and skipped.night and "60020" in skipped.last_error


def test_a_paused_run_that_goes_on_in_time_is_the_nights(wecom, corp):
    wecom.script("department/list", errcode=60020, times=1)
    wecom.script("externalcontact/batch/get_by_user", errcode=-1, match={"userid_list": ["hechen"]}, times=1)
    run = sync(corp)
    assert run.last_error
    with tonight(minutes=1):
        nightly.begin_due()
    SyncRun.objects.filter(pk=run.pk).update(counts={})  # the rest is over

    with tonight(minutes=30):
        drain()
        assert nights() == []
        drain()

    run.refresh_from_db()
    assert run.night is not None and nights() == ["running"] and run.last_error == ""


def test_one_run_stands_for_one_night(corp):
    run = runs.start_sync(corp, by=SYSTEM)
    with tonight(minutes=1):
        nightly.begin_due()
    with tonight(days=2, minutes=1):
        nightly.begin_due()

    run.refresh_from_db()
    assert nights() == ["running", "skipped"] and SyncRun.objects.get(state="skipped").last_error
