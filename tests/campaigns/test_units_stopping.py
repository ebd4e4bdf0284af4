"""What a stop or a deadline does to a unit, and what a guide does who is faster."""

import pytest

from campaigns import tasks
from campaigns.services import claiming, results, stopping
from scrm.lib.errors import Conflict
from tests.support import campaigns as make
from tests.support.units import answer, commands, confirm, drain, tasked
from wecom_bridge.contracts import command_kind
from wecom_bridge.models import OutboundCommand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("morning")]


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
