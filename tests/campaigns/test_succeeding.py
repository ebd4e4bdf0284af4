"""A customer in a SOP is taken over: nothing is lost, nothing comes twice, nothing is sent by the guide who gave her away."""

from datetime import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.scope import EVERYTHING
from campaigns.models import Delivery, Dispatch, Enrollment, EnrollmentStep, Push
from campaigns.services import sops, succeeding
from campaigns.services.sops import Plan, Step
from contacts.models import Follow, Member, Relation
from contacts.successions import TakenOver
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from tests.support import campaigns as make
from tests.support import contacts as people
from tests.support.units import answer, confirm, drain

pytestmark = pytest.mark.django_db
TEN = time(10)


@pytest.fixture(autouse=True)
def _morning():
    with make.at_time(make.MORNING):
        yield


@pytest.fixture
def guide():
    member = people.make_member("林小雅", store=people.make_store("静安寺店"))
    make.cover(member.corp)
    return member


@pytest.fixture
def taker(guide):
    return people.make_member("陈婧", store=guide.store)


def enrolled(guide, number=1, *days):
    """Friends of hers who run through a SOP with steps on these days at ten."""
    plan = Plan(steps=[Step(day, TEN, f"第{day}天的话") for day in days or (0, 3)], within=EVERYTHING)
    version = sops.create_sop("新客7天", plan, by=make.author())
    sops.submit_version(version.pk, by=make.author())
    sops.release_version(version.pk, by=make.approver(), scope=EVERYTHING)
    follows = [people.make_follow(people.make_contact(), guide, added_at=clock.now()) for _ in range(number)]
    record_events([
        NewEvent(kind="follow.added", occurred_at=clock.now(), source="callback", fact_key=f"follow.added:{one.pk}",
                 contact_id=one.contact_id, identity_id=one.identity_id, member_id=guide.pk)
        for one in follows
    ])  # fmt: skip
    return follows


def given_away(follow, when=None):
    now = when or clock.now()
    Follow.objects.filter(pk=follow.pk).update(relation=Relation.TRANSFERRED, relation_since=now)


def taken(follow, taker):
    """WeCom has handed her over, and the successor's relation is known."""
    if Follow.objects.get(pk=follow.pk).relation == Relation.ACTIVE:
        given_away(follow)
    new = people.make_follow(follow.contact, taker, identity=follow.identity, added_at=clock.now())
    succeeding.take_over([TakenOver(follow.pk, new.pk)])
    return new


def gone(member):
    Member.objects.filter(pk=member.pk).update(status=Member.Status.LEFT, has_customer_contact=False)


def steps():
    return list(EnrollmentStep.objects.order_by("enrollment", "step__position").values_list("state", "slot_at"))


def voices():
    """Who was to speak, and what became of it, slot by slot."""
    rows = Delivery.objects.values_list("push__slot_at", "member__name", "state", "reason")
    return [tuple(row) for _slot, *row in sorted(rows)]


@pytest.mark.parametrize("agreed", [False, True])
def test_what_lies_with_the_guide_is_cut_anew_once_for_the_successor(guide, taker, agreed):
    mine, _other = enrolled(guide, 2)
    with make.at_time(make.local(10)):
        drain()
        unit = Dispatch.objects.get()
    with make.at_time(make.local(11)):
        if agreed:
            Dispatch.objects.update(state="agreed", agreed_at=clock.now())
        new = taken(mine, taker)
        succeeding.take_over([TakenOver(mine.pk, new.pk)])  # told again
        assert Enrollment.objects.get(contact=mine.contact).follow_id == new.pk
        assert ("due", make.local(15)) in steps()
        if agreed:
            drain()
            assert Dispatch.objects.get(pk=unit.pk).planned == 1
    with make.at_time(make.local(15)):
        drain()
    assert voices() == [
        ("林小雅", "planned", ""), ("林小雅", "skipped", "handed_over"), ("陈婧", "planned", ""),
    ]  # fmt: skip
    assert Delivery.objects.get(member=taker).dispatch.text == "第0天的话"
    with make.at_time(make.local(15, 30)):
        again = people.make_member("王悦", store=guide.store)
        taken(new, again)  # a step moves once: whoever is taken over again meanwhile gets it from nobody
        drain()
    with make.at_time(make.local(10, day=3)):
        drain()
    assert [name for name, *_rest in voices()] == ["林小雅", "林小雅", "陈婧", "林小雅", "王悦"]
    assert Delivery.objects.filter(contact=mine.contact, member=taker).get().state == "expired"


def test_a_unit_with_nobody_left_is_over_and_the_last_step_of_a_run_is_not_lost(guide, taker):
    (follow,) = enrolled(guide, 1, 0)
    with make.at_time(make.local(10)):
        drain()
    assert Enrollment.objects.get().state == "done"
    with make.at_time(make.local(11)):
        taken(follow, taker)
        drain()
        assert Dispatch.objects.values_list("state", "reason").get() == ("done", "nobody_left")
        assert (Push.objects.get().state, Enrollment.objects.get().state) == ("ended", "running")
    with make.at_time(make.local(15)):
        drain()
    assert (Delivery.objects.get(member=taker).state, Enrollment.objects.get().state) == ("planned", "done")


@pytest.mark.parametrize(("status", "comes_again"), [(2, True), (1, False)])
def test_what_wecom_has_a_task_of_is_cut_anew_only_when_it_was_not_sent(guide, taker, status, comes_again):
    (follow,) = enrolled(guide, 1, 0)
    with make.at_time(make.local(10)):
        drain()
        unit = make.units(Push.objects.get())[0]
        make.agree(unit)
        drain()
        make.give_task(unit)
        given_away(follow)
        taken(follow, taker)
        assert steps() == [("pushed", make.local(10))]
    with make.at_time(make.local(10, 30)):
        confirm(unit)
        answer(unit, status)
        drain()
    with make.at_time(make.local(15)):
        drain()
    assert Delivery.objects.filter(member=taker).exists() is comes_again


def test_what_a_leaver_left_unsaid_while_she_was_handed_over_comes_from_the_successor(guide, taker):
    (follow,) = enrolled(guide, 1, 0, 1, 3)
    with make.at_time(make.local(10)):
        drain()
        gone(guide)
    with make.at_time(make.local(20, 31)):
        drain()
    with make.at_time(make.local(10, day=1)):
        drain()
    assert voices() == [("林小雅", "expired", "deadline"), ("林小雅", "excluded", "no_guide")]
    with make.at_time(make.local(11, day=1)):
        taken(follow, taker)
    assert [state for state, _at in steps()] == ["due", "due", "due"]
    with make.at_time(make.local(15, day=1)):
        drain()
    told = Delivery.objects.filter(member=taker).order_by("pk").values_list("state", "reason")
    assert list(told) == [("planned", ""), ("excluded", "cap")]  # one a day, as ever


def test_what_she_missed_long_before_is_past_and_a_guide_at_work_who_was_silent_has_answered(guide, taker):
    first, second = enrolled(guide, 2, 0)
    with make.at_time(make.local(10)):
        drain()
    with make.at_time(make.local(20, 31)):
        drain()
        taken(first, taker)
        assert [state for state, _at in steps()] == ["pushed", "pushed"]
        gone(guide)
    with make.at_time(make.local(13, day=1)):
        taken(second, taker)
        assert [state for state, _at in steps()] == ["pushed", "pushed"]


def test_a_customer_who_was_nobodys_friend_for_a_moment_goes_on(guide, taker):
    (follow,) = enrolled(guide)
    given_away(follow, make.local(9, 58))
    with make.at_time(make.local(10)):
        drain()
        assert Enrollment.objects.get().state == "exited"
        taken(follow, taker)
    assert steps() == [("due", make.local(15)), ("due", make.local(10, day=3))]
    assert Enrollment.objects.get().state == "running"


def test_taking_over_costs_the_same_for_one_and_for_many(guide, taker):
    follows = enrolled(guide, 12)
    with make.at_time(make.local(10)):
        drain()

    def cost(some):
        pairs = []
        for one in some:
            given_away(one)
            new = people.make_follow(one.contact, taker, identity=one.identity, added_at=clock.now())
            pairs.append(TakenOver(one.pk, new.pk))
        with CaptureQueriesContext(connection) as captured:
            succeeding.take_over(pairs)
        return len(captured)

    with make.at_time(make.local(11)):
        assert cost(follows[:1]) == cost(follows[1:11]) <= 22
        stranger = people.make_follow(people.make_contact(), guide)
        assert cost([stranger]) <= 5
        assert EnrollmentStep.objects.filter(slot_at=make.local(15)).count() == 11
