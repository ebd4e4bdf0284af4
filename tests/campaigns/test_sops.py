"""SOP: who enters, when each step is due, what a push of a step is, and how people leave."""

import random
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.scope import EVERYTHING, DataScope
from campaigns import tasks
from campaigns.models import Approval, Delivery, Enrollment, EnrollmentStep, Push, Sop
from campaigns.policy import SendPolicy, send_policy
from campaigns.schedule import slot_of
from campaigns.services import sop_running, sops
from campaigns.services.sops import Plan, Step
from conditions.drain import drain_batch
from conditions.tree import EVERYONE
from contacts.services.merging import merge_roots
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from scrm.lib.errors import Conflict, NotAllowed, UserError
from tagging.services import rules
from tenants.audit import SYSTEM
from tests.support import campaigns as make
from tests.support import contacts as people
from tests.support import core
from tests.support.units import drain

pytestmark = pytest.mark.django_db
TEN, THREE, EVENING = time(10), time(15), time(19, 30)


@pytest.fixture(autouse=True)
def _morning():
    with make.at_time(make.MORNING):
        yield


@pytest.fixture
def guide():
    member = people.make_member("林小雅", store=people.make_store("静安寺店"))
    make.cover(member.corp)
    return member


def plan(**overrides):
    steps = [Step(0, TEN, "欢迎来{门店名}"), Step(3, TEN, "第三天的话")]
    return Plan(**{"steps": steps, "within": EVERYTHING, **overrides})


def running(**overrides):
    version = sops.create_sop("新客7天", plan(**overrides), by=make.author())
    sops.submit_version(version.pk, by=make.author())
    return sops.release_version(version.pk, by=make.approver(), scope=EVERYTHING)


def added(guide, *, at=None, source="callback", contact=None, name=""):
    """Somebody adds the guide: the relation, and the timeline's fact."""
    at = at or clock.now()
    contact = contact or people.make_contact(name)
    follow = people.make_follow(contact, guide, added_at=at)
    fact = NewEvent(
        kind="follow.added", occurred_at=at, source=source, fact_key=f"follow.added:{follow.pk}:{at.timestamp()}",
        contact_id=contact.pk, identity_id=follow.identity_id, member_id=guide.pk,
    )  # fmt: skip
    record_events([fact])
    return contact


def outcomes(contact):
    rows = EnrollmentStep.objects.filter(enrollment__contact=contact).order_by("step__position")
    return [(row.state, row.reason) for row in rows]


# --- The schedule ---------------------------------------------------------------------------------------------------


def reference(entered_at: datetime, day: int, slot: time, policy: SendPolicy) -> datetime:
    """The rule read aloud: walk minute by minute from the entry until the wall clock shows the slot that counts."""
    entry = entered_at.astimezone(policy.zone)
    at = entry.replace(second=0, microsecond=0)
    while True:
        at = (at.astimezone(UTC) + timedelta(minutes=1)).astimezone(policy.zone)
        days = (at.date() - entry.date()).days
        shows = at.time()
        if day > 0 and days == day and shows == slot:
            return at.astimezone(UTC)
        if day == 0 and days == 0 and shows == slot:
            return at.astimezone(UTC)
        if day == 0 and shows in policy.slots and (days > 0 or entry.time() >= slot):
            return at.astimezone(UTC)


def test_the_schedule_agrees_with_the_rule_read_aloud():
    policy, dice = send_policy(), random.Random(4)
    for _ in range(60):
        entered = make.MORNING + timedelta(minutes=dice.randrange(0, 3 * 1440), seconds=dice.choice((0, 0, 1, 59)))
        day, slot = dice.choice((0, 0, 1, 3)), dice.choice(policy.slots)
        assert slot_of(entered, day, slot, policy) == reference(entered, day, slot, policy), (entered, day, slot)


def test_the_first_day_waits_for_the_next_slot():
    policy = send_policy()
    assert slot_of(make.local(9), 0, TEN, policy) == make.local(10)
    assert slot_of(make.local(11), 0, TEN, policy) == make.local(15)
    assert slot_of(make.local(11), 0, EVENING, policy) == make.local(19, 30)
    assert slot_of(make.local(22), 0, TEN, policy) == make.local(10, day=1)
    assert slot_of(make.local(22), 3, TEN, policy) == make.local(10, day=3)


# --- Entering -------------------------------------------------------------------------------------------------------


def test_whoever_adds_a_guide_enters_once(guide):
    running()
    contact = added(guide)
    added(guide, contact=people.make_contact(), source="backfill")
    second = people.make_member(store=guide.store, corp=guide.corp)
    added(second, contact=contact)

    enrollment = Enrollment.objects.get()
    assert (enrollment.contact, enrollment.next_due_at) == (contact, make.local(10))
    assert enrollment.follow is not None and enrollment.follow.member == guide


def test_steps_already_past_are_missed(guide):
    running()
    contact = added(guide, at=make.local(11, day=-4), source="reconcile")
    assert [state for state, _reason in outcomes(contact)] == ["missed", "missed"]
    assert Enrollment.objects.get().state == "done"


def test_nobody_enters_an_unreleased_or_paused_sop(guide):
    version = sops.create_sop("新客7天", plan(), by=make.author())
    added(guide)
    sops.submit_version(version.pk, by=make.author())
    sops.release_version(version.pk, by=make.approver(), scope=EVERYTHING)
    sops.set_running(version.sop_id, running=False, by=make.author())
    added(guide)
    assert not Enrollment.objects.exists()


def test_a_store_managers_sop_takes_only_her_stores_people(guide):
    other = people.make_member(store=people.make_store())
    running(within=DataScope(user_id=1, store_ids=frozenset({guide.store_id})))
    contact = added(guide)
    added(other)
    assert list(Enrollment.objects.values_list("contact_id", flat=True)) == [contact.pk]


# --- Running --------------------------------------------------------------------------------------------------------


def test_two_steps_run_in_virtual_time(guide):
    running()
    contacts = [added(guide) for _ in range(2)]
    assert tasks.next_due() == make.local(10)
    with make.at_time(make.local(10)):
        drain()
        [push] = Push.objects.all()
        [unit] = make.units(push)
        assert (push.audience_count, unit.planned, unit.text) == (2, 2, "欢迎来静安寺店")
        assert (push.notify_at, push.confirm_by) == (make.local(10), make.local(20, 30))
        make.agree(unit)
        drain()
        make.give_task(unit)
    with make.at_time(make.local(10, day=3)):
        drain()
        _first, second = Push.objects.order_by("slot_at")
        assert (second.slot_at, second.audience_count) == (make.local(10, day=3), 2)
    assert [outcomes(contact) for contact in contacts] == [[("pushed", ""), ("pushed", "")]] * 2
    assert set(Enrollment.objects.values_list("state", flat=True)) == {"done"}


def test_people_of_one_slot_are_one_unit_and_later_ones_another(guide):
    running()
    added(guide)
    with make.at_time(make.local(10)):
        drain()
    with make.at_time(make.local(11)):
        added(guide)
    with make.at_time(make.local(15)):
        drain()
    assert sorted(Push.objects.values_list("slot_at", "audience_count")) == [(make.local(10), 1), (make.local(15), 1)]


def test_a_step_whose_deadline_passed_is_missed_not_sent_late(guide):
    running()
    contact = added(guide)
    with make.at_time(make.local(20, 30)):
        drain()
    assert outcomes(contact)[0] == ("missed", "")
    assert not Push.objects.exists()


def test_pausing_holds_and_resuming_misses_what_passed(guide):
    version = running()
    contact = added(guide)
    sops.set_running(version.sop_id, running=False, by=make.author())
    with make.at_time(make.local(10, 5)):
        drain()
        assert outcomes(contact)[0] == ("due", "")
    with make.at_time(make.local(9, day=2)):
        sops.set_running(version.sop_id, running=True, by=make.author())
        drain()
    assert outcomes(contact) == [("missed", ""), ("due", "")]


def test_a_cap_skips_the_step_and_keeps_the_customer(guide):
    running()
    contact = added(guide)
    make.released([contact])
    with make.at_time(make.local(10)):
        drain()
    assert outcomes(contact) == [("skipped", "cap"), ("due", "")]
    assert Delivery.objects.get(push__kind="sop").reason == "cap"


def test_opting_out_leaves_the_sop(guide):
    running()
    contact = added(guide)
    contact.refresh_from_db()
    contact.opt_out_since = clock.now()
    contact.save()
    with make.at_time(make.local(10)):
        drain()
    enrollment = Enrollment.objects.get()
    assert (enrollment.state, enrollment.end_reason) == ("exited", "opt_out")
    assert outcomes(contact) == [("skipped", "opt_out"), ("skipped", "exited")]


@pytest.fixture
def exit_when_named():
    from tests.support.tagging import register_test_fields, tree_of

    register_test_fields()
    return tree_of({"field": "t.name", "op": "is", "value": "已购"})


def test_matching_the_exit_condition_leaves_at_once(guide, exit_when_named):
    running(exit_tree=exit_when_named)
    leaving, staying = added(guide), added(guide)
    with make.at_time(make.local(10)):
        drain()
    leaving.refresh_from_db()
    leaving.name = "已购"
    leaving.save()
    sop_running.consume_exits([leaving.pk, staying.pk], frozenset(sop_running.exit_keys()), clock.now())

    assert outcomes(leaving) == [("pushed", ""), ("skipped", "exited")]
    assert outcomes(staying) == [("pushed", ""), ("due", "")]
    shrunk = Delivery.objects.get(contact=leaving)
    assert (shrunk.state, shrunk.reason) == ("skipped", "exited")


def test_the_exit_condition_is_asked_again_before_each_step(guide, exit_when_named):
    running(exit_tree=exit_when_named)
    contact = added(guide, name="已购")
    with make.at_time(make.local(10)):
        drain()
    assert Enrollment.objects.get().end_reason == "exit_rule"
    assert outcomes(contact) == [("skipped", "exited")] * 2
    assert not Push.objects.exists()


def test_the_holdout_is_one_draw_for_all_steps(guide):
    running(holdout_percent=50)
    for _ in range(12):
        added(guide)
    held = set(Enrollment.objects.filter(is_holdout=True).values_list("contact_id", flat=True))
    for day in (0, 3):
        with make.at_time(make.local(10, day=day)):
            drain()
    for push in Push.objects.all():
        assert set(Delivery.objects.filter(push=push, state="holdout").values_list("contact_id", flat=True)) == held
    assert 0 < len(held) < 12


# --- Versions -------------------------------------------------------------------------------------------------------


def test_who_entered_under_a_version_finishes_under_it(guide):
    old = running()
    contact = added(guide)
    new = sops.save_version(old.sop_id, plan(steps=[Step(1, TEN, "新的")]), by=make.author())
    sops.submit_version(new.pk, by=make.author())
    sops.release_version(new.pk, by=make.approver(), scope=EVERYTHING)
    later = added(guide)

    assert Enrollment.objects.get(contact=contact).version == old
    assert Enrollment.objects.get(contact=later).version == new


def test_an_edit_voids_the_waiting_request(guide):
    version = sops.create_sop("新客7天", plan(), by=make.author())
    approval = sops.submit_version(version.pk, by=make.author())
    sops.save_version(version.sop_id, plan(), by=make.author())
    approval.refresh_from_db()
    assert approval.state == "void"
    with pytest.raises(Conflict):
        sops.release_version(version.pk, by=make.approver(), scope=EVERYTHING)


def test_the_author_may_not_release_her_own_sop():
    make.approver()
    by = core.actor_of(core.make_user(role="hq"))
    version = sops.create_sop("新客7天", plan(), by=by)
    sops.submit_version(version.pk, by=by)
    with pytest.raises(NotAllowed):
        sops.release_version(version.pk, by=by, scope=EVERYTHING)
    assert Approval.objects.get().state == "pending" and Sop.objects.get().state == "draft"


def test_a_plan_that_cannot_be_sent_is_refused():
    for bad in (
        [],
        [Step(0, time(11), "没有这个时段")],
        [Step(400, TEN, "太远")],
        [Step(1, TEN, "一"), Step(1, TEN, "二")],
        [Step(0, TEN, "{客户昵称}您好")],
    ):
        with pytest.raises(UserError):
            sops.create_sop("坏的", plan(steps=bad), by=make.author())
    assert not Sop.objects.exists()


def test_pausing_stops_what_lies_with_guides_and_a_new_version_does_not_resume(guide):
    version = running()
    added(guide)
    with make.at_time(make.local(10, 1)):
        drain()
        push = Push.objects.get(kind="sop")
        sops.set_running(version.sop_id, running=False, by=make.author())

        assert make.states(push) == {"stopped": 1}
        newer = sops.save_version(version.sop_id, plan(), by=make.author())
        sops.submit_version(newer.pk, by=make.author())
        sops.release_version(newer.pk, by=make.approver(), scope=EVERYTHING)
    assert Sop.objects.get().state == "paused"


def test_the_writer_of_a_version_may_not_release_it_whoever_submits(guide):
    make.approver()
    writer = core.actor_of(core.make_user(role="hq"))
    version = sops.create_sop("新客7天", plan(), by=writer)
    sops.submit_version(version.pk, by=make.author())

    with pytest.raises(NotAllowed):
        sops.release_version(version.pk, by=writer, scope=EVERYTHING)


def test_one_slot_that_cannot_be_cut_does_not_stop_the_others(guide, monkeypatch):
    first = running()
    second = sops.create_sop("另一个", plan(steps=[Step(0, TEN, "也来{门店名}")]), by=make.author())
    sops.submit_version(second.pk, by=make.author())
    sops.release_version(second.pk, by=make.approver(), scope=EVERYTHING)
    added(guide)
    cut = sop_running.cut_dispatches

    def breaks(push, content):
        if push.source_id == first.pk:
            raise RuntimeError("poisoned")
        return cut(push, content)

    monkeypatch.setattr(sop_running, "cut_dispatches", breaks)
    with make.at_time(make.local(10, 1)), pytest.raises(RuntimeError, match="poisoned"):
        drain()

    assert list(Push.objects.filter(kind="sop").values_list("source_id", flat=True)) == [second.pk]


def test_the_run_of_a_customer_merged_into_another_goes_on_as_hers(guide):
    running()
    older = people.make_contact()
    newer = added(guide)

    merge_roots([(older.pk, newer.pk)], now=clock.now())

    enrollment = Enrollment.objects.get()
    assert (enrollment.state, enrollment.contact_id, enrollment.target) == ("running", older.pk, f"c{older.pk}")


def test_of_two_runs_of_customers_who_became_one_the_moved_one_ends(guide):
    running()
    first, second = added(guide), added(guide)

    merge_roots([(first.pk, second.pk)], now=clock.now())

    assert dict(Enrollment.objects.values_list("contact_id", "state")) == {first.pk: "running", second.pk: "exited"}


def test_who_leaves_after_a_merge_is_left_out_of_what_was_cut_before_it(guide, exit_when_named):
    running(exit_tree=exit_when_named)
    older = people.make_contact()
    newer = added(guide)
    with make.at_time(make.local(10)):
        drain()
    merge_roots([(older.pk, newer.pk)], now=clock.now())
    older.refresh_from_db()
    older.name = "已购"
    older.save()

    sop_running.consume_exits([older.pk], frozenset(sop_running.exit_keys()), clock.now())

    shrunk = Delivery.objects.get(contact=newer)
    assert (shrunk.state, shrunk.reason) == ("skipped", "exited")


def test_a_slot_locks_the_runs_before_their_steps(guide):
    """As exits do: else the two could wait for each other."""
    running()
    added(guide)
    with make.at_time(make.local(10, 1)), CaptureQueriesContext(connection) as seen:
        sop_running.run_due()

    locks = [query["sql"] for query in seen.captured_queries if "FOR UPDATE" in query["sql"]]
    assert 'FROM "campaigns_enrollment" ' in locks[0] and 'FROM "campaigns_enrollmentstep" ' in locks[1]


def test_a_rule_enrols_people_once_and_takes_them_out(guide):
    version = running()
    person = people.make_contact("王姐", owner=guide)
    follow = people.make_follow(person, guide)

    def ruled(way, name):
        action = {"kind": "sop", "sop": version.sop_id, "way": way}
        consent = {"kind": "event", "event": "consent.given" if way == "in" else "consent.withdrawn"}
        rule = rules.save_rule(None, name=name, tree=EVERYONE, rule_actions=[action], trigger=consent, by=SYSTEM)
        rules.enable_rule(rule, by=SYSTEM)

    def happened(kind, key):
        record_events([NewEvent(kind, clock.now(), "product", key, contact_id=person.pk)])
        while drain_batch():
            pass

    ruled("in", "加入")
    ruled("out", "退出")
    happened("consent.given", "a")
    happened("consent.given", "b")
    run = Enrollment.objects.get()
    assert (run.state, run.follow_id, run.steps.count()) == ("running", follow.pk, 2)
    happened("consent.withdrawn", "c")
    run.refresh_from_db()
    assert (run.state, run.end_reason) == ("exited", "rule")
