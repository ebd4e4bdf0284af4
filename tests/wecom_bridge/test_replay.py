"""Events handled once more, one or a range: facts stay single, nobody is welcomed or written to again."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError

from contacts.models import Follow, FollowPeriod, TimelineEvent
from scrm.lib import clock
from tenants import audit
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.core import log_in
from tests.support.wecom import arrive, make_connection
from wecom_bridge import contracts
from wecom_bridge.models import InboundEvent, OutboundCommand
from wecom_bridge.selection import Selection, replayable
from wecom_bridge.services import inbox, replay, welcome

pytestmark = pytest.mark.django_db(transaction=True)


def soon():
    return clock.wall() + timedelta(seconds=20)


def settle(**values):
    """Everything in the inbox is over."""
    InboundEvent.objects.update(**{"state": "done", "settled_at": clock.wall(), **values})


@pytest.fixture
def connection():
    return make_connection()


@pytest.fixture
def five(connection):
    """Five settled events of two kinds, an hour between each."""
    for number in range(5):
        change = "add_external_contact" if number % 2 else "edit_external_contact"
        arrive(connection, change, UserID="lin", ExternalUserID=f"wm{number}")
    settle()
    rows = list(InboundEvent.objects.order_by("id"))
    for number, row in enumerate(rows):
        row.received_at = clock.wall() - timedelta(hours=10 - number)
        row.save()
    return rows


def waiting():
    return sorted(InboundEvent.objects.filter(state="waiting").values_list("pk", flat=True))


def test_what_was_handled_and_is_replayed_writes_no_fact_no_welcome_and_no_command_again(wecom, monkeypatch):
    connection = wecom.connect()
    welcomed = []
    monkeypatch.setattr(contracts, "_welcome", [lambda corp, fact: welcomed.append(fact.event_id)])
    wecom.post("switches", {"callback_drop": 1})
    added = wecom.hand("add", userid="fangxiaoman", name="小圆", state="till")
    external = added["external_userid"] if "external_userid" in added else added["customers"][0]["external_userid"]
    arrive(
        connection, "add_external_contact", UserID="fangxiaoman", ExternalUserID=external, State="till", WelcomeCode="C"
    )
    arrive(connection, "edit_external_contact", UserID="fangxiaoman", ExternalUserID=external)
    welcome.resolve_codes(soon())
    inbox.drain(soon())
    assert len(welcomed) == 1 and set(InboundEvent.objects.values_list("state", flat=True)) == {"done"}
    before = world()

    assert replay.replay(Selection(state="done"), by=SYSTEM) == 2
    welcome.drain(soon())
    inbox.drain(soon())

    assert len(welcomed) == 1 and set(InboundEvent.objects.values_list("state", flat=True)) == {"done"}
    assert world() == before


def world():
    """What a replay must not change."""
    facts = list(TimelineEvent.objects.order_by("id").values("id", "fact_key", "occurred_at"))
    relations = (
        list(FollowPeriod.objects.order_by("id").values()),
        list(Follow.objects.values("id", "relation", "relation_since")),
    )
    commands = list(OutboundCommand.objects.order_by("id").values_list("id", "kind", "state"))
    assert facts and relations[0]
    return facts, relations, commands


def test_a_range_of_ids_times_kinds_and_states_is_chosen_exactly(five):
    chosen = {
        "ids": Selection(first_id=five[1].pk, last_id=five[3].pk),
        "times": Selection(since=five[1].received_at, until=five[3].received_at),
        "kind": Selection(change_type="edit_external_contact"),
        "nothing": Selection(state="parked"),
        "corp": Selection(corp_id=five[0].corp_id + 1),
    }
    found = {name: [five.index(row) for row in replayable(one).order_by("id")] for name, one in chosen.items()}
    assert found == {"ids": [1, 2, 3], "times": [1, 2], "kind": [0, 2, 4], "nothing": [], "corp": []}


def test_each_slice_leaves_its_audit_row(five, monkeypatch):
    monkeypatch.setattr(replay, "SLICE", 2)

    assert replay.replay(Selection(event="change_external_contact"), by=SYSTEM) == 5

    assert waiting() == [row.pk for row in five]
    rows = AuditEntry.objects.filter(action="inbox.replayed").order_by("id")
    assert [(row.data["count"], row.data["first_id"]) for row in rows] == [
        (2, five[0].pk),
        (2, five[2].pk),
        (1, five[4].pk),
    ]
    assert rows[0].data["chosen"] == {"event": "change_external_contact"}


def test_a_slice_whose_audit_row_cannot_be_written_is_not_replayed(five, monkeypatch):
    monkeypatch.setattr(audit.AuditEntry.objects, "create", fails)
    with pytest.raises(DatabaseError):
        replay.replay(Selection(state="done"), by=SYSTEM)
    assert waiting() == []


def fails(**values):
    raise DatabaseError("no room")


def test_open_events_and_those_nobody_handles_are_left_alone(connection, five):
    arrive(connection, "balance_low", "customer_acquisition")
    arrive(connection, "edit_external_contact", UserID="lin", ExternalUserID="wmOpen")
    assert replayable(Selection()).count() == 5
    assert replay.replay(Selection(), by=SYSTEM) == 5
    assert InboundEvent.objects.filter(state="ignored").count() == 1


def test_an_ignored_event_is_replayed_once_somebody_handles_it(connection, monkeypatch):
    arrive(connection, "link_unavailable", "customer_acquisition", LinkId="cax1")
    assert replay.replay(Selection(state="ignored"), by=SYSTEM) == 0
    heard = []
    monkeypatch.setattr(contracts, "_event_handlers", {})
    contracts.on_event(
        "customer_acquisition", order=1, name="t", handler=lambda corp, fact: heard.append(fact.fields["LinkId"])
    )

    assert replay.replay(Selection(state="ignored"), by=SYSTEM) == 1
    inbox.drain(soon())

    row = InboundEvent.objects.get()
    assert heard == ["cax1"] and (row.state, row.entity_key) == ("done", f"{connection.corp.pk}:e:cax1")


def command(**options):
    out = StringIO()
    call_command("replay_events", stdout=out, **options)
    return out.getvalue()


def test_the_command_says_what_it_would_do_and_does_it(five, acme):
    told = command(tenant="acme", event="change_external_contact", change_type="add_external_contact", dry_run=True)
    assert "2 would be replayed" in told and "add_external_contact" in told and waiting() == []

    told = command(tenant="acme", since=five[1].received_at.isoformat(), until=five[3].received_at.isoformat())
    assert "2 are handled once more" in told and waiting() == [five[1].pk, five[2].pk]
    assert AuditEntry.objects.get(action="inbox.replayed").actor_kind == "system"


@pytest.mark.parametrize("wrong", [{}, {"since": "yesterday"}, {"since": "2026-13-45"}, {"corp": "wwNobody"}])
def test_the_command_refuses_what_names_nothing(five, acme, wrong):
    with pytest.raises(CommandError):
        command(tenant="acme", **wrong)
    assert waiting() == []


def test_the_command_refuses_an_unknown_tenant(acme):
    with pytest.raises(CommandError):
        command(tenant="nobody", state="parked")


# --- The page ------------------------------------------------------------------------------------------------------


@pytest.fixture
def it(db):
    return log_in("it")


def test_the_list_filters_by_event_change_state_and_time(it, five):
    def shown(**filters):
        return sorted(five.index(row) for row in it.get("/bridge/inbox/", filters).context["rows"])

    assert shown(event="change_external_contact", change_type="add_external_contact") == [1, 3]
    local = (five[2].received_at + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M")  # the merchant's time, to the minute
    assert shown(since=local) == [2, 3, 4] and shown(until=local) == [0, 1]
    assert shown(state="parked") == [] and shown(event="nobody") == []
    assert len(shown(since="not a time")) == 5


def test_all_that_the_filters_find_is_replayed_when_the_count_is_the_one_seen(it, five):
    page = it.get("/bridge/inbox/?change_type=add_external_contact")
    assert page.context["replayable"] == 2
    url = "/bridge/inbox/replay/?change_type=add_external_contact"

    assert it.post(url, {"select_all": "1", "expected": "3"}).status_code == 422
    assert it.post(url, {"select_all": "1", "expected": "9" * 5_000}).status_code == 422
    assert waiting() == []
    assert it.post(url, {"select_all": "1", "expected": "2"}).status_code == 302

    assert waiting() == [five[1].pk, five[3].pk]
    assert AuditEntry.objects.get(action="inbox.replayed").actor_id == it.user.pk


def test_a_wrong_filter_replays_nothing(it, five):
    answer = it.post("/bridge/inbox/replay/?since=rubbish", {"select_all": "1", "expected": "5"})
    assert answer.status_code == 422 and waiting() == []


def test_unknown_events_are_counted_by_name(it, connection):
    for number in range(3):
        arrive(connection, "from_the_future", "change_something_new", Id=str(number))
    arrive(connection, "balance_low", "customer_acquisition")

    page = it.get("/bridge/inbox/")

    assert [(event, change, n) for _name, event, change, n in page.context["ignored"]] == [
        ("change_something_new", "from_the_future", 3),
        ("customer_acquisition", "balance_low", 1),
    ]
    assert "change_something_new" in page.content.decode()


def test_a_viewer_may_look_and_not_replay(five):
    from tests.support.core import make_user

    viewer = log_in(make_user(permissions=["bridge.view"]))
    assert viewer.get("/bridge/inbox/").status_code == 200
    assert viewer.post("/bridge/inbox/replay/", {"ids": [five[0].pk]}).status_code == 403
    assert waiting() == []
