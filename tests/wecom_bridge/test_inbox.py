"""An event becomes a refetch, the refetch a batch, the batch facts; once, in order, and not at all when it cannot be known."""

from datetime import timedelta
from threading import Event
from time import monotonic, sleep

import pytest
from django.conf import settings
from django.db import transaction

from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.context import current_tenant
from tests.support.core import in_thread
from tests.support.wecom import event_xml
from wecom_bridge import contracts
from wecom_bridge.callbacks import parsing, rows
from wecom_bridge.gateway import Gateway, rates
from wecom_bridge.models import InboundEvent
from wecom_bridge.selection import Selection
from wecom_bridge.services import inbox, replay, welcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection(wecom):
    return wecom.connect()


@pytest.fixture
def customer(wecom):
    """(external_userid, userid) of a customer who follows exactly one guide."""
    for row in wecom.get("customers?limit=50")["customers"]:
        follows = list(row.get("follows", row.get("followers", [])))
        if len(follows) == 1:
            one = follows[0]
            return row["external_userid"], one if isinstance(one, str) else one["userid"]
    raise AssertionError("no such customer")


def arrive(connection, change, event="change_external_contact", created=None, **fields):
    """An event lies in the inbox, as the callback view leaves it."""
    plain = event_xml(connection.corp.corp_id, event, change, created, **fields).encode()
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


def test_events_of_one_entity_are_read_once_and_told_together(wecom, connection, customer, heard):
    people = heard("people")
    external, userid = customer
    for created, change in ((1718000300, "edit_external_contact"), (1718000100, "add_external_contact")):
        arrive(connection, change, created=created, UserID=userid, ExternalUserID=external)

    inbox.drain(soon())

    [batch] = people
    assert len(wecom.calls("externalcontact/get")) == 1 and len(batch.rows) == 1
    assert [fact.change_type for fact in batch.events] == ["add_external_contact", "edit_external_contact"]


def test_a_customer_with_no_guide_left_is_gone_for_the_guide_named(wecom, connection, customer, heard):
    people = heard("people")
    external, userid = customer
    wecom.hand("guide_deletes", userid=userid, external_userid=external)
    arrive(connection, "del_external_contact", UserID=userid, ExternalUserID=external)

    inbox.drain(soon())

    [batch] = people
    assert batch.rows == [] or not batch.rows
    assert batch.gone == [(external, userid)] and batch.events[0].change_type == "del_external_contact"
    assert states() == ["done"]


def test_a_dissolved_group_is_told_as_dismissed(wecom, connection, heard):
    groups = heard("groups")
    chat_id = wecom.get("groups")["groups"][0]["chat_id"]
    wecom.hand("group_dismiss", chat_id=chat_id)
    arrive(connection, "dismiss", "change_external_chat", ChatId=chat_id)
    assert inbox.claim(clock.wall()) == [], "a group settles first"
    InboundEvent.objects.update(next_attempt_at=clock.wall())

    inbox.drain(soon())

    assert groups[0].dismissed == [chat_id]


def test_tags_members_and_departments_are_read_again(wecom, connection, heard):
    tags, members = heard("tags"), heard("members")
    arrive(connection, "delete", "change_external_tag", Id="etX", TagType="tag")
    arrive(connection, "update_user", "change_contact", UserID="wutong")
    arrive(connection, "delete_user", "change_contact", UserID="nobody")
    arrive(connection, "update_party", "change_contact", Id="2")

    inbox.drain(soon())

    assert tags[0].is_full and tags[0].deleted_tag_ids == ["etX"] and tags[0].groups
    assert [m.userid for batch in members for m in batch.members] == ["wutong"]
    assert [userid for batch in members for userid in batch.left_userids] == ["nobody"]
    assert any(batch.departments for batch in members) and not any(batch.is_full for batch in members)
    assert set(states()) == {"done"}


@pytest.mark.parametrize("fault", [{"errcode": -1}, {"http_status": 500}, {"close": True}, {"truncate": 50}])
def test_an_error_is_tried_again_later_and_parked_in_the_end(wecom, connection, customer, heard, fault):
    people = heard("people")
    external, userid = customer
    wecom.script("externalcontact/get", times=99, **fault)
    arrive(connection, "edit_external_contact", UserID=userid, ExternalUserID=external)

    inbox.drain(soon())
    row = InboundEvent.objects.get()
    assert row.state == "retry" and row.next_attempt_at > clock.wall() and row.last_error and row.attempts == 1
    for _n in range(inbox.MAX_ATTEMPTS):
        InboundEvent.objects.update(next_attempt_at=clock.wall())
        inbox.drain(soon())
    assert states() == ["parked"] and people == []

    wecom.post("reset")
    assert replay.replay(Selection(ids=(row.pk,)), by=SYSTEM) == 1
    inbox.drain(soon())
    assert states() == ["done"] and len(people) == 1


def test_a_refused_secret_holds_events_without_counting(wecom, connection, customer, heard):
    from wecom_bridge.models import CorpCredential

    CorpCredential.objects.update(secret="wrong")
    external, userid = customer
    arrive(connection, "edit_external_contact", UserID=userid, ExternalUserID=external)

    for _n in range(12):
        InboundEvent.objects.update(next_attempt_at=clock.wall())
        inbox.drain(soon())

    row = InboundEvent.objects.get()
    assert (row.state, row.attempts) == ("retry", 0)
    assert len(wecom.calls("gettoken")) == 1, "a wrong secret is never tried twice"
    assert CorpCredential.objects.get().broken_at


def test_one_entity_a_handler_refuses_does_not_stop_the_others(wecom, connection, heard):
    seen = heard("people")
    rows_ = wecom.get("customers?limit=3")["customers"]
    poison = rows_[1]["external_userid"]

    def refuse(batch):
        if any(row.person.external_userid == poison for row in batch.rows):
            raise ValueError("cannot be")

    contracts.on_batch("people", order=2, name="refuses", handler=refuse)
    for row in rows_:
        arrive(connection, "edit_external_contact", UserID=row["followers"][0], ExternalUserID=row["external_userid"])

    inbox.drain(soon())

    by_entity = dict(InboundEvent.objects.values_list("entity_key", "state"))
    assert sorted(by_entity.values()) == ["done", "done", "retry"]
    assert by_entity[f"{connection.corp.pk}:p:{poison}"] == "retry" and seen


def test_two_drains_tell_each_event_once(wecom, connection, heard):
    people = heard("people")
    wecom.post("switches", {"latency_ms": [5, 15]})
    for row in wecom.get("customers?limit=60")["customers"]:
        if row["followers"]:
            arrive(
                connection, "edit_external_contact", UserID=row["followers"][0], ExternalUserID=row["external_userid"]
            )

    for worker in [in_thread(lambda: inbox.drain(soon())) for _n in range(3)]:
        worker.result()
    while inbox.next_due():
        InboundEvent.objects.filter(state__in=inbox.OPEN).update(next_attempt_at=clock.wall())
        inbox.drain(soon())

    told = [fact.event_id for batch in people for fact in batch.events]
    assert sorted(told) == sorted(InboundEvent.objects.values_list("pk", flat=True))
    assert set(states()) == {"done"}


def test_an_event_committed_late_with_a_smaller_id_is_not_skipped(wecom, connection, customer, heard):
    people = heard("people")
    external, userid = customer
    written, go = Event(), Event()

    def late():
        with transaction.atomic():
            arrive(connection, "add_external_contact", UserID=userid, ExternalUserID=external)
            written.set()
            assert go.wait(20)

    worker = in_thread(late)
    assert written.wait(20)
    arrive(connection, "edit_external_contact", UserID="wutong", ExternalUserID="wmUnknownToAll")
    inbox.drain(soon())
    go.set()
    worker.result()

    inbox.drain(soon())

    assert set(states()) == {"done"}
    assert [fact.change_type for batch in people for fact in batch.events] == [
        "edit_external_contact",
        "add_external_contact",
    ]


def test_a_claim_of_a_killed_worker_lapses(wecom, connection, customer, heard):
    people = heard("people")
    external, userid = customer
    arrive(connection, "edit_external_contact", UserID=userid, ExternalUserID=external)
    [_row] = inbox.claim(clock.wall())
    assert inbox.drain(soon()) is False and states() == ["waiting"]

    InboundEvent.objects.update(claimed_until=clock.wall() - timedelta(seconds=1))
    inbox.drain(soon())

    assert states() == ["done"] and len(people) == 1


def test_a_welcome_is_resolved_before_anything_is_read(wecom, connection, customer, heard, monkeypatch):
    heard("people")
    external, userid = customer
    seen = []
    monkeypatch.setattr(
        contracts, "_welcome", [lambda corp, fact: seen.append((fact.fields["WelcomeCode"], wecom.calls()))]
    )
    arrive(connection, "add_external_contact", UserID=userid, ExternalUserID=external, WelcomeCode="CODE")

    welcome.drain(soon())

    assert seen == [("CODE", [])]
    assert InboundEvent.objects.get().lane == "inbound" and states() == ["waiting"]
    assert [call["path"] for call in wecom.calls()] == ["gettoken"], "the token is warm for the next one"
    inbox.drain(soon())
    assert states() == ["done"]


def test_a_resolver_that_fails_costs_the_welcome_not_the_customer(wecom, connection, customer, heard, monkeypatch):
    people = heard("people")
    external, userid = customer

    def fails(corp, fact):
        raise ValueError("no text")

    monkeypatch.setattr(contracts, "_welcome", [fails])
    arrive(connection, "add_external_contact", UserID=userid, ExternalUserID=external, WelcomeCode="CODE")

    welcome.drain(soon())
    inbox.drain(soon())

    assert states() == ["done"] and len(people) == 1


def test_a_slow_wecom_costs_the_slice_and_not_what_was_read(wecom, connection, heard, monkeypatch):
    """Some entities are read and settled; the others go back without a counted attempt."""
    told = heard("people")
    monkeypatch.setattr(inbox, "TOGETHER", 2)
    monkeypatch.setattr(inbox, "SLICE", timedelta(seconds=1))
    slowly(monkeypatch, seconds=0.7)
    for row in wecom.get("customers?limit=8")["customers"]:
        arrive(connection, "edit_external_contact", UserID="fangxiaoman", ExternalUserID=row["external_userid"])

    inbox.drain(clock.wall() + timedelta(seconds=20))

    rows_left = list(InboundEvent.objects.values_list("state", "attempts", "claimed_until"))
    assert told and ("waiting", 0, None) in rows_left and "done" in states()


def test_a_wecom_that_answers_nothing_costs_the_slice_one_time_out(wecom, connection, heard, monkeypatch):
    """Nothing more is asked after the slice's end, however many were to be read together."""
    told = heard("people")
    monkeypatch.setattr(inbox, "WIDTH", 2)
    monkeypatch.setattr(inbox, "SLICE", timedelta(seconds=1))
    slowly(monkeypatch, seconds=1.5)
    many(wecom, connection, 12)
    began = monotonic()

    assert inbox.drain(soon())

    assert monotonic() - began < 4
    assert [len(batch.rows) for batch in told] == [2]
    left = InboundEvent.objects.filter(state="waiting").values_list("attempts", "claimed_until")
    assert list(left) == [(0, None)] * 10


@pytest.fixture
def waiting_welcome():
    """A message lies in the welcome's queue."""
    queue = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"] + "welcome"
    rates._redis().lpush(queue, "a message")
    yield
    rates._redis().delete(queue)


def test_a_slice_ends_early_when_a_welcome_waits_for_a_process(wecom, connection, heard, monkeypatch, waiting_welcome):
    told = heard("people")
    monkeypatch.setattr(inbox, "TOGETHER", 2)
    monkeypatch.setattr(inbox, "LEAST", timedelta(seconds=0.3))
    slowly(monkeypatch, seconds=0.4)
    many(wecom, connection, 12)

    assert inbox.drain(soon())
    assert [len(batch.rows) for batch in told] == [2]
    assert InboundEvent.objects.filter(state="waiting", claimed_until=None, attempts=0).count() == 10


def test_newcomers_without_a_pause_leave_the_inbox_its_least_share(
    wecom, connection, heard, monkeypatch, waiting_welcome
):
    told = heard("people")
    monkeypatch.setattr(inbox, "TOGETHER", 2)
    monkeypatch.setattr(inbox, "LEAST", inbox.SLICE)
    many(wecom, connection, 12)

    assert not inbox.drain(soon())

    assert [len(batch.rows) for batch in told] == [2] * 6
    assert set(states()) == {"done"}


def many(wecom, connection, count):
    """Events of as many customers."""
    for row in wecom.get(f"customers?limit={count}")["customers"]:
        arrive(connection, "edit_external_contact", UserID="fangxiaoman", ExternalUserID=row["external_userid"])


def slowly(monkeypatch, seconds):
    """Every read of a customer takes its time."""
    read = Gateway.get_customer

    def late(*args, **kwargs):
        sleep(seconds)
        return read(*args, **kwargs)

    monkeypatch.setattr(Gateway, "get_customer", late)
