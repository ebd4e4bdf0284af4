"""A deletion is its own proof: told at once when WeCom refuses the reading, told once, and undone by a new adding alone."""

import time
from datetime import timedelta

import pytest

from contacts.models import Follow, FollowPeriod, TimelineEvent
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support.wecom import arrive, forget_process
from wecom_bridge import contracts
from wecom_bridge.models import CorpCredential, InboundEvent
from wecom_bridge.selection import Selection
from wecom_bridge.services import inbox, replay

pytestmark = pytest.mark.django_db(transaction=True)
GUIDE = "fangxiaoman"


@pytest.fixture
def connection(wecom):
    return wecom.connect()


@pytest.fixture
def friend(wecom, connection):
    """The external_userid of a customer whose adding was read."""
    wecom.post("switches", {"callback_drop": 1})
    added = wecom.hand("add", userid=GUIDE, name="小圆")
    external = added["external_userid"] if "external_userid" in added else added["customers"][0]["external_userid"]
    told(connection, "add_external_contact", external)
    inbox.drain(soon())
    assert Follow.objects.get().relation == "active"
    return external


def told(connection, change, external, seconds=0):
    arrive(connection, change, created=int(time.time()) + seconds, UserID=GUIDE, ExternalUserID=external)


def soon():
    return clock.wall() + timedelta(seconds=20)


def due_again():
    InboundEvent.objects.filter(state__in=InboundEvent.OPEN).update(next_attempt_at=clock.wall())


def truth():
    facts = TimelineEvent.objects.filter(kind__startswith="follow.").order_by("id")
    periods = FollowPeriod.objects.order_by("added_at").values_list("ended_by", "ended_at")
    follow = Follow.objects.get()
    return follow.relation, follow.relation_since, list(periods), list(facts.values_list("id", "kind", "occurred_at"))


@pytest.mark.parametrize(("errcode", "state"), [(48002, "retry"), (84074, "parked")])
@pytest.mark.parametrize(
    ("change", "relation"), [("del_follow_user", "by_customer"), ("del_external_contact", "by_guide")]
)
def test_an_end_counts_though_the_reading_is_refused(wecom, connection, friend, errcode, state, change, relation):
    wecom.script("externalcontact/get", errcode=errcode, times=1)
    told(connection, change, friend, 60)
    inbox.drain(soon())

    before = truth()
    row = InboundEvent.objects.get(change_type=change)
    assert before[0] == relation and before[1] == row.occurred_at
    assert row.state == state and str(errcode) in row.last_error


def test_hearing_of_an_end_again_from_a_reading_a_replay_or_a_read_list_changes_nothing(wecom, connection, friend):
    wecom.hand("customer_deletes", userid=GUIDE, external_userid=friend)
    wecom.script("externalcontact/get", errcode=84074, times=1)
    told(connection, "del_follow_user", friend, 60)
    inbox.drain(soon())
    before = truth()
    assert before[0] == "by_customer"

    assert replay.replay(Selection(state="parked"), by=SYSTEM) == 1
    inbox.drain(soon())
    told(connection, "edit_external_contact", friend, 90)  # WeCom still lists her
    inbox.drain(soon())

    assert set(InboundEvent.objects.values_list("state", flat=True)) == {"done"}
    assert truth() == before


def test_a_new_adding_after_the_end_counts_as_well(wecom, connection, friend):
    wecom.script("externalcontact/get", errcode=84074, times=1)
    told(connection, "del_follow_user", friend, 600)
    told(connection, "add_external_contact", friend, 1200)
    inbox.drain(soon())

    relation, _since, periods, _facts = truth()
    assert relation == "active" and [by for by, _at in periods] == ["customer", ""]


def test_a_refused_secret_does_not_keep_an_end_back(connection, friend):
    CorpCredential.objects.update(broken_at=clock.wall(), broken_reason="invalid", access_token_expires_at=None)
    forget_process()
    told(connection, "del_follow_user", friend, 60)
    inbox.drain(soon())
    assert truth()[0] == "by_customer" and InboundEvent.objects.filter(state="retry").count() == 1


def test_who_asked_for_the_event_itself_hears_of_it_and_of_nothing_unread(wecom, connection, friend, monkeypatch):
    heard = []
    monkeypatch.setattr(contracts, "_event_handlers", {})
    contracts.on_event(
        "change_external_contact", order=1, name="t", handler=lambda corp, fact: heard.append(fact.change_type)
    )
    wecom.script("externalcontact/get", errcode=84074, times=1)
    told(connection, "edit_external_contact", friend, 30)
    told(connection, "del_follow_user", friend, 60)
    inbox.drain(soon())
    assert heard == ["del_follow_user"]


def test_an_end_that_a_handler_refuses_is_told_with_the_next_try(wecom, connection, friend, monkeypatch):
    def refuses(batch):
        raise ValueError("cannot be")

    wecom.script("externalcontact/get", errcode=-1, times=2)
    with monkeypatch.context() as patch:
        patch.setattr(contracts, "_handlers", {})
        contracts.on_batch("people", order=1, name="refuses", handler=refuses)
        told(connection, "del_follow_user", friend, 60)
        inbox.drain(soon())
        assert InboundEvent.objects.filter(state="retry").count() == 1
    assert truth()[0] == "active"

    due_again()
    inbox.drain(soon())
    assert truth()[0] == "by_customer"
