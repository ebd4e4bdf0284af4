"""A command is called once, its result recorded with it; what a crash leaves behind is asked about, never sent again blindly."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from scrm.lib import clock
from tenants.context import current_tenant
from tests.support.core import database_url, in_thread
from wecom_bridge import commands, contracts
from wecom_bridge.contracts import Call, CommandKind, Settled
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection(wecom):
    return wecom.connect()


class Notes:
    """What a kind was told."""

    def __init__(self):
        self.results, self.refusals, self.asked = [], [], 0


@pytest.fixture
def notes(kinds):
    """Two kinds over EC/remark: `note` may be repeated, `once` may not; settle says what `notes.found` holds."""
    told = Notes()
    told.found = None

    def settle(command, reader):
        told.asked += 1
        return told.found

    def kind(name, policy, **more):
        return CommandKind(
            name,
            policy,
            build=lambda command: Call("remark", command.payload) if command.payload else None,
            on_result=lambda command, result: told.results.append((command.pk, result["errcode"])),
            on_refused=lambda command, refusal: told.refusals.append((command.pk, refusal.errcode)),
            **more,
        )

    contracts.register_command(kind("note", "idempotent"))
    contracts.register_command(kind("once", "once", settle=settle))
    return told


@pytest.fixture
def customer(wecom):
    """Keyword arguments that name a relation."""
    row = wecom.get("customers?limit=1")["customers"][0]
    return {"userid": row["followers"][0], "external_userid": row["external_userid"]}


def put(connection, kind, entity="e1", payload=None, **more):
    return commands.enqueue(kind, corp=connection.corp, entity_key=entity, payload=payload or {}, **more)


def drain():
    return outbox.drain(clock.wall() + timedelta(seconds=20))


def make_due():
    OutboundCommand.objects.update(next_attempt_at=clock.wall())


def the_row():
    return OutboundCommand.objects.get()


def remarks(wecom):
    return list(wecom.calls("externalcontact/remark"))


def test_a_command_is_called_and_its_result_told(wecom, connection, customer, notes):
    put(connection, "note", payload={**customer, "remark": "老客"})

    assert drain() is False

    assert the_row().state == "done"
    assert notes.results == [(the_row().pk, 0)]
    assert remarks(wecom)[0]["args"]["remark"] == "老客"


def test_a_command_with_nothing_left_to_do_is_cancelled(wecom, connection, notes):
    put(connection, "note")

    drain()

    assert the_row().state == "cancelled" and remarks(wecom) == []


def test_a_final_refusal_is_told(wecom, connection, customer, notes):
    put(connection, "note", payload={**customer, "external_userid": "wmUnknown", "remark": "x"})

    drain()

    assert (the_row().state, the_row().errcode) == ("failed", 40096)
    assert notes.refusals == [(the_row().pk, 40096)]


def test_a_busy_answer_waits_and_is_tried_again(wecom, connection, customer, notes):
    wecom.script("externalcontact/remark", errcode=-1)
    put(connection, "note", payload={**customer, "remark": "x"})

    drain()
    assert the_row().state == "retry" and the_row().next_attempt_at > clock.wall()

    make_due()
    drain()
    assert the_row().state == "done" and len(remarks(wecom)) == 2


def test_a_closed_window_holds_all_calls_of_that_api_and_counts_no_attempt(wecom, connection, customer, notes):
    wecom.script("externalcontact/remark", errcode=45009)
    put(connection, "note", "e1", {**customer, "remark": "x"})
    drain()
    make_due()
    put(connection, "note", "e2", {**customer, "remark": "y"})

    drain()

    assert len(remarks(wecom)) == 1
    states = OutboundCommand.objects.values_list("state", "attempts", "errcode")
    assert set(states) == {("retry", 0, 45009)}
    wait = OutboundCommand.objects.first().next_attempt_at - clock.wall()
    assert timedelta(seconds=30) < wait < timedelta(seconds=90)


def test_a_lost_answer_of_a_command_that_may_run_once_is_asked_about(wecom, connection, customer, notes):
    wecom.script("externalcontact/remark", close=True, execute=True)
    put(connection, "once", payload={**customer, "remark": "x"})
    drain()
    assert the_row().state == "unknown"

    make_due()
    drain()
    assert (the_row().state, notes.asked) == ("unknown", 1)

    notes.found = Settled(done=True, result={"errcode": 0})
    make_due()
    drain()
    assert the_row().state == "done" and notes.results == [(the_row().pk, 0)]
    assert len(remarks(wecom)) == 1


def test_a_command_found_not_to_have_happened_is_called_again(wecom, connection, customer, notes):
    wecom.script("externalcontact/remark", http_status=502)
    put(connection, "once", payload={**customer, "remark": "x"})
    drain()
    notes.found = Settled(done=False)
    make_due()

    drain()

    assert the_row().state == "done" and len(remarks(wecom)) == 2


def test_an_answer_that_could_not_be_recorded_is_recorded_later_without_a_second_call(
    wecom, connection, customer, kinds
):
    seen = []

    def on_result(command, result):
        seen.append(result)
        if len(seen) == 1:
            raise ValueError("our own mistake")

    build = lambda command: Call("remark", command.payload)  # noqa: E731
    contracts.register_command(
        CommandKind("once", "once", build, on_result, lambda *a: None, settle=lambda *a: pytest.fail("asked"))
    )
    put(connection, "once", payload={**customer, "remark": "x"})
    drain()
    assert the_row().state == "unknown" and the_row().result["errcode"] == 0

    make_due()
    drain()

    assert the_row().state == "done" and len(remarks(wecom)) == 1 and len(seen) == 2


def test_commands_of_one_entity_run_in_order_and_a_waiting_one_holds_the_rest(wecom, connection, customer, notes):
    wecom.script("externalcontact/remark", errcode=-1, match={"remark": "1"})
    for text in "123":
        put(connection, "note", "same", {**customer, "remark": text})
    put(connection, "note", "other", {**customer, "remark": "4"})

    drain()
    assert {call["args"]["remark"] for call in remarks(wecom)} == {"1", "4"}

    make_due()
    drain()
    assert [call["args"]["remark"] for call in remarks(wecom)][2:] == ["1", "2", "3"]


def test_the_urgent_goes_first(wecom, connection, customer, notes, monkeypatch):
    monkeypatch.setattr(outbox, "WIDTH", 1)
    put(connection, "note", "e1", {**customer, "remark": "late"}, priority=80)
    put(connection, "note", "e2", {**customer, "remark": "early"}, priority=5)

    drain()

    assert [call["args"]["remark"] for call in remarks(wecom)] == ["early", "late"]


def test_no_welcome_waits_for_the_slowest_of_others(wecom, connection, customer, notes, monkeypatch):
    wecom.script("externalcontact/remark", delay=1.5, times=1)
    monkeypatch.setitem(contracts._kinds, "note", replace(contracts.command_kind("note"), lane="welcome"))
    for number in range(12):
        put(connection, "note", f"e{number}", {**customer, "remark": str(number)})

    outbox.drain(clock.wall() + timedelta(seconds=20), "welcome")

    began = sorted(call["at"] for call in remarks(wecom))
    assert len(began) == 12 and began[-1] - began[0] < 1


def test_two_drains_make_each_call_once(wecom, connection, customer, notes):
    wecom.post("switches", {"latency_ms": [5, 15]})
    for number in range(40):
        put(connection, "note", f"e{number}", {**customer, "remark": str(number)})

    workers = [in_thread(drain) for _n in range(3)]
    for worker in workers:
        worker.result()

    assert sorted(int(call["args"]["remark"]) for call in remarks(wecom)) == list(range(40))
    assert set(OutboundCommand.objects.values_list("state", flat=True)) == {"done"}


def test_a_command_committed_late_with_a_smaller_id_is_not_skipped(wecom, connection, customer, notes):
    from threading import Event

    from django.db import transaction

    written, go = Event(), Event()

    def late():
        with transaction.atomic():
            put(connection, "note", "late", {**customer, "remark": "late"})
            written.set()
            assert go.wait(20)

    worker = in_thread(late)
    assert written.wait(20)
    put(connection, "note", "soon", {**customer, "remark": "soon"})
    drain()
    go.set()
    worker.result()

    drain()

    assert [call["args"]["remark"] for call in remarks(wecom)] == ["soon", "late"]


CRASH = """
import os, signal, sys
import django; django.setup()
from datetime import timedelta
from scrm.lib import clock
from tenants.context import tenant_scope
from tenants.models import Tenant
from wecom_bridge import contracts
from wecom_bridge.contracts import Call, CommandKind
from wecom_bridge.services import outbox

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

outbox._succeeded = die
contracts._kinds.clear()
for policy in ("idempotent", "once"):
    name = {"idempotent": "note", "once": "once"}[policy]
    contracts.register_command(CommandKind(name, policy, lambda c: Call("remark", c.payload), die, die, settle=die))
with tenant_scope(Tenant.objects.get(pk=int(sys.argv[1]))):
    outbox.drain(clock.wall() + timedelta(seconds=20))
"""


@pytest.mark.parametrize(("kind", "left", "calls"), [("note", "done", 2), ("once", "unknown", 1)])
def test_a_worker_killed_between_call_and_record(wecom, connection, customer, notes, settings, kind, left, calls):
    put(connection, kind, payload={**customer, "remark": "x"})
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "WECOM_API_BASE": wecom.url,
        "DJANGO_SETTINGS_MODULE": "scrm.settings",
    }
    ended = subprocess.run([sys.executable, "-c", CRASH, str(current_tenant().pk)], env=environment, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert the_row().state == "claimed" and the_row().sent_at and len(remarks(wecom)) == 1

    drain()
    assert the_row().state == "claimed", "the claim stands until it lapses"

    OutboundCommand.objects.update(claimed_until=clock.wall() - timedelta(seconds=1))
    drain()

    assert the_row().state == left and len(remarks(wecom)) == calls
