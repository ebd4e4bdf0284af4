"""Due hints each second; whatever lost its hint within ten minutes."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from scrm.lib import clock
from scrm.lib.errors import NotAllowed
from tenants import jobs, lanes, scheduler
from tenants.context import public_scope
from tenants.models import DueHint, LaneLease, Tenant, TenantState, new_schema_name
from tenants.services.clock import set_offset
from tests.support.core import database_url

pytestmark = pytest.mark.django_db


@pytest.fixture
def probe(make_lane, monkeypatch):
    """The only lane there is."""
    lane = make_lane(lambda deadline: False)
    monkeypatch.setattr(lanes, "_lanes", {lane.name: lane})
    yield lane
    monkeypatch.undo()


def hint(tenant, seconds=0):
    DueHint.objects.create(tenant_id=tenant.pk, lane="probe", due_at=clock.wall() + timedelta(seconds=seconds))


def test_many_hints_of_a_lane_ask_for_one_drain(acme, globex, probe, sent):
    for tenant, seconds in ((acme, -9), (acme, -1), (acme, 3600), (globex, -3)):
        hint(tenant, seconds)

    scheduler.send_due()

    assert sent == [(acme.pk, "probe"), (globex.pk, "probe")]


def test_a_leased_lane_is_left_alone(acme, probe, sent):
    hint(acme, -1)
    LaneLease.objects.create(
        tenant_id=acme.pk,
        lane="probe",
        holder="x",
        leased_until=clock.wall() + timedelta(minutes=1),
        visited_at=clock.wall(),
    )
    assert scheduler.send_due() == 0


def test_a_hint_of_a_lane_this_release_does_not_know_waits(acme, probe, sent):
    DueHint.objects.create(tenant_id=acme.pk, lane="of-the-next-release", due_at=clock.wall())
    assert scheduler.send_due() == 0
    assert DueHint.objects.count() == 1


def test_the_sweep_visits_every_merchant_once_in_ten_minutes(acme, globex, probe, sent):
    assert scheduler.add_missing_pairs() == 2
    assert scheduler.add_missing_pairs() == 0
    assert scheduler.sweep_step() == 2
    assert scheduler.sweep_step() == 0

    LaneLease.objects.filter(tenant_id=acme.pk).update(visited_at=clock.wall() - scheduler.SWEEP_EVERY)
    sent.clear()
    scheduler.sweep_step()
    assert sent == [(acme.pk, "probe")]


def test_the_stalest_go_first_in_bounded_steps(acme, probe, sent, monkeypatch):
    monkeypatch.setattr(scheduler, "_step_size", lambda lanes: 1)
    with public_scope():
        young = make_tenant("young")
    for tenant, hours in ((acme, 1), (young, 5)):
        LaneLease.objects.create(tenant_id=tenant.pk, lane="probe", visited_at=clock.wall() - timedelta(hours=hours))

    assert scheduler.sweep_step() == 1
    assert sent == [(young.pk, "probe")]


def test_a_suspended_merchant_is_not_swept(acme, globex, probe, sent):
    with public_scope():
        Tenant.objects.filter(pk=globex.pk).update(state=TenantState.SUSPENDED)
    scheduler.add_missing_pairs()
    scheduler.sweep_step()
    assert sent == [(acme.pk, "probe")]


def test_a_tick_asks_the_same_queries_of_one_merchant_or_of_fifty(acme, probe, sent):
    def queries() -> int:
        loop = scheduler.Scheduler()
        loop._ticks = 1
        with CaptureQueriesContext(connection) as seen:
            loop.tick()
        return sum(1 for query in seen if "SAVEPOINT" not in query["sql"])

    hint(acme, -1)
    few = queries()
    with public_scope():
        for number in range(50):
            make_tenant(f"shop-{number:02}")
    assert queries() == few


def test_a_moved_clock_wakes_every_lane(acme, probe, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        row = set_offset(acme, timedelta(days=3))

    assert row.clock_offset == timedelta(days=3)
    assert sent == [(acme.pk, "probe")]
    assert DueHint.objects.filter(tenant_id=acme.pk, lane="probe").count() == 1


def test_only_a_sandbox_may_move_its_clock(acme, settings):
    acme.is_sandbox = False
    with pytest.raises(NotAllowed):
        set_offset(acme, timedelta(days=1))
    acme.is_sandbox, settings.ALLOW_SANDBOX = True, False
    with pytest.raises(NotAllowed):
        set_offset(acme, timedelta(days=1))


@pytest.mark.parametrize("error", [InterfaceError("connection already closed"), OperationalError("away")])
def test_a_database_that_is_away_is_waited_for(monkeypatch, error):
    running, ticks = scheduler.Scheduler(), []

    def tick():
        ticks.append(1)
        if len(ticks) == 1:
            raise error
        running.stop()

    monkeypatch.setattr(running, "tick", tick)
    monkeypatch.setattr(scheduler, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(scheduler, "close_old_connections", lambda: None)

    running.run()

    assert len(ticks) == 2


@pytest.mark.django_db(transaction=True)
def test_the_process_ends_on_sigterm_and_keeps_lost_messages_alive(acme):
    """A real scheduler against a real broker: a hint nobody sent a message for becomes one."""
    lane = next(lane for lane in lanes.all_lanes() if lane.sweep)
    DueHint.objects.create(tenant_id=acme.pk, lane=lane.name, due_at=clock.wall())
    env = {**os.environ, "DATABASE_URL": database_url(), "QUEUE_PREFIX": f"sched-{os.getpid()}:"}
    queue = f"{env['QUEUE_PREFIX']}{lane.queue}"
    process = subprocess.Popen([sys.executable, "manage.py", "scheduler"], cwd=settings.BASE_DIR, env=env)
    try:
        deadline = time.monotonic() + 30
        while not jobs._redis().llen(queue) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert jobs._redis().llen(queue), "no message was sent for the hint"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        stale = list(jobs._redis().scan_iter(f"{env['QUEUE_PREFIX']}*"))
        if stale:
            jobs._redis().delete(*stale)


def make_tenant(slug):
    return Tenant.objects.create(
        slug=slug, name=slug, schema_name=new_schema_name(), created_at=clock.wall(), state=TenantState.ACTIVE
    )
