"""Hand-overs through the bridge: typed answers, and what became of a call whose answer was lost."""

from datetime import timedelta

import pytest

from scrm.lib import clock
from wecom_bridge import commands, contracts
from wecom_bridge.gateway import CallError
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox
from wecom_bridge.settling import transfers as settling

pytestmark = pytest.mark.django_db(transaction=True)

PAIR = {"handover_userid": "wutong", "takeover_userid": "hechen"}


@pytest.fixture
def people(wecom):
    """Four fresh customers of wutong's."""
    return wecom.hand("add", userid="wutong", count=4)["external_userids"]


def lose(gateway, wecom, endpoint, method, *, execute=True, **given):
    wecom.script(f"externalcontact/{endpoint}", close=True, execute=execute)
    with pytest.raises(CallError) as raised:
        gateway.call(method, **given)
    assert raised.value.executed_maybe


def settle(gateway, people, *, minutes=1, since=None, **more):
    sent = clock.wall() - timedelta(minutes=minutes)
    when = {"since": since or clock.now(), "sent_at": sent}
    return settling.settle_transfer(gateway, external_userid=people, **PAIR, **when, **more)


def codes(found):
    assert found is not None and found.done
    return [row["errcode"] for row in found.result["customer"]]


def later(wecom, seconds=86_410):
    wecom.post("clock", {"advance": seconds})


def test_each_customers_start_and_end_are_values(wecom, gateway, people):
    started = gateway.transfer_customer(**PAIR, external_userid=[*people[:2], "wmNone"], transfer_success_msg="您好")
    assert [(row.external_userid, row.errcode) for row in started.customer] == [
        (people[0], 0),
        (people[1], 0),
        ("wmNone", 40096),
    ]
    wecom.hand("refuse_transfer", external_userid=people[1])
    states = {row.external_userid: row.status for row in gateway.transfer_result(**PAIR).customer}
    assert states == {people[0]: 2, people[1]: 3}
    later(wecom)
    assert {r.external_userid: r.status for r in gateway.transfer_result(**PAIR).customer}[people[0]] == 1


def test_those_of_who_left_wait_in_a_list(wecom, gateway, people):
    wecom.hand("member_leaves", userid="wutong")
    waiting = gateway.get_unassigned_list(page_size=100)
    assert not waiting.is_last and waiting.info[0].handover_userid == "wutong" and waiting.info[0].dimission_time > 0
    rest = gateway.get_unassigned_list(cursor=waiting.next_cursor)
    assert rest.is_last and set(people) <= {row.external_userid for row in rest.info}
    assert gateway.resigned_transfer_customer(**PAIR, external_userid=people[:1]).customer[0].errcode == 0
    assert gateway.resigned_transfer_result(**PAIR).customer[0].status == 2


def test_groups_name_those_that_failed(wecom, gateway):
    (chat,) = [row["chat_id"] for row in wecom.get("groups?owner=wutong")["groups"]]
    failed = gateway.groupchat_transfer(chat_id_list=[chat, "wrNone"], new_owner="hechen").failed_chat_list
    assert [(row.chat_id, row.errcode) for row in failed] == [(chat, 90500), ("wrNone", 90501)]
    assert gateway.groupchat_onjob_transfer(chat_id_list=[chat], new_owner="hechen").failed_chat_list == ()
    assert gateway.groupchat_get_owner(chat_id=chat).owner == "hechen"
    assert {row.chat_id for row in gateway.groupchat_list().group_chat_list} >= {chat}


def test_a_customer_without_a_code_is_no_success(wecom, gateway, people):
    wecom.script("externalcontact/transfer_customer", body={"errcode": 0, "customer": [{"external_userid": people[0]}]})
    with pytest.raises(CallError) as raised:
        gateway.transfer_customer(**PAIR, external_userid=people)
    assert raised.value.executed_maybe


# --- a lost answer ------------------------------------------------------------------------------------------------


def test_a_lost_hand_over_is_found_per_customer(wecom, gateway, people):
    lose(gateway, wecom, "transfer_customer", "transfer_customer", **PAIR, external_userid=[*people, "wmNone"])
    assert settle(gateway, [*people, "wmNone"]) is None
    assert codes(settle(gateway, people)) == [0] * 4
    assert codes(settle(gateway, [*people, "wmNone"], minutes=9)) == [0] * 4 + [settling.NOT_BEGUN]


def test_what_never_began_is_told_only_after_a_while(wecom, gateway, people):
    lose(gateway, wecom, "transfer_customer", "transfer_customer", execute=False, **PAIR, external_userid=people)
    assert settle(gateway, people) is None
    found = settle(gateway, people, minutes=9)
    assert found is not None and not found.done


def test_an_earlier_hand_over_of_the_same_two_is_not_taken_for_this_one(wecom, gateway, people):
    one = people[0]
    gateway.transfer_customer(**PAIR, external_userid=[one])
    wecom.hand("refuse_transfer", external_userid=one)
    assert settle(gateway, [one], minutes=9) is None
    found = settle(gateway, [one], minutes=9, since=clock.now() + timedelta(hours=1))
    assert found is not None and not found.done
    assert codes(settle(gateway, [one], minutes=9, since=clock.now() - timedelta(hours=1))) == [0]


def test_a_hand_over_already_done_counts(wecom, gateway, people):
    lose(gateway, wecom, "transfer_customer", "transfer_customer", **PAIR, external_userid=people[:1])
    later(wecom)
    assert codes(settle(gateway, people[:1], minutes=9)) == [0]


def test_a_result_without_a_time_is_no_finding(wecom, gateway, people):
    row = {"external_userid": people[0], "status": 1}
    wecom.script("externalcontact/transfer_result", body={"errcode": 0, "customer": [row]})
    assert settle(gateway, people[:1], minutes=9) is None


def test_lost_hand_overs_of_who_left_are_found_among_theirs(wecom, gateway, people):
    wecom.hand("member_leaves", userid="wutong")
    lose(gateway, wecom, "resigned/transfer_customer", "resigned_transfer_customer", **PAIR, external_userid=people[:2])
    assert codes(settle(gateway, people[:2], resigned=True)) == [0, 0]
    found = settle(gateway, people[:2], minutes=9)
    assert found is not None and not found.done


def settle_groups(gateway, chats, *, minutes=1, **more):
    sent = clock.wall() - timedelta(minutes=minutes)
    return settling.settle_group_transfer(gateway, chat_id_list=chats, new_owner="hechen", sent_at=sent, **more)


def chats_of(wecom, owner):
    return [row["chat_id"] for row in wecom.get(f"groups?owner={owner}")["groups"]]


def test_lost_groups_are_found_by_their_owner(wecom, gateway):
    one, two = chats_of(wecom, "fangxiaoman")
    lose(gateway, wecom, "groupchat/onjob_transfer", "groupchat_onjob_transfer", chat_id_list=[one], new_owner="hechen")
    found = settle_groups(gateway, [one])
    assert found is not None and found.done and found.result == {"failed_chat_list": []}
    assert settle_groups(gateway, [one, two]) is None
    partly = settle_groups(gateway, [one, two, "wrNone"], minutes=9)
    assert partly is not None and [row["chat_id"] for row in partly.result["failed_chat_list"]] == [two, "wrNone"]
    none = settle_groups(gateway, [two], minutes=9)
    assert none is not None and not none.done


def test_a_group_being_inherited_is_no_finding_until_it_is(wecom, gateway):
    wecom.post("switches", {"group_transfer_seconds": 3600})
    chats = chats_of(wecom, "wutong")
    wecom.hand("member_leaves", userid="wutong")
    lose(gateway, wecom, "groupchat/transfer", "groupchat_transfer", chat_id_list=chats, new_owner="hechen")
    assert settle_groups(gateway, chats, minutes=9, resigned=True) is None
    later(wecom)
    found = settle_groups(gateway, chats, minutes=9, resigned=True)
    assert found is not None and found.done


def test_asking_for_too_many_groups_is_refused(gateway):
    with pytest.raises(ValueError):
        settle_groups(gateway, ["wr"] * 101)


def test_a_command_in_doubt_is_settled_by_asking_and_never_called_again(wecom, people, kinds):
    connection, told = wecom.connect(), []

    def settle_it(command, reader):
        return settling.settle_transfer(reader, **command.payload, since=command.sent_at, sent_at=command.sent_at)

    contracts.register_command(
        contracts.CommandKind(
            "handover",
            "once",
            build=lambda command: contracts.Call("transfer_customer", command.payload),
            on_result=lambda command, result: told.append(dict(result)),
            on_refused=lambda command, refusal: told.append(refusal),
            settle=settle_it,
        )
    )
    commands.enqueue("handover", corp=connection.corp, entity_key="h1", payload={**PAIR, "external_userid": people[:2]})
    wecom.script("externalcontact/transfer_customer", close=True, execute=True)
    outbox.drain(clock.wall() + timedelta(seconds=20))
    assert (OutboundCommand.objects.get().state, told) == ("unknown", [])
    OutboundCommand.objects.update(next_attempt_at=clock.wall())
    outbox.drain(clock.wall() + timedelta(seconds=20))
    assert OutboundCommand.objects.get().state == "done"
    assert told == [{"customer": [{"external_userid": one, "errcode": 0} for one in people[:2]]}]
    assert len(wecom.calls("externalcontact/transfer_customer")) == 1
