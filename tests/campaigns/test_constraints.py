"""What the tables themselves refuse, and what campaigns.states allows: each row of the one list is checked here."""

from contextlib import contextmanager
from datetime import time

import pytest
from django.db import IntegrityError, transaction

from accounts.scope import EVERYTHING
from campaigns.models import Approval, Campaign, DeliveryMove, Enrollment, EnrollmentStep, Push, Sop, SopStep
from campaigns.services import sops
from campaigns.states import (
    APPROVAL_NEXT,
    DELIVERY_MOVES,
    DELIVERY_NEXT,
    FINAL_DISPATCH,
    MOVES_FROM,
    PUSH_NEXT,
    REASONS,
    ApprovalState,
    DeliveryState,
    DispatchState,
    PushState,
    may_follow,
    may_move,
)
from scrm.lib import clock
from tests.support import campaigns as make
from tests.support import contacts as people

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _morning():
    with make.at_time(make.MORNING):
        yield


@contextmanager
def refused(name):
    """The database refuses, by the constraint of this name."""
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        yield


def a_sop(name="新客7天"):
    return sops.create_sop(name, sops.Plan(steps=[sops.Step(0, time(10), "欢迎")], within=EVERYTHING), by=make.author())


# --- The lists ------------------------------------------------------------------------------------------------------


def test_requests_and_pushes_are_decided_once():
    assert set(APPROVAL_NEXT) == set(ApprovalState.values) and set(PUSH_NEXT) == set(PushState.values)
    assert may_follow(APPROVAL_NEXT, "pending", "approved") and may_follow(PUSH_NEXT, "frozen", "stopped")
    assert not any(following for state, following in APPROVAL_NEXT.items() if state != "pending")
    assert not any(following for state, following in PUSH_NEXT.items() if state != "frozen")


@pytest.mark.parametrize(
    ("unit", "delivery", "reason"),
    [
        ("skipped", "skipped", "guide_skipped"),
        ("expired", "expired", "deadline"),
        ("stopped", "stopped", "stopped"),
        ("failed", "failed", "no_task"),
    ],
)
def test_whom_her_guide_did_not_reach_another_may(unit, delivery, reason):
    assert may_move(unit, delivery, reason)


def test_nobody_else_changes_hands():
    allowed = {
        (unit, delivery, reason)
        for unit in DispatchState.values
        for delivery in DeliveryState.values
        for reason in ["", *REASONS]
        if may_move(unit, delivery, reason)
    }
    assert {unit for unit, _delivery, _reason in allowed} == set(MOVES_FROM) < set(FINAL_DISPATCH)
    assert {(delivery, reason) for _unit, delivery, reason in allowed} == {
        (state, reason) for state, reasons in DELIVERY_MOVES.items() for reason in reasons
    }
    assert not any("planned" in following for following in DELIVERY_NEXT.values())  # the one way back is a move


# --- The tables -----------------------------------------------------------------------------------------------------


def test_only_a_moment_is_for_nobody():
    push = make.released(make.make_customers(1))
    assert (push.kind, push.target) == ("broadcast", "people")
    rows = Push.objects.filter(pk=push.pk)
    with refused("push_kind_has_its_target"):
        rows.update(target="none")
    with refused("push_kind_has_its_target"):
        rows.update(kind="moment")
    assert rows.update(kind="moment", target="none") == 1


def test_a_version_is_approved_once():
    broadcast = make.release(make.make_draft(make.make_customers(1)))
    approved = Approval.objects.get(subject_id=broadcast.pk)
    approved.pk = None
    with refused("approved_once_per_version"):
        approved.save()


def test_a_name_is_free_again_when_its_bearer_is_over():
    version = a_sop()
    with refused("one_living_sop_per_name"):
        Sop.objects.create(name="新客7天", created_at=clock.now())
    Sop.objects.filter(pk=version.sop_id).update(state="off")
    assert a_sop().sop_id != version.sop_id

    old = Campaign.objects.create(name="会员日", created_at=clock.now())
    with refused("one_living_campaign_per_name"):
        Campaign.objects.create(name="会员日", created_at=clock.now())
    Campaign.objects.filter(pk=old.pk).update(archived_at=clock.now())
    Campaign.objects.create(name="会员日", created_at=clock.now())


def test_a_step_that_sends_has_its_day_and_content():
    step = SopStep.objects.get(version=a_sop())
    assert (step.sending.day, step.sending.slot, step.sending.content.text) == (0, time(10), "欢迎")
    rows = SopStep.objects.filter(pk=step.pk)
    for missing in ({"day": None}, {"slot": None}, {"content_version": None}, {"day": -1}):
        with refused("mass_step_has_its_day_and_content"):
            rows.update(**missing)
    with refused("one_to_one_step_has_its_day_and_content"):
        rows.update(kind="one_to_one", slot=None)


def test_a_run_is_of_a_person_or_a_group_once_at_a_time():
    version, contact, group = a_sop(), people.make_contact(), people.make_group()

    def enrol(target, key, **whom):
        return Enrollment.objects.create(
            version=version, sop_id=version.sop_id, target=target, trigger_key=key, entered_at=clock.now(), **whom
        )

    run = enrol("c1", "a", contact=contact)
    enrol("g1", "a", group=group)
    with refused("runs_once_at_a_time"):
        enrol("g1", "b", group=group)
    with refused("enrollment_is_of_a_person_or_a_group"):
        enrol("c2", "c", contact=contact, group=group)
    with refused("enrollment_is_of_a_person_or_a_group"):
        enrol("c3", "d")
    Enrollment.objects.filter(pk=run.pk).update(state="done")
    with refused("enrolled_once_per_fact"):
        enrol("c1", "a", contact=contact)
    with refused("step_moves_to_a_later_slot"):
        EnrollmentStep.objects.create(
            enrollment=run, step=version.steps.get(), slot_at=make.local(10), moved_from=make.local(15)
        )


def test_a_delivery_leaves_a_unit_once_and_for_another():
    store = people.make_store()
    guides = [people.make_member(store=store) for _ in range(2)]
    push = make.released([contact for guide in guides for contact in make.make_customers(1, guide)])
    first, second = make.units(push)
    delivery = first.deliveries.get()
    kept = {
        "from_follow": delivery.follow,
        "from_member": first.sender,
        "from_external_userid": delivery.external_userid,
    }

    def move(to):
        DeliveryMove.objects.create(
            delivery=delivery, from_dispatch=first, to_dispatch=to, moved_at=clock.now(), **kept
        )

    with refused("delivery_moves_to_another_unit"):
        move(first)
    move(second)
    with refused("one_move_out_of_a_unit"):
        move(second)
