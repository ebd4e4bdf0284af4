"""重试 and 放弃 of calls: the deed, what the app is told of it, and its audit row are one."""

import threading

import pytest
from django.db import transaction

from scrm.lib import clock
from tenants import audit
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.core import in_thread, log_in
from tests.support.wecom import make_corp
from wecom_bridge import contracts
from wecom_bridge.contracts import CommandKind
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox

DEEDS = pytest.mark.parametrize(("action", "state"), [("drop", "cancelled"), ("retry", "retry")])


@pytest.fixture
def refusals(kinds):
    """Commands of the kind `note` whose app was told."""
    told = []
    contracts.register_command(
        CommandKind(
            "note",
            "idempotent",
            build=lambda command: None,
            on_result=lambda command, result: None,
            on_refused=lambda command, refusal: told.append(command.pk),
        )
    )
    return told


def parked(count=1):
    """Parked calls of one corp."""
    corp, now = make_corp(), clock.wall()
    rows = [
        OutboundCommand(
            corp=corp, kind="note", policy="idempotent", lane="outbound", entity_key=f"e{n}", next_attempt_at=now,
            created_at=now, state="parked", attempts=8,
        )
        for n in range(count)
    ]  # fmt: skip
    return [row.pk for row in OutboundCommand.objects.bulk_create(rows)]


def states():
    return sorted(OutboundCommand.objects.values_list("state", flat=True))


def rows_of(action):
    return [entry.data for entry in AuditEntry.objects.filter(action=action).order_by("id")]


@pytest.mark.django_db
@DEEDS
def test_a_deed_whose_audit_row_cannot_be_written_is_not_done(refusals, monkeypatch, action, state):
    ids, it = parked(2), log_in("it")
    it.raise_request_exception = False

    def fail(*args, **data):
        raise RuntimeError("the ledger is full")

    with monkeypatch.context() as broken:
        broken.setattr(audit, "record", fail)
        assert it.post("/bridge/outbox/act/", {"ids": ids, "action": action}).status_code == 500
    assert states() == ["parked", "parked"]

    it.post("/bridge/outbox/act/", {"ids": ids, "action": action})
    assert states() == [state, state]


@pytest.mark.django_db
def test_a_second_click_on_give_up_does_nothing_and_leaves_no_row(refusals):
    ids, it = parked(2), log_in("it")
    for _click in range(2):
        it.post("/bridge/outbox/act/", {"ids": ids, "action": "drop"})

    assert rows_of("outbox.dropped") == [{"count": 2, "ids": ids}] and sorted(refusals) == ids


@pytest.mark.django_db
@DEEDS
def test_what_cannot_be_done_any_more_leaves_no_row(refusals, action, state):
    ids, it = parked(), log_in("it")
    OutboundCommand.objects.update(state="done")

    it.post("/bridge/outbox/act/", {"ids": ids, "action": action})

    assert states() == ["done"] and not AuditEntry.objects.filter(action__startswith="outbox.").exists()


@pytest.mark.django_db
def test_the_audit_row_names_those_that_were_given_up_not_those_that_were_ticked(refusals):
    ids = parked(3)
    OutboundCommand.objects.filter(pk=ids[1]).update(state="done")
    assert outbox.drop(ids, by=SYSTEM) == 2
    assert rows_of("outbox.dropped") == [{"count": 2, "ids": [ids[0], ids[2]]}]


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_the_same_moment_are_one_deed_and_one_row(refusals):
    ids = parked(2)
    done, may_commit = threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            count = outbox.drop(ids, by=SYSTEM)
            done.set()
            may_commit.wait(10)
            return count

    running = in_thread(first)
    assert done.wait(10)
    other = in_thread(lambda: outbox.drop(ids, by=SYSTEM))
    other.join(0.5)
    assert other.is_alive(), "the second click waits for the first"
    may_commit.set()

    assert (running.result(), other.result()) == (2, 0)
    assert len(rows_of("outbox.dropped")) == 1 and sorted(refusals) == ids
