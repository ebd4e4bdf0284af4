"""A wish is written once: while it is open if it may be repeated, for ever if it may happen once; many in one statement."""

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from tenants.audit import SYSTEM
from tests.support.wecom import make_connection
from wecom_bridge import commands, contracts
from wecom_bridge.commands import Wish
from wecom_bridge.contracts import CommandKind
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox

pytestmark = pytest.mark.django_db
CLOSED = ("done", "failed", "parked", "cancelled")


@pytest.fixture
def corp():
    return make_connection().corp


@pytest.fixture(autouse=True)
def _kinds(kinds):
    def kind(name, policy):
        return CommandKind(name, policy, lambda c: None, lambda *a: None, lambda *a: None, settle=lambda *a: None)

    contracts.register_command(kind("note", "idempotent"))
    contracts.register_command(kind("once", "once"))


def wish(corp, kind, key="k"):
    return commands.enqueue(kind, corp=corp, entity_key="e", dedupe_key=key, payload={"n": "价格"})


@pytest.mark.parametrize("state", CLOSED)
def test_a_repeatable_wish_is_wished_again_when_the_earlier_one_is_over(corp, state):
    first = wish(corp, "note")
    OutboundCommand.objects.update(state=state)

    again = wish(corp, "note")

    assert again is not None and again.pk != first.pk and again.payload == {"n": "价格"}


@pytest.mark.parametrize("state", ["waiting", "retry", "claimed", "unknown"])
def test_a_repeatable_wish_stands_once_while_it_is_open(corp, state):
    assert wish(corp, "note") is not None
    OutboundCommand.objects.update(state=state)

    assert wish(corp, "note") is None
    assert OutboundCommand.objects.count() == 1


@pytest.mark.parametrize("state", [*CLOSED, "waiting", "unknown"])
def test_a_wish_that_may_happen_once_is_never_written_again(corp, state):
    wish(corp, "once")
    OutboundCommand.objects.update(state=state)

    assert wish(corp, "once") is None


def test_many_wishes_are_one_statement_and_leave_out_those_that_stand(corp):
    wish(corp, "note", "k3")
    rows = [Wish(corp.pk, f"e{n}", {"n": n}, subject_id=n, dedupe_key=f"k{n}") for n in range(300)]

    with CaptureQueriesContext(database) as seen:
        written = commands.enqueue_many("note", [*rows, rows[7]])

    assert len(seen) == 1
    assert len(written) == 299
    row = OutboundCommand.objects.get(pk=written[5])
    assert (row.kind, row.policy, row.lane, row.priority, row.payload) == (
        "note",
        "idempotent",
        "outbound",
        50,
        {"n": 6},
    )


def test_a_parked_wish_that_was_wished_again_is_cancelled_by_a_retry(corp):
    parked = [wish(corp, "note"), None]
    OutboundCommand.objects.update(state="parked")
    parked[1] = wish(corp, "note")
    OutboundCommand.objects.update(state="parked")

    assert outbox.retry([row.pk for row in parked], by=SYSTEM) == 1
    assert list(OutboundCommand.objects.order_by("pk").values_list("state", flat=True)) == ["cancelled", "retry"]

    OutboundCommand.objects.filter(pk=parked[0].pk).update(state="parked")
    assert outbox.retry([parked[0].pk], by=SYSTEM) == 0
