"""同意 → WeCom task → 确认发送 → results: each step, its refusals, and what a stop or a deadline does in between."""

import pytest

from accounts.scope import EVERYTHING
from campaigns import tasks
from campaigns.models import Delivery, Dispatch, Push
from campaigns.queries.broadcasts import progress_of
from campaigns.services import agreeing, claiming, polling, results, stopping
from campaigns.services.asking import POLL
from campaigns.states import DELIVERY_NEXT, DISPATCH_NEXT, FINAL_DISPATCH
from contacts.models import TimelineEvent
from scrm.lib import clock
from scrm.lib.errors import Conflict, TryLater, UserError
from tests.support import campaigns as make
from tests.support import contacts as people
from wecom_bridge.contracts import command_kind
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _morning():
    with make.at_time(make.MORNING):
        yield


@pytest.fixture
def push():
    return make.released(make.make_customers(3))


@pytest.fixture
def unit(push):
    return make.units(push)[0]


def commands(kind):
    return list(OutboundCommand.objects.filter(kind=kind).order_by("pk"))


def drain():
    tasks.drain(clock.wall() + __import__("datetime").timedelta(seconds=20))


def tasked(unit):
    """The unit agreed to, claimed at 通知时间 and taken by WeCom."""
    make.agree(unit)
    with make.at_time(make.local(10)):
        claiming.claim_due()
        make.give_task(unit)


def answer(unit, *statuses, after=0):
    """What WeCom lists as results for the unit's people, in order."""
    rows = list(Delivery.objects.filter(dispatch=unit).order_by("pk"))
    sent = int(make.local(10, 30).timestamp())
    listed = [
        {"external_userid": row.external_userid, "status": status, **({"send_time": sent} if status == 1 else {})}
        for row, status in zip(rows[after:], statuses, strict=False)
    ]
    results.record_results(unit.pk, listed, "")


def confirm(unit):
    sent = int(make.local(10, 30).timestamp())
    results.record_task_state(unit.pk, [{"userid": unit.sender.userid, "status": 2, "send_time": sent}])


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


def test_results_settle_every_person(push, unit):
    tasked(unit)
    with make.at_time(make.local(10, 31)):
        drain()
        assert commands("groupmsg.poll")[-1].payload == {"step": "task", "after_stop": False}
        confirm(unit)
        answer(unit, 1, 2, 3)
        drain()
    unit.refresh_from_db()
    push.refresh_from_db()
    rows = Delivery.objects.filter(push=push).order_by("pk")
    assert [(row.state, row.reason) for row in rows] == [("sent", ""), ("failed", "not_friend"), ("failed", "quota")]
    assert rows[0].sent_at == make.local(10, 30) == unit.confirmed_at
    assert (unit.state, push.state) == ("done", "ended")
    kinds = TimelineEvent.objects.filter(subject=f"push:{push.pk}").values_list("kind", flat=True)
    assert sorted(kinds) == ["push.failed", "push.failed", "push.sent"]


def test_the_same_answer_twice_changes_nothing(push, unit):
    tasked(unit)
    for _ in range(2):
        with make.at_time(make.local(10, 31)):
            confirm(unit)
            answer(unit, 1, 1, 1)
    assert make.states(push) == {"sent": 3}
    assert TimelineEvent.objects.filter(kind="push.sent").count() == 3


def test_pages_of_results_are_followed(unit):
    tasked(unit)
    with make.at_time(make.local(10, 31)):
        confirm(unit)
        results.record_results(unit.pk, [], "page2")
    assert commands("groupmsg.poll")[-1].payload == {"step": "results", "cursor": "page2"}


def test_whom_wecom_refused_has_failed(push, unit):
    make.agree(unit)
    first = Delivery.objects.filter(dispatch=unit).order_by("pk")[0]
    with make.at_time(make.local(10)):
        claiming.claim_due()
        make.give_task(unit, fail_list=[first.external_userid])
    first.refresh_from_db()
    assert (first.state, first.reason) == ("failed", "refused")
    assert make.states(push) == {"failed": 1, "tasked": 2}


def test_no_result_within_two_days_is_unknown(push, unit):
    tasked(unit)
    with make.at_time(make.local(10, 31)):
        confirm(unit)
        answer(unit, 1, 0, 0)
    assert make.states(push) == {"sent": 1, "tasked": 2}
    with make.at_time(make.local(11, day=2)):
        answer(unit, 1, 0, 0)
        drain()
    assert make.states(push) == {"sent": 1, "unknown": 2}


def test_the_deadline_stops_the_task_and_asks_once_more(push, unit):
    tasked(unit)
    with make.at_time(make.local(20, 30)):
        drain()
        unit.refresh_from_db()
        assert (unit.state, len(commands("groupmsg.cancel"))) == ("stopping", 1)
        results.record_stop(unit.pk)
        assert commands("groupmsg.poll")[-1].payload == {"step": "task", "after_stop": True}
        results.record_task_state(unit.pk, [{"userid": unit.sender.userid, "status": 0}], after_stop=True)
        drain()
    push.refresh_from_db()
    assert make.states(push) == {"expired": 3}
    assert push.state == "ended"


def test_a_look_from_before_the_stop_does_not_settle_it(push, unit):
    tasked(unit)
    with make.at_time(make.local(20, 30)):
        drain()
        results.record_task_state(unit.pk, [{"userid": unit.sender.userid, "status": 0}])
    assert make.states(push) == {"tasked": 3}


def test_a_guide_faster_than_the_deadline_has_sent(push, unit):
    tasked(unit)
    with make.at_time(make.local(20, 31)):
        drain()
        results.record_stop(unit.pk)
        results.record_task_state(
            unit.pk,
            [{"userid": unit.sender.userid, "status": 2, "send_time": int(make.local(20, 29).timestamp())}],
            after_stop=True,
        )
        answer(unit, 1, 1, 1)
        drain()
    push.refresh_from_db()
    assert make.states(push) == {"sent": 3}
    assert push.state == "ended"


def end_parked(command):
    """The bridge gave the command up; its kind is told, as the settling transaction does."""
    OutboundCommand.objects.filter(pk=command.pk).update(state="parked")
    told = command_kind(command.kind).on_parked
    if told is not None:
        told(command)


def test_a_stop_that_was_given_up_is_wished_again_and_never_taken_for_done(push, unit):
    tasked(unit)
    with make.at_time(make.local(20, 30)):
        drain()
        end_parked(commands("groupmsg.cancel")[0])
        drain()
    unit.refresh_from_db()
    assert (unit.state, make.states(push), len(commands("groupmsg.cancel"))) == ("stopping", {"tasked": 3}, 1)
    assert tasks.next_due() == unit.poll_at
    with make.at_time(make.local(21, 5)):
        drain()
        drain()
        assert len(commands("groupmsg.cancel")) == 2  # once more, while it is open
        results.record_stop(unit.pk)
        results.record_task_state(unit.pk, [], after_stop=True)
    unit.refresh_from_db()
    assert (unit.state, unit.poll_at, make.states(push)) == ("expired", None, {"expired": 3})


def test_a_guide_who_confirms_while_the_stop_is_given_up_has_sent(push, unit):
    tasked(unit)
    with make.at_time(make.local(20, 30)):
        drain()
        end_parked(commands("groupmsg.cancel")[0])
    with make.at_time(make.local(21, 5)):
        drain()
        confirm(unit)
    unit.refresh_from_db()
    assert unit.state == "confirmed"


def test_whose_end_is_unknown_is_asked_for_daily_until_thirty_days(push, unit):
    tasked(unit)
    with make.at_time(make.local(10, 30)):
        confirm(unit)
    with make.at_time(make.local(11, day=2)):
        answer(unit, 1)
        unit.refresh_from_db()
        assert (unit.state, unit.poll_at is not None, make.states(push)) == ("done", True, {"sent": 1, "unknown": 2})
        OutboundCommand.objects.filter(kind=POLL).delete()
    for day in (3, 4):
        with make.at_time(make.local(12, day=day)):
            drain()
            drain()
            OutboundCommand.objects.filter(kind=POLL).update(state="done")
    assert [command.payload["step"] for command in commands(POLL)] == ["results"] * 2
    with make.at_time(make.local(12, day=4)):
        answer(unit, 1, after=1)
    unit.refresh_from_db()
    assert (unit.state, make.states(push)) == ("done", {"sent": 2, "unknown": 1})
    with make.at_time(make.local(12, day=30)):
        answer(unit, 1)
    unit.refresh_from_db()
    assert unit.poll_at is None


def test_a_late_answer_for_everybody_ends_the_looking(push, unit):
    tasked(unit)
    with make.at_time(make.local(10, 30)):
        confirm(unit)
    with make.at_time(make.local(11, day=2)):
        answer(unit)
        answer(unit, 1, 1, 3)
    unit.refresh_from_db()
    assert (unit.poll_at, make.states(push)) == (None, {"sent": 2, "failed": 1})


def test_stopping_a_push_ends_what_is_here_and_asks_wecom_for_the_rest():
    push = make.released([*make.make_customers(2), *make.make_customers(3)])
    at_wecom, waiting = make.units(push)
    tasked(at_wecom)
    with make.at_time(make.local(11)):
        assert stopping.stop_counts(push.pk) == {"stopped": 5, "going": 0, "sent": 0}
        stopping.stop_push(push.pk, by=make.author())
        stopping.stop_push(push.pk, by=make.author())
        waiting.refresh_from_db()
        assert waiting.state == "stopped"
        with pytest.raises(Conflict):
            make.agree(waiting)
        results.record_stop(at_wecom.pk)
        results.record_task_state(at_wecom.pk, [], after_stop=True)
        drain()
    push.refresh_from_db()
    assert make.states(push) == {"stopped": 5}
    assert (push.state, push.broadcast.state) == ("stopped", "stopped")


def test_a_stop_while_the_call_is_on_its_way_is_carried_out_afterwards(push, unit):
    make.agree(unit)
    with make.at_time(make.local(10)):
        claiming.claim_due()
        stopping.stop_push(push.pk, by=make.author())
        make.give_task(unit)
    unit.refresh_from_db()
    assert unit.state == "stopping"
    assert len(commands("groupmsg.cancel")) == 1


def test_a_stop_before_the_call_left_ends_the_unit(push, unit):
    from campaigns.handlers.groupmsg import build_create

    make.agree(unit)
    with make.at_time(make.local(10)):
        claiming.claim_due()
        stopping.stop_push(push.pk, by=make.author())
    [command] = commands("groupmsg.create")
    assert build_create(command) is None
    OutboundCommand.objects.update(state="cancelled")
    with make.at_time(make.local(10, 1)):
        drain()
    assert make.states(push) == {"stopped": 3}


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


def test_reminders_stop_at_three_in_a_day(push, unit):
    tasked(unit)
    with make.at_time(make.local(11)):
        for _ in range(3):
            assert polling.remind(push.pk, by=make.author()) == 1
        with pytest.raises(TryLater):
            polling.remind(push.pk, by=make.author())
    with make.at_time(make.local(11, 1, day=1)):
        assert polling.remind(push.pk, by=make.author()) == 1


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


def test_a_confirmed_unit_whose_results_wecom_refuses_ends_all_the_same(unit, push):
    """Its guide left the corp before the last page."""
    tasked(unit)
    with make.at_time(make.local(19)):
        results.record_task_state(unit.pk, [{"userid": unit.sender.userid, "status": 2}])
        results.record_no_answer(unit.pk, after_stop=False)
        assert Dispatch.objects.get(pk=unit.pk).state == "confirmed"
    with make.at_time(make.local(19, 1, day=2)):
        results.record_no_answer(unit.pk, after_stop=False)

    assert Dispatch.objects.get(pk=unit.pk).state == "done" and make.states(push) == {"unknown": 3}


def test_agreeing_to_a_unit_that_expired_since_says_so(unit):
    """A page left open over the evening."""
    make.agree(unit)
    Dispatch.objects.filter(pk=unit.pk).update(state="expired")
    with pytest.raises(Conflict, match="超时未确认"):
        make.agree(unit)


def test_a_unit_skipped_after_agreeing_does_not_count_as_agreed(push, unit):
    make.agree(unit)
    agreeing.skip(unit.pk, member_ids=[unit.sender_id], reason="on_leave", by=make.author())

    assert progress_of([push], EVERYTHING)[push.pk].agreed == 0


def test_a_question_wecom_has_not_answered_stands_once(unit):
    tasked(unit)
    for minute in (1, 32, 63):
        with make.at_time(make.local(10 + minute // 60, minute % 60)):
            drain()

    assert len(commands(POLL)) == 1


def test_a_task_with_the_status_of_the_references_sample_is_confirmed(unit):
    tasked(unit)
    with make.at_time(make.local(10, 30)):
        results.record_task_state(unit.pk, [{"userid": unit.sender.userid, "status": 1}])

    unit.refresh_from_db()
    assert unit.state == "confirmed"
