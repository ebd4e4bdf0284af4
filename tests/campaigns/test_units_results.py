"""What WeCom says of a task settles every person, late answers too."""

import pytest

from campaigns.models import Delivery, Dispatch
from campaigns.services import claiming, polling, results
from campaigns.services.asking import POLL
from contacts.models import TimelineEvent
from scrm.lib.errors import TryLater
from tests.support import campaigns as make
from tests.support.units import answer, commands, confirm, drain, tasked
from wecom_bridge.models import OutboundCommand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("morning")]


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


def test_a_task_with_the_status_of_the_references_sample_is_confirmed(unit):
    tasked(unit)
    with make.at_time(make.local(10, 30)):
        results.record_task_state(unit.pk, [{"userid": unit.sender.userid, "status": 1}])

    unit.refresh_from_db()
    assert unit.state == "confirmed"


def test_a_question_wecom_has_not_answered_stands_once(unit):
    tasked(unit)
    for minute in (1, 32, 63):
        with make.at_time(make.local(10 + minute // 60, minute % 60)):
            drain()

    assert len(commands(POLL)) == 1


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


def test_reminders_stop_at_three_in_a_day(push, unit):
    tasked(unit)
    with make.at_time(make.local(11)):
        for _ in range(3):
            assert polling.remind(push.pk, by=make.author()) == 1
        with pytest.raises(TryLater):
            polling.remind(push.pk, by=make.author())
    with make.at_time(make.local(11, 1, day=1)):
        assert polling.remind(push.pk, by=make.author()) == 1
