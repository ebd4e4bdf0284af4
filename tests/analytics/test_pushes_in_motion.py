"""Whatever moves a unit or a delivery, the funnel's rollup follows: after each act every metric is the number of its rows."""

from datetime import timedelta

import pytest

from analytics.definitions import PUSH_FILTERS, push_rows
from analytics.models import PushMetric
from analytics.services import buckets
from campaigns import tasks
from campaigns.models import Delivery
from campaigns.services import agreeing, results, stopping
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support import campaigns as reach
from tests.support import contacts as people
from tests.support import core

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _morning():
    with reach.at_time(reach.MORNING):
        yield


@pytest.fixture
def push():
    """Two guides with three people each, released."""
    store = people.make_store()
    first, second = (people.make_member(store=store) for _ in range(2))
    return reach.released([*reach.make_customers(3, first), *reach.make_customers(3, second)])


def counted(push):
    """The rollup after its drain, checked against the rows metric by metric; metric → number, without zeroes."""
    buckets.drain(clock.wall() + timedelta(seconds=30))
    rollup = dict.fromkeys(PUSH_FILTERS, 0)
    for name, value in PushMetric.objects.filter(push_id=push.pk, window_days=0).values_list("metric", "value"):
        if name in rollup:
            rollup[name] += value
    assert rollup == {name: push_rows([push.pk], name).count() for name in PUSH_FILTERS}
    return {name: value for name, value in rollup.items() if value}


def test_release_and_agreement(push):
    assert counted(push) == {"targeted": 6, "planned": 6, "open": 6}
    reach.agree(reach.units(push)[0])
    assert counted(push)["agreed"] == 3


def test_leaving_out_and_skipping(push):
    first, second = reach.units(push)
    by = core.actor_of(core.make_user(role="guide"))
    one = Delivery.objects.filter(dispatch=first).first()
    agreeing.exclude(first.pk, [one.pk], member_ids=[first.sender_id], reason="已经买过", by=by)
    assert counted(push)["unfinished"] == 1
    agreeing.skip(second.pk, member_ids=[second.sender_id], reason="on_leave", by=by)
    assert counted(push)["unfinished"] == 4


def test_confirmation_and_results(push):
    unit = reach.units(push)[0]
    reach.agree(unit)
    with reach.at_time(reach.local(10, 1)):
        tasks.drain(clock.wall() + timedelta(seconds=20))
        reach.give_task(unit)
        counted(push)
        sent_at = int(clock.now().timestamp())
        results.record_task_state(unit.pk, [{"userid": unit.sender.userid, "status": 2, "send_time": sent_at}])
        assert counted(push)["confirmed"] == 3
        people_of_unit = list(Delivery.objects.filter(dispatch=unit).values_list("external_userid", flat=True))
        answers = [{"external_userid": one, "status": 1, "send_time": sent_at} for one in people_of_unit[:2]]
        answers.append({"external_userid": people_of_unit[2], "status": 2})
        results.record_results(unit.pk, answers, "")
        seen = counted(push)
        assert (seen["sent"], seen["failed"]) == (2, 1)


def test_refusal(push):
    unit = reach.units(push)[0]
    reach.agree(unit)
    with reach.at_time(reach.local(10, 1)):
        tasks.drain(clock.wall() + timedelta(seconds=20))
        results.record_refusal(unit.pk, message="40058")
        assert counted(push)["failed"] == 3


def test_the_deadline(push):
    counted(push)
    with reach.at_time(push.confirm_by + timedelta(minutes=1)):
        tasks.drain(clock.wall() + timedelta(seconds=20))
        assert counted(push) == {"targeted": 6, "planned": 6, "unfinished": 6}


def test_a_stop_by_hand(push):
    counted(push)
    stopping.stop_push(push.pk, by=SYSTEM)
    assert counted(push) == {"targeted": 6, "planned": 6, "unfinished": 6}
