"""An app message in doubt is sent again while WeCom swallows a repeat, and never after."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.lib import clock
from wecom_bridge import commands, contracts
from wecom_bridge.contracts import Call, CommandKind
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox
from wecom_bridge.settling import app_messages

NOW = datetime(2026, 3, 20, 4, 0, tzinfo=UTC)
TEXT = {"msgtype": "text", "content": {"content": "有 3 项推送待确认"}}


# -- the body ----------------------------------------------------------------------------------------------------------


@given(members=st.lists(st.sampled_from("abcdef"), min_size=1), order=st.randoms(use_true_random=False))
def test_the_body_is_the_same_whatever_the_order_of_members(members, order):
    shuffled = members[:]
    order.shuffle(shuffled)
    one = app_messages.stable_body(agentid=1, touser=members, **TEXT)
    assert one == app_messages.stable_body(agentid="1", touser=shuffled + members, **TEXT)


@pytest.mark.parametrize(
    "wrong", [{"touser": []}, {"touser": [f"u{n}" for n in range(1001)]}, {"interval": 14_401}, {"interval": 120}]
)
def test_a_body_that_could_not_be_repeated_is_refused(wrong):
    with pytest.raises(ValueError):
        app_messages.stable_body(**{"agentid": 1, "touser": ["a"], **TEXT} | wrong)


def test_it_is_safe_to_repeat_until_shortly_before_the_interval_ends():
    body = app_messages.stable_body(agentid=1, touser=["a"], **TEXT, interval=1800)
    assert app_messages.repeat_until(body, NOW) == NOW + timedelta(minutes=28)
    assert app_messages.repeat_until(body | {"duplicate_check_interval": 10**6}, NOW) < NOW + timedelta(hours=4)
    assert app_messages.repeat_until({"touser": "a"}, NOW) == NOW


# -- through the outbox, over HTTP -------------------------------------------------------------------------------------


@pytest.fixture
def told(kinds):
    """A `once` kind over message/send, settled by repeating; what it was told."""
    results = []
    contracts.register_command(
        CommandKind(
            "app_message",
            "once",
            build=lambda command: Call(app_messages.METHOD, command.payload),
            on_result=lambda command, result: results.append(result["msgid"]),
            on_refused=lambda command, refusal: results.append(refusal.errcode),
            settle=lambda c, reader: app_messages.settle(c.payload, c.sent_at, clock.wall(), reader),
        )
    )
    return results


@pytest.fixture
def put(wecom, told):
    connection = wecom.connect()

    def put(**content):
        body = app_messages.stable_body(
            agentid=connection.corp.credentials.get().agent_id, touser=["wutong"], **TEXT | content
        )
        return commands.enqueue("app_message", corp=connection.corp, entity_key="m", payload=body)

    return put


def drain():
    OutboundCommand.objects.update(next_attempt_at=clock.wall())
    outbox.drain(clock.wall() + timedelta(seconds=20))
    return OutboundCommand.objects.get()


def shown(wecom):
    """What the member sees, and what was swallowed."""
    rows = wecom.get("members/wutong/inbox")["messages"]
    return [row["msgid"] for row in rows if not row["dropped"]], [row["dropped"] for row in rows if row["dropped"]]


@pytest.mark.django_db(transaction=True)
def test_a_message_whose_answer_was_lost_is_repeated_and_seen_once(wecom, put, told):
    wecom.script("message/send", close=True, execute=True)
    put()
    assert drain().state == "unknown"
    assert len(shown(wecom)[0]) == 1

    assert drain().state == "done"

    seen, swallowed = shown(wecom)
    assert len(seen) == 1 and swallowed == ["duplicate"] and len(told) == 1


@pytest.mark.django_db(transaction=True)
def test_a_message_that_never_arrived_is_delivered_by_the_repeat(wecom, put, told):
    wecom.script("message/send", http_status=502)
    put()
    assert drain().state == "unknown" and shown(wecom) == ([], [])
    assert drain().state == "done"
    assert shown(wecom)[0] == told


@pytest.mark.django_db(transaction=True)
def test_a_lost_repeat_is_repeated_again(wecom, put, told):
    wecom.script("message/send", close=True, execute=True, times=3)
    put()
    for _n in range(3):
        assert drain().state == "unknown"
    assert drain().state == "done"
    seen, swallowed = shown(wecom)
    assert len(seen) == 1 and swallowed == ["duplicate"] * 3


@pytest.mark.django_db(transaction=True)
def test_after_the_interval_nothing_is_sent_and_the_doubt_stays(wecom, put, told):
    wecom.script("message/send", close=True, execute=True)
    put()
    drain()
    OutboundCommand.objects.update(sent_at=clock.wall() - timedelta(hours=3, minutes=58, seconds=1))

    assert drain().state == "unknown"

    assert len(wecom.calls("message/send")) == 1 and told == []
    OutboundCommand.objects.update(sent_at=clock.wall() - timedelta(hours=3, minutes=57))
    assert drain().state == "done"
