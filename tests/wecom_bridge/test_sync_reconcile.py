"""What a reconciliation finds, writes down and mends: with the apps' own handlers against a shop that moved unseen."""

from datetime import timedelta

import pytest
from django.db import connection as database
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, Follow, Relation
from contacts.services.inbound import apply_people
from scrm.lib import clock
from tagging.models import FollowTag, Tag
from tenants.audit import SYSTEM
from tests.support.syncing import OK, customers, drain, drift, first_synced, sync
from wecom_bridge.comparing import differing, find_differences
from wecom_bridge.contracts import EventFact, PeopleBatch
from wecom_bridge.gateway import gateway_for
from wecom_bridge.models import DriftRow, InboundEvent, StagedRow
from wecom_bridge.services.sync import removals, repair, runs, telling

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom):
    return first_synced(wecom)


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


def test_a_personal_value_is_kept_masked_and_none_as_none():
    ours = Follow(remark="改过的备注", remark_mobiles=["13800001234"])
    assert differing(Follow, ours, {"remark": None, "remark_mobiles": []}) == (
        {"remark": "改***注", "remark_mobiles": ["138****1234"]},
        {"remark": None, "remark_mobiles": []},
    )
