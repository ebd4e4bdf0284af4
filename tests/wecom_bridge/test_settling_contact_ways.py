"""An add_contact_way whose answer was lost is settled by walking the list, by the state we gave."""

from datetime import timedelta

import pytest

from scrm.lib import clock
from wecom_bridge import commands, contracts
from wecom_bridge.gateway import CallError
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import outbox
from wecom_bridge.settling.contact_ways import settle_add_contact_way

pytestmark = pytest.mark.django_db(transaction=True)
EC = "externalcontact"


def lose(wecom, gateway, guides, state, **script):
    """A call whose answer never came; the instant it left."""
    wecom.script(f"{EC}/add_contact_way", close=True, **script)
    left = clock.wall()
    with pytest.raises(CallError) as raised:
        gateway.add_contact_way(type=2, scene=2, user=guides, state=state)
    assert raised.value.executed_maybe
    return left


def settle(gateway, state, sent_at, **options):
    window = {"start": clock.now() - timedelta(minutes=10), "end": clock.now() + timedelta(minutes=10)}
    return settle_add_contact_way(gateway, state=state, sent_at=sent_at, **(window | options))


LONG_AGO = timedelta(minutes=5)


def test_a_lost_way_is_found_by_its_state(wecom, gateway, guides):
    for other in ("a", "b"):
        gateway.add_contact_way(type=2, scene=2, user=guides, state=other)
    left = lose(wecom, gateway, guides, "ours", execute=True)
    found = settle(gateway, "ours", left)
    assert found.done
    way = gateway.get_contact_way(config_id=found.result["config_id"])
    assert (way.state, way.qr_code) == ("ours", found.result["qr_code"])
    assert wecom.hand("scan", url=way.qr_code)["userid"] in guides


def test_a_way_that_was_never_made_is_not_done_once_the_list_had_time(wecom, gateway, guides):
    gateway.add_contact_way(type=2, scene=2, user=guides, state="a")
    left = lose(wecom, gateway, guides, "ours", execute=False)
    assert settle(gateway, "ours", left) is None
    assert settle(gateway, "ours", left - LONG_AGO) == contracts.Settled(
        done=False, message="WeCom lists no contact way with this state"
    )


def test_a_list_or_a_way_that_cannot_be_read_leaves_it_unknown(wecom, gateway, guides):
    gateway.add_contact_way(type=2, scene=2, user=guides, state="a")
    left = lose(wecom, gateway, guides, "ours", execute=False) - LONG_AGO
    for endpoint in ("list_contact_way", "get_contact_way"):
        for fault in ({"errcode": -1}, {"close": True}, {"truncate": 5}, {"body": {"errcode": 0, "contact_way": "x"}}):
            wecom.script(f"{EC}/{endpoint}", **fault)
            assert settle(gateway, "ours", left) is None
    assert not settle(gateway, "ours", left).done


def test_a_closed_window_is_told_to_whoever_asks(wecom, gateway, guides):
    left = lose(wecom, gateway, guides, "ours", execute=False)
    wecom.script(f"{EC}/list_contact_way", errcode=45009)
    with pytest.raises(CallError) as raised:
        settle(gateway, "ours", left)
    assert raised.value.held


def test_a_way_deleted_between_list_and_look_is_passed_over(wecom, gateway, guides):
    gateway.add_contact_way(type=2, scene=2, user=guides, state="a")
    left = lose(wecom, gateway, guides, "ours", execute=True)
    wecom.script(f"{EC}/get_contact_way", errcode=41044)
    assert settle(gateway, "ours", left).done


def test_known_ways_are_not_asked_about_and_calls_are_counted(wecom, gateway, guides):
    known = {gateway.add_contact_way(type=2, scene=2, user=guides, state="a").config_id for _n in range(4)}
    left = lose(wecom, gateway, guides, "ours", execute=True)
    assert settle(gateway, "ours", left, calls_most=5) is None
    assert len(wecom.calls(f"{EC}/get_contact_way")) == 4
    assert settle(gateway, "ours", left, known=known, calls_most=2).done
    assert len(wecom.calls(f"{EC}/get_contact_way")) == 5


def test_the_window_bounds_what_is_read(wecom, gateway, guides):
    left = lose(wecom, gateway, guides, "ours", execute=True) - LONG_AGO
    past = {"start": clock.now() - timedelta(days=3), "end": clock.now() - timedelta(days=2)}
    assert not settle(gateway, "ours", left, **past).done
    assert wecom.calls(f"{EC}/get_contact_way") == []


def test_a_call_without_a_state_cannot_be_settled(gateway):
    with pytest.raises(ValueError, match="state"):
        settle(gateway, "", clock.wall())


@pytest.fixture
def codes(kinds):
    """A command kind `code` that makes a contact way once, settled by its state; the answers it was told."""
    told = []

    def settle(command, reader):
        hour = timedelta(hours=1)
        window = {"start": command.created_at - hour, "end": command.created_at + hour}
        return settle_add_contact_way(reader, state=command.payload["state"], sent_at=command.sent_at, **window)

    contracts.register_command(
        contracts.CommandKind(
            "code",
            "once",
            build=lambda command: contracts.Call("add_contact_way", {"type": 2, "scene": 2, **command.payload}),
            on_result=lambda command, result: told.append(result["config_id"]),
            on_refused=lambda command, refusal: told.append(refusal.errcode),
            settle=settle,
        )
    )
    return told


def drain(waited=timedelta()):
    """Everything that waits, as if the calls had left `waited` earlier."""
    OutboundCommand.objects.update(next_attempt_at=clock.wall())
    for row in OutboundCommand.objects.exclude(sent_at=None):
        OutboundCommand.objects.filter(pk=row.pk).update(sent_at=row.sent_at - waited)
    outbox.drain(clock.wall() + timedelta(seconds=20))


@pytest.mark.parametrize("was_made", [True, False])
def test_a_command_whose_answer_was_lost_ends_with_one_way(wecom, gateway, guides, codes, was_made):
    wecom.script(f"{EC}/add_contact_way", close=True, execute=was_made)
    commands.enqueue("code", corp=gateway.corp, entity_key="c1", payload={"user": guides, "state": "ours"})
    drain()
    assert OutboundCommand.objects.get().state == "unknown"

    for _n in range(3):
        drain(LONG_AGO)

    (made,) = gateway.list_contact_way().contact_way
    assert codes == [made.config_id]
    assert OutboundCommand.objects.get().state == "done"
    assert len(wecom.calls(f"{EC}/add_contact_way")) == (1 if was_made else 2)
