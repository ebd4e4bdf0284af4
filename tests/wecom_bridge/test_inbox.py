"""An event becomes a refetch, the refetch a batch, the batch facts; once, in order, and not at all when it cannot be known."""

from datetime import timedelta

import pytest

from scrm.lib import clock
from tests.support.core import in_thread
from tests.support.wecom import event_xml
from wecom_bridge import contracts
from wecom_bridge.callbacks import parsing, rows
from wecom_bridge.models import InboundEvent
from wecom_bridge.services import inbox, welcome
from tenants.context import current_tenant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection(wecom):
    return wecom.connect()


@pytest.fixture
def customer(wecom):
    """(external_userid, userid) of a customer who follows exactly one guide."""
    for row in wecom.get("customers?limit=50")["customers"]:
        follows = [one for one in row.get("follows", row.get("followers", []))]
        if len(follows) == 1:
            one = follows[0]
            return row["external_userid"], one if isinstance(one, str) else one["userid"]
    raise AssertionError("no such customer")


def arrive(connection, change, event="change_external_contact", **fields):
    """An event lies in the inbox, as the callback view leaves it."""
    plain = event_xml(connection.corp.corp_id, event, change, **fields).encode()
    row, _due = rows.build(connection.corp.pk, parsing.understand(plain, clock.now()), plain)
    rows.store(current_tenant(), row)


def soon():
    return clock.wall() + timedelta(seconds=20)


def states():
    return list(InboundEvent.objects.order_by("id").values_list("state", flat=True))


def test_an_event_is_read_again_and_told_with_what_only_it_knows(wecom, connection, customer, heard):
    people = heard("people")
    external, userid = customer
    arrive(connection, "add_external_contact", UserID=userid, ExternalUserID=external, State="code_1")

    assert inbox.drain(soon()) is False

    [batch] = people
    [row] = batch.rows
    assert row.person.external_userid == external and row.follows_complete
    assert [follow.userid for follow in row.follows] == [userid]
    assert batch.events[0].fields["State"] == "code_1" and batch.source == "callback"
    assert states() == ["done"]
