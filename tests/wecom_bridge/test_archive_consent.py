"""客户同意会话存档: the callback becomes a fact of the person, once, however often it is told."""

from datetime import timedelta

import pytest

from contacts.models import TimelineEvent
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support.core import log_in
from tests.support.wecom import arrive
from wecom_bridge.models import InboundEvent
from wecom_bridge.selection import Selection
from wecom_bridge.services import inbox, replay

pytestmark = pytest.mark.django_db(transaction=True)
KIND = "archive.agreed"


@pytest.fixture
def agree(wecom):
    """agree(created, external) → the event arrived and was handled, as told by the guide of a customer; without one: that customer."""
    connection = wecom.connect()
    row = next(one for one in wecom.get("customers?limit=50")["customers"] if len(one["followers"]) == 1)

    def told(created, external=""):
        arrive(
            connection, "msg_audit_approved", created=created, UserID=row["followers"][0],
            ExternalUserID=external or row["external_userid"],
        )  # fmt: skip
        drain()
        return row

    return told


def drain():
    inbox.drain(clock.wall() + timedelta(seconds=20))
    assert set(InboundEvent.objects.values_list("state", flat=True)) == {"done"}


def test_a_consent_stands_in_the_timeline_of_the_customer_in_the_operators_words(agree):
    row = agree(1718000000)

    fact = TimelineEvent.objects.get(kind=KIND)
    assert (fact.occurred_at, fact.source) == (clock.from_unix(1718000000), "callback")
    assert fact.member.userid == row["followers"][0] and fact.identity.value == row["external_userid"]
    page = log_in("hq").get(f"/contacts/{fact.contact_id}/").content.decode()
    assert page.count("客户同意会话存档") >= 1


def test_a_consent_told_again_or_replayed_is_one_fact_and_a_later_one_another(agree):
    agree(1718000000)
    agree(1718000000)
    replay.replay(Selection(ids=tuple(InboundEvent.objects.values_list("pk", flat=True))), by=SYSTEM)
    drain()
    assert TimelineEvent.objects.filter(kind=KIND).count() == 1

    agree(1718000500)
    assert TimelineEvent.objects.filter(kind=KIND).count() == 2


def test_of_somebody_wecom_does_not_know_no_consent_is_kept(agree):
    agree(1718000000, "wmNobody")
    assert not TimelineEvent.objects.filter(kind=KIND).exists()
