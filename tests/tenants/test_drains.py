"""A drain with real connections: hints in the middle of it, two workers, a killed one, errors."""

import socket
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Role
from scrm.lib import clock
from tenants import drains, jobs, leases
from tenants.context import public_scope, tenant_scope
from tenants.models import DueHint, LaneLease, Tenant, TenantState
from tests.support.core import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_drain_forgets_only_the_hints_it_saw(acme, make_lane, sent):
    def drain(deadline):
        jobs.nudge("probe")  # work that arrives while the drain is already past it
        return False

    lane = make_lane(drain)
    jobs.nudge("probe")
    first = DueHint.objects.get().pk

    drains.drain_now(acme.pk, lane)

    assert DueHint.objects.exclude(pk=first).count() == 1
    assert not DueHint.objects.filter(pk=first).exists()
    assert sent[-1] == (acme.pk, "probe"), "nobody was asked to drain the late hint"


def test_two_workers_never_drain_one_lane_at_once(acme, make_lane, sent):
    inside, leave = threading.Event(), threading.Event()

    def drain(deadline):
        inside.set()
        leave.wait(10)
        return False

    lane = make_lane(drain)
    first = in_thread(lambda: drains.drain_now(acme.pk, lane))
    assert inside.wait(10)

    assert drains.drain_now(acme.pk, lane) is False
    leave.set()
    assert first.result() is True


def test_a_nudge_that_meets_a_held_lease_is_drained_afterwards(acme, make_lane, sent):
    inside, leave = threading.Event(), threading.Event()

    def drain(deadline):
        inside.set()
        leave.wait(10)
        return False

    lane = make_lane(drain)
    running = in_thread(lambda: drains.drain_now(acme.pk, lane))
    assert inside.wait(10)
    jobs.nudge("probe")
    drains.drain_now(acme.pk, lane)  # its message was taken and found the lease held
    sent.clear()
    leave.set()
    running.result()

    assert sent == [(acme.pk, "probe")]


def test_both_lanes_of_two_merchants_drain_side_by_side(acme, globex, make_lane, sent):
    together = threading.Barrier(2, timeout=10)

    def drain(deadline):
        together.wait()
        return False

    lane = make_lane(drain)
    running = [in_thread(lambda pk=tenant.pk: drains.drain_now(pk, lane)) for tenant in (acme, globex)]
    assert [thread.result() for thread in running] == [True, True]


def test_a_killed_workers_lane_opens_again_when_its_lease_ends(acme, make_lane, sent):
    lane = make_lane(lambda deadline: False)
    jobs.nudge("probe")
    assert leases.take(acme.pk, lane, "killed")  # and never comes back
    assert drains.drain_now(acme.pk, lane) is False

    LaneLease.objects.update(leased_until=clock.wall() - timedelta(seconds=1))

    assert drains.drain_now(acme.pk, lane) is True
    assert not DueHint.objects.exists()


def test_a_worker_that_outlived_its_lease_does_not_open_anothers(acme, make_lane, sent):
    lane = make_lane(lambda deadline: False)
    leases.take(acme.pk, lane, "slow")
    LaneLease.objects.update(leased_until=clock.wall() - timedelta(seconds=1))
    leases.take(acme.pk, lane, "next")

    leases.release(acme.pk, lane, "slow")

    assert LaneLease.objects.get().holder == "next"


def test_a_drain_that_raises_keeps_its_hints_and_rests(acme, make_lane, sent):
    def drain(deadline):
        raise ZeroDivisionError

    lane = make_lane(drain)
    jobs.nudge("probe")
    with pytest.raises(ZeroDivisionError):
        drains.drain_now(acme.pk, lane)

    assert DueHint.objects.count() == 1
    assert drains.drain_now(acme.pk, lane) is False, "the lane did not rest"
    row = LaneLease.objects.get()
    assert timedelta() < row.leased_until - clock.wall() <= timedelta(seconds=leases.REST_SECONDS)


def test_work_left_is_asked_for_again(acme, make_lane, sent):
    lane = make_lane(lambda deadline: True)
    drains.drain_now(acme.pk, lane)

    assert sent == [(acme.pk, "probe")]
    assert DueHint.objects.filter(due_at__lte=clock.wall()).count() == 1


def test_the_next_due_row_plans_one_hint_however_often_the_lane_drains(acme, make_lane, sent):
    later = clock.now() + timedelta(hours=3)
    lane = make_lane(lambda deadline: False, next_due=lambda: later)
    for _again in range(3):
        drains.drain_now(acme.pk, lane)

    assert [hint.due_at for hint in DueHint.objects.all()] == [later]


def test_an_earlier_due_row_gets_its_own_hint(acme, make_lane, sent):
    due = [clock.now() + timedelta(hours=3)]
    lane = make_lane(lambda deadline: False, next_due=lambda: due[0])
    drains.drain_now(acme.pk, lane)
    due[0] = clock.now() + timedelta(hours=1)
    drains.drain_now(acme.pk, lane)

    assert DueHint.objects.filter(due_at=due[0]).exists()


def test_a_suspended_merchants_work_waits_without_a_hint(acme, make_lane, sent):
    drained = []
    lane = make_lane(lambda deadline: drained.append(1) or False)
    jobs.nudge("probe")
    with public_scope():
        Tenant.objects.filter(pk=acme.pk).update(state=TenantState.SUSPENDED)

    drains.drain_now(acme.pk, lane)

    assert drained == []
    assert not DueHint.objects.exists()


def test_a_drain_works_inside_its_merchant(acme, globex, make_lane, sent):
    seen = []
    lane = make_lane(lambda deadline: seen.append(Role.objects.order_by("pk").first().pk) and False)
    drains.drain_now(acme.pk, lane)
    drains.drain_now(globex.pk, lane)

    assert seen[0] >= 1_000_000 > seen[1]


def test_a_hundred_nudges_are_one_message(acme, make_lane, monkeypatch):
    messages = []
    monkeypatch.setattr(jobs, "send", lambda name, *, queue, kwargs: messages.append(kwargs) or True)
    lane = make_lane(lambda deadline: False, name=f"probe{clock.wall().timestamp()}")
    for _nudge in range(100):
        jobs.nudge(lane.name)
    assert len(messages) == 1

    drains.drain_now(acme.pk, lane)  # took the message
    jobs.nudge(lane.name)
    assert len(messages) == 2


def test_a_transaction_writes_one_hint_per_lane_however_often_it_nudges(acme, make_lane, sent):
    make_lane(lambda deadline: False)
    make_lane(lambda deadline: False, name="other")
    soon, later = clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=2)
    with CaptureQueriesContext(connection) as asked, transaction.atomic():
        for _item in range(50):
            with transaction.atomic():
                jobs.nudge("probe")
                jobs.nudge("probe", due_at=later)
                jobs.nudge("probe", due_at=soon)
                jobs.nudge("other")
        assert not DueHint.objects.exists(), "a hint came before the commit"

    assert [query["sql"][:11] for query in asked].count("INSERT INTO") == 1
    rows = DueHint.objects.order_by("due_at", "pk").values_list("lane", "due_at")
    assert [lane for lane, _due in rows] == ["probe", "other", "probe"]
    assert rows[2][1] == soon
    assert sent == [(acme.pk, "probe"), (acme.pk, "other")]


def test_a_hint_outlives_the_savepoint_that_nudged_first(acme, make_lane, sent):
    make_lane(lambda deadline: False)
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            jobs.nudge("probe")
            raise ZeroDivisionError
        with transaction.atomic():
            jobs.nudge("probe")
    assert DueHint.objects.count() == 1

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        jobs.nudge("probe")
        raise ZeroDivisionError
    assert DueHint.objects.count() == 1, "a transaction that was rolled back left a hint"


def test_each_transaction_has_hints_of_its_own(acme, globex, make_lane, sent):
    make_lane(lambda deadline: False)
    with transaction.atomic():
        jobs.nudge("probe")
    with tenant_scope(globex), transaction.atomic():
        jobs.nudge("probe")

    assert sent == [(acme.pk, "probe"), (globex.pk, "probe")]
    assert list(DueHint.objects.order_by("pk").values_list("tenant_id", flat=True)) == [acme.pk, globex.pk]


def test_a_message_that_finds_the_lease_held_costs_one_question_and_sends_for_nobody(acme, make_lane, monkeypatch):
    messages = []
    monkeypatch.setattr(jobs, "send", lambda name, *, queue, kwargs: messages.append(kwargs) or True)
    lane = make_lane(lambda deadline: False, name=f"probe{clock.wall().timestamp()}")
    monkeypatch.setattr(jobs, "HELD_SECONDS", 10)
    inside, leave = threading.Event(), threading.Event()

    def drain(deadline):
        inside.set()
        leave.wait(10)
        return False

    running = in_thread(lambda: drains.drain_now(acme.pk, replace(lane, drain=drain)))
    assert inside.wait(10)
    for _round in range(5):
        jobs.nudge(lane.name)
        with CaptureQueriesContext(connection) as asked:
            assert drains.drain_now(acme.pk, lane) is False  # took the message
        assert len([query for query in asked if "search_path" not in query["sql"]]) == 1
    assert len(messages) == 1, "the other four had nobody to wake"

    leave.set()
    assert running.result()
    assert len(messages) == 2, "the holder asks for a look at what came meanwhile"
    drains.drain_now(acme.pk, lane)
    jobs.nudge(lane.name)
    assert len(messages) == 3


def test_a_lane_that_looks_again_wakes_nobody_for_what_it_nudged_itself(acme, make_lane, sent):
    def drain(deadline):
        with transaction.atomic():
            jobs.nudge("probe")
            jobs.nudge("other")
        hints.append(DueHint.objects.filter(lane="probe").count())
        return False

    hints = []
    make_lane(lambda deadline: False, name="other")
    lane = replace(make_lane(drain), exclusive=False, looks_again=True)
    drains.drain_now(acme.pk, lane)
    assert hints == [1], "a hint lies there while the drain may be killed"
    assert list(DueHint.objects.values_list("lane", flat=True)) == ["other"]
    assert sent == [(acme.pk, "other")]


def test_a_lane_that_looks_again_and_is_broken_off_leaves_the_hint(acme, make_lane, sent):
    def drain(deadline):
        jobs.nudge("probe")
        raise ZeroDivisionError

    lane = replace(make_lane(drain), exclusive=False, looks_again=True)
    with pytest.raises(ZeroDivisionError):
        drains.drain_now(acme.pk, lane)
    assert DueHint.objects.filter(lane="probe").count() == 1


def test_a_lane_whose_holder_was_killed_can_soon_be_woken_again(acme, make_lane, monkeypatch):
    messages = []
    monkeypatch.setattr(jobs, "send", lambda name, *, queue, kwargs: messages.append(kwargs) or True)
    monkeypatch.setattr(jobs, "HELD_SECONDS", 1)
    lane = make_lane(lambda deadline: False, name=f"probe{clock.wall().timestamp()}")
    assert leases.take(acme.pk, lane, "killed")
    jobs.nudge(lane.name)
    assert drains.drain_now(acme.pk, lane) is False
    jobs.nudge(lane.name)
    assert len(messages) == 1
    time.sleep(1.2)
    jobs.nudge(lane.name)
    assert len(messages) == 2


def test_a_redis_that_does_not_answer_costs_one_nudge_a_time_out_and_no_hint(acme, make_lane, monkeypatch):
    """It takes connections and says nothing."""
    messages = []
    monkeypatch.setattr(jobs, "send", lambda name, *, queue, kwargs: messages.append(kwargs) or True)
    lane = make_lane(lambda deadline: False, name=f"probe{clock.wall().timestamp()}")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        away = redis.Redis.from_url(url, socket_timeout=0.4, socket_connect_timeout=0.4)
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "_redis", lambda: away)
            began = time.monotonic()
            for _nudge in range(20):
                jobs.nudge(lane.name)
            assert time.monotonic() - began < 2
    assert DueHint.objects.filter(lane=lane.name).count() == 20 and messages == []

    monkeypatch.setattr(jobs, "_silent_until", 0.001)  # the pause is over
    jobs.nudge(lane.name)
    assert len(messages) == 1
