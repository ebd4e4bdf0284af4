"""同意, 跳过 and the claim at 通知时间: each step, its refusals, and who is left."""

import pytest

from accounts.scope import EVERYTHING
from campaigns.models import Delivery, Dispatch, Push
from campaigns.queries.broadcasts import progress_of
from campaigns.services import agreeing
from campaigns.states import DELIVERY_NEXT, DISPATCH_NEXT, FINAL_DISPATCH
from scrm.lib.errors import Conflict, UserError
from tests.support import campaigns as make
from tests.support import contacts as people
from tests.support.units import commands, drain
from wecom_bridge.models import OutboundCommand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("morning")]


def test_silence_is_not_sent(push):
    with make.at_time(make.local(12)):
        drain()
    assert not OutboundCommand.objects.exists()
    with make.at_time(make.local(20, 30)):
        drain()
    push.refresh_from_db()
    assert make.states(push) == {"expired": 3}
    assert push.state == "ended"


def test_an_agreement_before_notice_takes_effect_at_notice(unit):
    make.agree(unit)
    drain()
    assert not commands("groupmsg.create")

    with make.at_time(make.local(10)):
        drain()
        drain()
    assert [command.subject_id for command in commands("groupmsg.create")] == [unit.pk]


def test_agreeing_twice_changes_nothing(unit):
    first, again = make.agree(unit), make.agree(unit)
    assert again.agreed_at == first.agreed_at


def test_agreeing_after_the_deadline_is_refused(unit):
    with make.at_time(make.local(20, 30)), pytest.raises(Conflict) as refused:
        make.agree(unit)
    assert refused.value.code == "past_deadline"


def test_another_guides_unit_does_not_exist_for_her(unit):
    stranger = people.make_member()
    with pytest.raises(Dispatch.DoesNotExist):
        agreeing.agree(unit.pk, member_ids=[stranger.pk], by=make.author())


def test_agreeing_to_a_unit_that_expired_since_says_so(unit):
    """A page left open over the evening."""
    make.agree(unit)
    Dispatch.objects.filter(pk=unit.pk).update(state="expired")
    with pytest.raises(Conflict, match="超时未确认"):
        make.agree(unit)


def test_skipping_needs_a_reason_and_settles_the_people(push, unit):
    with pytest.raises(UserError):
        agreeing.skip(unit.pk, member_ids=[unit.sender_id], reason="", by=make.author())
    with pytest.raises(UserError):
        agreeing.skip(unit.pk, member_ids=[unit.sender_id], reason="other", by=make.author())
    agreeing.skip(unit.pk, member_ids=[unit.sender_id], reason="on_leave", by=make.author())
    agreeing.skip(unit.pk, member_ids=[unit.sender_id], reason="out_of_stock", by=make.author())

    unit.refresh_from_db()
    assert (unit.state, unit.reason) == ("skipped", "on_leave")
    assert make.states(push) == {"skipped": 3}
    with pytest.raises(Conflict):
        make.agree(unit)


def test_a_unit_skipped_after_agreeing_does_not_count_as_agreed(push, unit):
    make.agree(unit)
    agreeing.skip(unit.pk, member_ids=[unit.sender_id], reason="on_leave", by=make.author())

    assert progress_of([push], EVERYTHING)[push.pk].agreed == 0


def test_left_out_people_stay_in_the_sum(push, unit):
    chosen = Delivery.objects.filter(dispatch=unit)[0]
    assert (
        agreeing.exclude(unit.pk, [chosen.pk], member_ids=[unit.sender_id], reason="刚在店里见过", by=make.author())
        == 1
    )
    chosen.refresh_from_db()
    assert (chosen.state, chosen.reason, chosen.note) == ("skipped", "guide_excluded", "刚在店里见过")
    assert sum(make.states(push).values()) == push.audience_count == 3

    make.agree(unit)
    with pytest.raises(Conflict):
        agreeing.exclude(unit.pk, [chosen.pk + 1], member_ids=[unit.sender_id], reason="晚了", by=make.author())


def test_a_unit_without_anybody_left_cannot_be_agreed_to(unit):
    everybody = list(Delivery.objects.filter(dispatch=unit).values_list("pk", flat=True))
    agreeing.exclude(unit.pk, everybody, member_ids=[unit.sender_id], reason="都联系过", by=make.author())
    with pytest.raises(UserError) as refused:
        make.agree(unit)
    assert refused.value.code == "nobody_left"


def test_silence_agrees_only_where_the_tenant_said_so(acme, push, unit):
    from tenants.context import tenant_scope

    acme.policy = {"campaigns": {"silence_agrees": True}}
    late = make.released(make.make_customers(1), notify_at=make.local(12))
    with tenant_scope(acme):
        with make.at_time(make.local(10)):
            drain()
        assert not commands("groupmsg.create")  # stood in 今日 for half an hour only
        with make.at_time(make.local(12)):
            drain()
    assert [command.subject_id for command in commands("groupmsg.create")] == [make.units(late)[0].pk]


def test_the_claim_only_shrinks(push, unit):
    gone, silent, kept = Delivery.objects.filter(dispatch=unit).order_by("pk")
    gone.follow.relation = "by_customer"
    gone.follow.save()
    silent.contact.opt_out_since = make.MORNING
    silent.contact.save()
    newcomer = people.make_contact()
    people.make_follow(newcomer, unit.sender)

    make.agree(unit)
    with make.at_time(make.local(10)):
        drain()
    for row in (gone, silent, kept):
        row.refresh_from_db()
    assert [(row.state, row.reason) for row in (gone, silent, kept)] == [
        ("skipped", "not_friend"), ("skipped", "opt_out"), ("planned", ""),
    ]  # fmt: skip
    assert sum(make.states(push).values()) == 3


def test_a_unit_with_nobody_left_calls_nobody(push, unit):
    Delivery.objects.get(dispatch=unit, pk=Delivery.objects.filter(dispatch=unit)[0].pk)
    for row in Delivery.objects.filter(dispatch=unit).select_related("follow"):
        row.follow.relation = "by_guide"
        row.follow.save()
    make.agree(unit)
    with make.at_time(make.local(10)):
        drain()
    unit.refresh_from_db()
    push.refresh_from_db()
    assert (unit.state, unit.reason, push.state) == ("done", "nobody_left", "ended")
    assert not commands("groupmsg.create")


def test_equal_messages_of_one_guide_are_never_in_doubt_at_once():
    guide = people.make_member(store=people.make_store())
    first, second = (make.released(make.make_customers(1, guide), text="一样的话") for _ in range(2))
    for push in (first, second):
        make.agree(make.units(push)[0])
    with make.at_time(make.local(10)):
        drain()
        assert len(commands("groupmsg.create")) == 1
        make.give_task(make.units(first)[0])
        drain()
    assert len(commands("groupmsg.create")) == 2


def test_final_states_lead_nowhere_but_to_wecoms_word():
    assert {"done", "skipped", "expired", "stopped", "failed"} == FINAL_DISPATCH
    assert all(
        following <= {"sent", "failed"}
        for state, following in DELIVERY_NEXT.items()
        if state not in ("planned", "tasked")
    )
    assert set(DISPATCH_NEXT) == set(
        Dispatch._meta.get_field("state").choices and dict(Dispatch._meta.get_field("state").choices)
    )
    assert Push.objects.count() == 0
