"""Settling, coalescing, backing off, and the guard against events that we cause ourselves."""

from datetime import timedelta

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from scrm.lib import clock
from tests.support.core import log_in
from tests.support.wecom import arrive
from wecom_bridge import commands, contracts
from wecom_bridge.gateway import gateway_for
from wecom_bridge.models import InboundEvent, OutboundCommand
from wecom_bridge.services import inbox, outbox, pace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection(wecom):
    return wecom.connect()


@pytest.fixture(autouse=True)
def _nothing_counted():
    pace._redis().flushdb()


def soon():
    return clock.wall() + timedelta(seconds=20)


def states():
    return list(InboundEvent.objects.order_by("id").values_list("state", flat=True))


def customer(wecom):
    row = wecom.get("customers?limit=5")["customers"][0]
    return row["external_userid"], row["followers"][0]


def test_a_group_event_that_has_not_settled_gets_a_reading_of_its_own(wecom, connection, heard):
    """Details lag an event by two seconds: the reading for the first event may come too early for the second."""
    groups = heard("groups")
    chat_id = wecom.get("groups")["groups"][0]["chat_id"]
    arrive(connection, "update", "change_external_chat", created=1718000000, ChatId=chat_id, UpdateDetail="change_name")
    InboundEvent.objects.update(next_attempt_at=clock.wall())
    for created in (1718000001, 1718000002):
        arrive(
            connection, "update", "change_external_chat", created=created, ChatId=chat_id, UpdateDetail="change_notice"
        )

    inbox.drain(soon())
    assert states() == ["done", "waiting", "waiting"] and len(groups) == 1
    later = InboundEvent.objects.filter(state="waiting")
    assert all(row.next_attempt_at > clock.wall() + timedelta(seconds=1) for row in later)

    later.update(next_attempt_at=clock.wall())
    inbox.drain(soon())
    assert states() == ["done"] * 3 and len(groups) == 2 and len(groups[1].events) == 2


def test_an_event_that_joins_one_in_retry_costs_that_no_try(wecom, connection, heard):
    heard("people")
    external, userid = customer(wecom)
    wecom.script("externalcontact/get", errcode=-1, times=99)
    for created in range(1718000000, 1718000010):
        arrive(connection, "edit_external_contact", created=created, UserID=userid, ExternalUserID=external)
        inbox.drain(soon())

    assert set(states()) == {"retry"} and set(InboundEvent.objects.values_list("attempts", flat=True)) == {1}
    wecom.post("reset")
    InboundEvent.objects.filter(pk=InboundEvent.objects.last().pk).update(next_attempt_at=clock.wall())
    inbox.drain(soon())
    assert set(states()) == {"done"}, "the older ones go with it, in order"


def test_a_flood_of_one_entity_is_answered_in_bounded_readings(wecom, connection, heard, monkeypatch):
    people = heard("people")
    monkeypatch.setattr(inbox, "MOST_OF_ONE", 20)
    external, userid = customer(wecom)
    for created in range(1718000000, 1718000050):
        arrive(connection, "edit_external_contact", created=created, UserID=userid, ExternalUserID=external)

    inbox.drain(soon())

    assert [len(batch.events) for batch in people] == [20, 20, 10] and set(states()) == {"done"}
    told = [fact.occurred_at for batch in people for fact in batch.events]
    assert told == sorted(told)


def edits(connection, wecom, times):
    """So many edit events of one customer, each read by itself."""
    external, userid = customer(wecom)
    for number in range(times):
        arrive(connection, "edit_external_contact", created=1718000000 + number, UserID=userid, ExternalUserID=external)
        inbox.drain(soon())


def test_an_entity_that_keeps_coming_back_unchanged_is_slowed_and_not_lost(wecom, connection, heard):
    people = heard("people")
    edits(connection, wecom, pace.MOST + 5)

    read = len(people)
    assert read == pace.MOST + 2, "the first reading and as many alike as the limit allows"
    waiting = InboundEvent.objects.filter(state="waiting")
    assert waiting.count() == 3 and {row.last_error for row in waiting} == {InboundEvent.SLOWED}
    assert all(row.next_attempt_at > clock.wall() + timedelta(seconds=30) for row in waiting)
    assert inbox.next_due() > clock.now() + timedelta(seconds=30)
    page = log_in("it").get("/bridge/inbox/")
    assert page.context["slowed"] == 3 and "放慢处理" in page.content.decode()

    others = [row for row in wecom.get("customers?limit=9")["customers"] if row["followers"]][1]
    arrive(connection, "edit_external_contact", UserID=others["followers"][0], ExternalUserID=others["external_userid"])
    inbox.drain(soon())
    assert len(people) == read + 1, "nobody else waits"

    pace._redis().flushdb()  # a minute later
    waiting.update(next_attempt_at=clock.wall())
    inbox.drain(soon())
    assert set(states()) == {"done"} and len(people[-1].events) == 3
    assert not InboundEvent.objects.exclude(last_error="").exists()


def test_an_entity_that_changes_each_time_is_never_slowed(wecom, connection, heard):
    people = heard("people")
    external, userid = customer(wecom)
    for number in range(pace.MOST + 5):
        wecom.hand("edit_notes", userid=userid, external_userid=external, remark=f"第{number}次")
        arrive(connection, "edit_external_contact", created=1718000000 + number, UserID=userid, ExternalUserID=external)
        inbox.drain(soon())
    assert len(people) == pace.MOST + 5 and set(states()) == {"done"}


def test_without_redis_nothing_is_slowed_and_nothing_is_lost(wecom, connection, heard, monkeypatch):
    people = heard("people")
    monkeypatch.setattr(pace, "_redis", unreachable)
    edits(connection, wecom, pace.MOST + 5)
    assert len(people) == pace.MOST + 5 and set(states()) == {"done"}


def unreachable():
    return redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))


# --- Our own writes that come back ----------------------------------------------------------------------------------


def mark(corp, external, userid, tag_id):
    commands.enqueue("test.mark", corp=corp, entity_key=f"{corp.pk}:p:{external}",
                     payload={"userid": userid, "external_userid": external, "add_tag": [tag_id]})  # fmt: skip


@pytest.fixture
def marking(kinds):
    """A command that marks a tag, as the tagging app's does."""
    contracts.register_command(
        contracts.CommandKind(
            name="test.mark",
            policy="idempotent",
            build=lambda command: contracts.Call("mark_tag", command.payload),
            on_result=lambda command, result: None,
            on_refused=lambda command, refusal: None,
        )
    )


def echo(wecom, connection):
    """WeCom tells of API writes too; nobody listens at the address, the test hands its events over itself."""
    wecom.post("switches", {"callbacks_on_api_writes": True, "callback_retries": 0})
    wecom.post(f"corps/{connection.corp.corp_id}/callback", {"url": "http://127.0.0.1:1/", "verify": False})


def pushed(wecom, connection, seen):
    """Edit events that the simulator sent for API writes since the last look; each arrives in the inbox."""
    rows = [row for row in wecom.get("callbacks?limit=1000")["callbacks"] if row["serial"] not in seen]
    for row in rows:
        seen.add(row["serial"])
        fields = row["event"]
        arrive(
            connection,
            fields["ChangeType"],
            created=1718000000 + row["serial"],
            UserID=fields["UserID"],
            ExternalUserID=fields["ExternalUserID"],
        )
    return len(rows)


def rounds(wecom, connection, most):
    """Send, hear the echo, read again, until nothing moves; how many commands were sent in all."""
    seen = set()
    for _n in range(most):
        outbox.drain(soon(), "outbound")
        came = pushed(wecom, connection, seen)
        inbox.drain(soon())
        open_commands = OutboundCommand.objects.exclude(state="done").exists()
        if not came and not open_commands:
            break
    return OutboundCommand.objects.count()


def test_a_tag_that_we_set_comes_back_as_an_event_and_is_not_set_again(wecom, connection, heard, marking):
    """The app acts on what differs from what it wants, so the echo ends it."""
    heard("people")
    echo(wecom, connection)
    tag_id = wanted_tag(wecom, connection)

    def act(batch):
        for row in batch.rows:
            for follow in row.follows:
                if tag_id not in follow.tag_ids:
                    mark(batch.corp, row.person.external_userid, follow.userid, tag_id)

    contracts.on_batch("people", order=2, name="acts", handler=act)
    external, userid = customer(wecom)
    arrive(connection, "edit_external_contact", UserID=userid, ExternalUserID=external)
    inbox.drain(soon())

    assert rounds(wecom, connection, 20) <= 3, "one per guide of hers"


def test_an_app_that_acts_on_every_echo_is_slowed_down(wecom, connection, heard, marking):
    heard("people")
    echo(wecom, connection)
    tag_id = wanted_tag(wecom, connection)
    external, userid = customer(wecom)
    contracts.on_batch("people", order=2, name="acts", handler=lambda batch: mark(batch.corp, external, userid, tag_id))
    arrive(connection, "edit_external_contact", UserID=userid, ExternalUserID=external)
    inbox.drain(soon())

    sent = rounds(wecom, connection, 100)

    assert pace.MOST <= sent <= pace.MOST + 5, "the circle turns once a minute from here on"
    assert InboundEvent.objects.filter(state="waiting", last_error=InboundEvent.SLOWED).exists()


def wanted_tag(wecom, connection):
    """A tag that the app may set."""
    return gateway_for(connection.corp).get_tag_groups()[0].tags[0].tag_id
