"""A directory that shrank much waits for a person; an empty one is left alone; WeCom's word about one member is the last."""

from datetime import timedelta

import pytest

from contacts.models import Department, Follow, Member, Relation
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.core import in_thread, log_in
from tests.support.syncing import OK, drain, first_synced, sync
from wecom_bridge.gateway import gateway_for
from wecom_bridge.models import DriftRow, SyncRun, SyncUnit
from wecom_bridge.services.sync import directory, runs, shrinking

pytestmark = pytest.mark.django_db(transaction=True)

FOLLOW_USERS = "externalcontact/get_follow_user_list"


@pytest.fixture
def corp(wecom, monkeypatch):
    """A shop after its first sync, in which two members more or less are much."""
    made = first_synced(wecom)
    monkeypatch.setattr(directory, "ASKED", 1)
    monkeypatch.setattr(directory, "FEW", 1)
    return made


def statuses():
    return dict(Member.objects.values_list("userid", "status"))


def guides():
    return set(Member.objects.filter(has_customer_contact=True).values_list("userid", flat=True))


def cut_members(wecom):
    """The directory shows wutong alone, once."""
    only = {"userid": "wutong", "name": "吴桐", "department": [1], "status": 1}
    wecom.script("user/list", body=OK | {"userlist": [only]}, times=1)


def build(wecom, corp):
    """Departments enough that losing all but one is much."""
    for name in ("甲店", "乙店", "丙店"):
        wecom.hand("console_department", name=name)
    assert sync(corp).state == "done"


def answer(run, *, remove):
    runs.decide(run.pk, remove=remove, by=SYSTEM, about="ask_directory")
    drain()
    run.refresh_from_db()
    assert run.state == "done"


@pytest.mark.parametrize("remove", [True, False])
def test_a_directory_that_lacks_many_members_asks_and_the_answer_is_done(wecom, corp, remove):
    wecom.hand("member_leaves", userid="hechen")
    cut_members(wecom)
    before, friends = statuses(), Follow.objects.filter(relation=Relation.ACTIVE).count()

    run = sync(corp)

    assert (run.state, run.step, run.shrink["members"]) == ("confirm", "ask_directory", len(before) - 1)
    assert statuses() == before
    assert Follow.objects.filter(relation=Relation.ACTIVE).count() == friends, "nothing else waited, nothing is lost"

    wecom.script("user/get", errcode=60011, match={"userid": "songjiayi"}, times=9)
    answer(run, remove=remove)

    gone = {"hechen": "left", "songjiayi": "left"} if remove else {}
    assert statuses() == before | gone, "whom WeCom still shows by name stays"
    extra = DriftRow.objects.filter(run=run, entity="member", kind="extra")
    assert set(extra.values_list("key", flat=True)) == set(gone) and not extra.filter(repaired_at=None).exists()
    word = "sync.directory_confirmed" if remove else "sync.directory_kept"
    entry = AuditEntry.objects.get(action=word)
    assert entry.data["members"] == len(before) - 1 and "hechen" in entry.data["who"]
    list_state = SyncUnit.objects.get(run=run, kind="list", key="members").state
    assert list_state == ("applied" if remove else "failed")


@pytest.mark.parametrize("again", [True, False])
def test_many_guides_who_serve_no_more_are_asked_about(wecom, corp, again):
    before = guides()
    wecom.script(FOLLOW_USERS, body=OK | {"follow_user": ["wutong"]}, times=1 if again else 50)

    run = sync(corp)
    assert run.state == "confirm" and run.shrink["guides"] == len(before) - 1 and guides() == before
    answer(run, remove=True)

    assert guides() == (before if again else {"wutong"}), "a list that names them again counts"
    assert set(statuses().values()) == {"active"}, "they work there all the same"


def test_many_departments_that_are_not_there_are_asked_about(wecom, corp):
    build(wecom, corp)
    standing = Department.objects.filter(is_gone=False)
    known = set(standing.values_list("department_id", flat=True))
    root = {"id": 1, "name": "总部", "parentid": 0, "order": 1}
    wecom.script("department/list", body=OK | {"department": [root]}, times=50)
    cut_members(wecom)

    run = sync(corp)
    assert run.state == "confirm" and run.shrink["members"] == len(statuses()) - 1
    assert run.shrink["departments"] == len(known) - 1 > 1
    assert set(standing.values_list("department_id", flat=True)) == known
    answer(run, remove=True)

    assert set(standing.values_list("department_id", flat=True)) == {1}
    assert set(statuses().values()) == {"active"}


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [("user/list", {"userlist": []}), ("department/list", {"department": []}), (FOLLOW_USERS, {"follow_user": []})],
)
def test_an_empty_list_asks_nobody_and_changes_nothing(wecom, corp, endpoint, body):
    before = statuses(), guides(), Department.objects.filter(is_gone=False).count()
    wecom.script(endpoint, body=OK | body, times=50)

    assert sync(corp).state == "done"

    assert (statuses(), guides(), Department.objects.filter(is_gone=False).count()) == before


def test_lists_that_turn_out_empty_or_refused_after_the_answer_end_nobody(wecom, corp):
    build(wecom, corp)
    before = guides(), Department.objects.filter(is_gone=False).count()
    root = {"id": 1, "name": "总部", "parentid": 0, "order": 1}
    wecom.script("department/list", body=OK | {"department": [root]}, times=1)
    wecom.script("department/list", errcode=48002, times=50)
    wecom.script(FOLLOW_USERS, body=OK | {"follow_user": ["wutong"]}, times=1)
    wecom.script(FOLLOW_USERS, body=OK | {"follow_user": []}, times=50)

    run = sync(corp)
    assert run.state == "confirm" and {"guides", "departments"} <= set(run.shrink)
    answer(run, remove=True)

    assert SyncUnit.objects.filter(run=run, kind="list", state="failed").count() == 2, "they are said still"
    assert (guides(), Department.objects.filter(is_gone=False).count()) == before


def test_a_double_click_is_one_deed(wecom, corp):
    cut_members(wecom)
    run = sync(corp)

    def click():
        try:
            runs.decide(run.pk, remove=True, by=SYSTEM, about="ask_directory")
        except Conflict:
            return 0
        return 1

    workers = [in_thread(click) for _n in range(4)]
    assert sum(worker.result() for worker in workers) == 1
    assert AuditEntry.objects.filter(action__startswith="sync.directory").count() == 1


def test_a_late_click_on_one_question_does_not_answer_the_next(wecom, corp):
    cut_members(wecom)
    empty = OK | {"external_contact_list": [], "next_cursor": ""}
    wecom.script("externalcontact/batch/get_by_user", body=empty, match={"userid_list": ["hechen"]}, times=1)
    run = sync(corp)
    assert (run.state, run.step) == ("confirm", "compare")
    it = log_in("it")
    it.post(f"/bridge/syncs/{run.pk}/decide/", {"decision": "remove"})
    drain()
    run.refresh_from_db()
    assert (run.state, run.step) == ("confirm", "ask_directory")

    assert it.post(f"/bridge/syncs/{run.pk}/decide/", {"decision": "remove"}).status_code == 409

    run.refresh_from_db()
    assert run.state == "confirm" and set(statuses().values()) == {"active"}


def test_the_page_asks_and_only_who_may_manage_answers(wecom, corp):
    cut_members(wecom)
    run = sync(corp)
    it = log_in("it")
    page = it.get(f"/bridge/syncs/{run.pk}/").content.decode()
    assert "通讯录少了很多" in page and f"{run.shrink['members']} 位成员" in page
    told = page.partition("例如:")[2].partition("</p>")[0]
    assert "方小满" in told and "fangxiaoman" not in told
    assert "大约还需" not in page, "it waits for a person"
    form = {"decision": "remove", "about": "ask_directory"}

    assert log_in("guide").post(f"/bridge/syncs/{run.pk}/decide/", form).status_code == 403
    assert SyncRun.objects.get(pk=run.pk).state == "confirm"
    it.post(f"/bridge/syncs/{run.pk}/decide/", form)

    run.refresh_from_db()
    assert (run.state, run.step) == ("running", "remove_directory")


def test_an_answer_longer_than_a_slice_goes_on_and_asks_nobody_twice(wecom, corp, monkeypatch):
    monkeypatch.setattr(shrinking, "TOGETHER", 1)
    cut_members(wecom)
    run = sync(corp)
    runs.decide(run.pk, remove=True, by=SYSTEM, about="ask_directory")
    run.refresh_from_db()
    wecom.script("user/get", errcode=60111, delay=0.3, times=50)
    gateway, before = gateway_for(corp), len(wecom.calls("user/get"))

    assert not shrinking.apply(run, gateway, clock.wall() + timedelta(seconds=0.2))
    assert list(statuses().values()).count("left") == 1
    drain()

    run.refresh_from_db()
    assert run.state == "done" and len(wecom.calls("user/get")) - before == run.shrink["members"]
    assert {userid for userid, status in statuses().items() if status != "left"} == {"wutong"}


def test_the_hour_asks_nobody(wecom, corp):
    cut_members(wecom)
    run = runs.start_lists(corp)
    drain()

    run.refresh_from_db()
    assert run.state == "done" and SyncUnit.objects.get(run=run, kind="list", key="members").last_error
