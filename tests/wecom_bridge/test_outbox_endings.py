"""However a command ends, its app is told; what a slice has no time for is given back; and a failure is kept without data."""

from datetime import timedelta

import pytest
from django.db import IntegrityError

from scrm.lib import clock
from tests.support.wecom import make_connection
from wecom_bridge import commands, contracts
from wecom_bridge.contracts import Call, CommandKind
from wecom_bridge.gateway import CallError, Gateway
from wecom_bridge.models import InboundEvent, OutboundCommand
from wecom_bridge.services import inbox, outbox
from wecom_bridge.services.errors import in_words

pytestmark = pytest.mark.django_db(transaction=True)
State = OutboundCommand.State


@pytest.fixture
def corp():
    return make_connection().corp


@pytest.fixture
def answer(monkeypatch):
    """What every call meets: an exception, or a function of no arguments."""
    calls = []

    def meet(outcome):
        def call(self, method, **kwargs):
            calls.append(kwargs)
            if isinstance(outcome, Exception):
                raise outcome
            outcome()
            return {"errcode": 0}

        monkeypatch.setattr(Gateway, "call", call)
        return calls

    return meet


def register(policy="idempotent", build=lambda command: Call("remark", {}), **more):
    settle = (lambda command, reader: None) if policy == "once" else None
    kind = CommandKind("deed", policy, build, lambda *a: None, lambda *a: None, settle=settle, **more)
    contracts.register_command(kind)


def put(corp, count=1, **values):
    for number in range(count):
        commands.enqueue("deed", corp=corp, entity_key=f"e{number}", priority=number)
    OutboundCommand.objects.update(**values)


def drain(seconds=20.0):
    return outbox.drain(clock.wall() + timedelta(seconds=seconds))


def test_a_parked_command_is_told_with_the_row(corp, kinds, answer):
    """The tries are used up and nothing happened: told inside the transaction that parks."""
    told = []
    register(max_attempts=2, on_parked=lambda command: told.append((command.pk, command.sent_at)))
    answer(CallError("busy", errcode=-1, retryable=True))
    put(corp, attempts=1)

    drain()

    row = OutboundCommand.objects.get()
    assert row.state == State.PARKED and told == [(row.pk, None)]


def test_a_parked_command_in_doubt_says_so(corp, kinds, answer):
    told = []
    register("once", on_parked=lambda command: told.append(command.sent_at is not None))
    answer(CallError("no answer"))
    put(corp, state=State.UNKNOWN, sent_at=clock.wall(), attempts=outbox.ASKS_AT_MOST)

    drain()

    assert OutboundCommand.objects.get().state == State.PARKED and told == [True]


def test_a_command_whose_parking_cannot_be_told_is_not_parked(corp, kinds, answer):
    def breaks(command):
        OutboundCommand.objects.update(priority=99)
        raise ValueError("our own mistake")

    register(max_attempts=1, on_parked=breaks)
    answer(CallError("busy", errcode=-1, retryable=True))
    put(corp)

    drain()

    row = OutboundCommand.objects.get()
    assert (row.state, row.priority) == (State.RETRY, 0), "what the handler wrote went with it"


def test_a_cancelled_command_is_told(corp, kinds):
    told = []
    register(build=lambda command: None, on_cancelled=lambda command: told.append(command.pk))
    put(corp)

    drain()

    row = OutboundCommand.objects.get()
    assert row.state == State.CANCELLED and row.settled_at and told == [row.pk]


def test_a_slice_that_is_over_gives_unsent_claims_back(corp, kinds, answer, monkeypatch):
    """Three waves of one; the slice ends in the first."""
    monkeypatch.setattr(outbox, "WIDTH", 1)
    over = clock.wall() + timedelta(hours=1)
    now = [clock.wall()]
    monkeypatch.setattr(outbox.clock, "wall", lambda: now[0])
    register()
    calls = answer(lambda: now.__setitem__(0, over))
    put(corp, 3)

    assert outbox.drain(over) is True

    rows = OutboundCommand.objects.order_by("priority").values_list("state", "attempts", "claim_token", "claimed_until")
    assert list(rows) == [("done", 1, "", None), ("waiting", 0, "", None), ("waiting", 0, "", None)]
    assert len(calls) == 1


@pytest.mark.parametrize(("policy", "state"), [("once", "unknown"), ("idempotent", "retry")])
def test_an_answer_that_breaks_us_leaves_a_once_command_in_doubt(corp, kinds, answer, policy, state):
    """It may have been carried out: asking again would send twice."""

    def breaks():
        raise KeyError("fail_list")

    register(policy)
    answer(breaks)
    put(corp)

    drain()

    assert OutboundCommand.objects.get().state == state


def test_an_unknown_command_out_of_time_stays_unknown_and_due(corp, kinds, answer):
    register("once")
    put(corp, state=State.UNKNOWN, sent_at=clock.wall(), attempts=3)
    claimed = outbox.claim(clock.wall(), outbox.LANE)

    outbox._run(claimed, clock.wall())

    row = OutboundCommand.objects.get()
    assert (row.state, row.attempts) == (State.UNKNOWN, 3) and row.sent_at and row.next_attempt_at <= clock.wall()


def test_a_database_error_is_kept_as_its_kind_and_sqlstate(corp, heard):
    """The text of a unique violation quotes the key, which names a customer."""
    heard("people")

    def breaks(batch):
        row = InboundEvent.objects.values().get()
        row.pop("id")
        InboundEvent.objects.create(**row)

    contracts.on_batch("people", order=2, name="breaks", handler=breaks)
    now = clock.wall()
    InboundEvent.objects.create(
        corp=corp, digest="d-wmSECRET", lane="inbound", event="e", entity_key=f"{corp.pk}:p:wmSECRET",
        body="<xml><ExternalUserID>wmSECRET</ExternalUserID></xml>", occurred_at=now, received_at=now, next_attempt_at=now,
    )  # fmt: skip
    rows = inbox.claim(now)
    dirty = inbox._group(rows)
    for one in dirty:
        one.read_at, one.parts = now, {"rows": []}

    inbox._settle(corp, dirty)

    row = InboundEvent.objects.get()
    assert (row.state, row.last_error) == ("retry", "IntegrityError 23505")


def test_our_own_mistake_is_kept_as_its_kind_and_place():
    try:
        int("13800138000 is no number")
    except ValueError as error:
        words = in_words(error)

    assert words.startswith("ValueError (test_our_own_mistake_is_kept") and "138" not in words
    assert in_words(IntegrityError("Key (external_userid)=(wmX)")) == "IntegrityError"
    assert in_words(CallError("invalid tag", errcode=40068)) == "[40068] invalid tag"
