"""Between claim and call: what may leave for WeCom, and what goes back to be claimed anew."""

from datetime import timedelta

import pytest

from campaigns import tasks
from campaigns.handlers import groupmsg
from campaigns.models import Delivery, Dispatch, Push
from campaigns.services import claiming, stopping
from contacts.models import Contact
from contacts.services.merging import merge_roots
from scrm.lib import clock
from scrm.lib.errors import UserError
from tests.support import campaigns as make
from tests.support import contacts as people
from wecom_bridge.contracts import Refusal
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db


@pytest.fixture
def guide():
    with make.at_time(make.MORNING):
        member = people.make_member("林小雅", store=people.make_store("静安寺店"))
        make.cover(member.corp)
        return member


def agreed(guide, number=2, **overrides):
    with make.at_time(make.MORNING):
        contacts = [people.make_follow(people.make_contact(), guide).contact for _ in range(number)]
        push = make.released(contacts, **overrides)
        make.agree(make.units(push)[0])
    return push


def claim(at):
    with make.at_time(at):
        while claiming.claim_due():
            pass
    return OutboundCommand.objects.filter(kind=claiming.CREATE).order_by("pk").last()


def build(command, at):
    """What the outbox does with a command due now."""
    with make.at_time(at):
        call = groupmsg.build_create(command)
        if call is None:
            groupmsg.create_cancelled(command)
            OutboundCommand.objects.filter(pk=command.pk).update(state="cancelled")
        return call


def the_unit(push):
    return Dispatch.objects.get(push=push)


def test_a_unit_without_recipients_is_never_sent(guide):
    """To WeCom, no recipients means all customers of the sender."""
    push = agreed(guide)
    command = claim(make.local(10, 1))
    Delivery.objects.filter(push=push).update(state="skipped", reason="exited")

    assert build(command, make.local(10, 2)) is None
    assert (the_unit(push).state, the_unit(push).reason) == ("done", "nobody_left")


def test_no_task_is_made_after_the_deadline(guide):
    push = agreed(guide)
    command = claim(make.local(20, 29))

    assert build(command, make.local(20, 31)) is None
    assert the_unit(push).state == "agreed"
    with make.at_time(make.local(20, 31)):
        tasks.drain(clock.wall() + timedelta(seconds=20))
    assert the_unit(push).state == "expired" and make.states(push) == {"expired": 2}


def test_a_claim_that_grew_old_is_checked_again(guide):
    """WeCom was away for hours: whoever opted out meanwhile is left out."""
    push = agreed(guide)
    command = claim(make.local(10, 1))
    Contact.objects.filter(pk=push.deliveries.first().contact_id).update(opt_out_since=make.local(12))

    assert build(command, make.local(15)) is None
    call = build(claim(make.local(15)), make.local(15, 1))

    assert call is not None and len(call.kwargs["external_userid"]) == 1
    assert set(push.deliveries.values_list("state", "reason")) == {("planned", ""), ("skipped", "opt_out")}


def test_nothing_is_claimed_or_sent_in_quiet_hours(guide):
    push = agreed(guide)
    Push.objects.update(confirm_by=make.local(12, day=1))
    with make.at_time(make.local(22)):
        assert claiming.claim_due() == 0 and tasks.count_due() == 0
        assert tasks.next_due() == make.local(9, day=1)
    command = claim(make.local(20, 59))

    assert build(command, make.local(21, 1)) is None and the_unit(push).state == "agreed"


def test_notice_and_deadline_lie_on_one_day(guide):
    with make.at_time(make.MORNING):
        contact = people.make_follow(people.make_contact(), guide).contact
        draft = make.make_draft([contact], notify_at=make.local(15), confirm_by=make.local(12, day=1))
        with pytest.raises(UserError, match="同一天"):
            make.submit(draft)


def link(url):
    return [{"msgtype": "link", "link": {"title": "看看", "url": url}}]


def test_messages_that_look_alike_in_a_list_are_never_in_doubt_at_once(guide):
    """WeCom lists attachments in another shape, so a lost answer is told apart by text and their number."""
    first = agreed(guide, attachments=link("https://a.example/1"))
    with make.at_time(make.MORNING):
        other = people.make_follow(people.make_contact(), guide).contact
        second = make.released([other], attachments=link("https://a.example/2"))
        make.agree(make.units(second)[0])

    claim(make.local(10, 1))

    assert sorted([the_unit(first).state, the_unit(second).state]) == ["agreed", "creating"]


def test_two_people_who_became_one_get_one_message(guide):
    push = agreed(guide)
    first, second = [row.contact_id for row in push.deliveries.order_by("pk")]
    merge_roots([(first, second)], now=make.MORNING)

    claim(make.local(10, 1))

    rows = list(push.deliveries.order_by("pk").values_list("state", "reason"))
    assert rows == [("planned", ""), ("skipped", "duplicate")]


def test_the_opt_out_of_the_person_she_was_merged_into_counts(guide):
    push = agreed(guide, number=1)
    older = people.make_contact()
    delivery = push.deliveries.get()
    Contact.objects.filter(pk=delivery.contact_id).update(root=older)
    Contact.objects.filter(pk=older.pk).update(opt_out_since=make.MORNING)

    claim(make.local(10, 1))

    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("skipped", "opt_out")


# --- What a person gave up --------------------------------------------------------------------------------------


def test_a_task_given_up_while_its_answer_was_lost_is_unknown_and_stays_with_its_guide(guide):
    push = agreed(guide)
    command = claim(make.local(10, 1))
    command.sent_at = clock.wall()

    groupmsg.create_refused(command, Refusal(None, "dropped"))

    assert make.states(push) == {"unknown": 2} and the_unit(push).reason == "no_result"


@pytest.mark.parametrize(("errcode", "state"), [(None, "stopping"), (60020, "stopping"), (41093, "stopping")])
def test_a_stop_given_up_or_refused_is_not_taken_for_done(guide, errcode, state):
    push = agreed(guide)
    claim(make.local(10, 1))
    with make.at_time(make.local(10, 2)):
        make.give_task(the_unit(push))
        stopping.ask_wecom(the_unit(push))
        command = OutboundCommand.objects.get(kind=stopping.CANCEL)
        groupmsg.cancel_refused(command, Refusal(errcode, "no"))

    asked_last = OutboundCommand.objects.filter(kind="groupmsg.poll", payload__after_stop=True).exists()
    assert the_unit(push).state == state and asked_last == (errcode == 41093)


def test_a_refused_task_is_not_looked_at_again(guide):
    push = agreed(guide)
    command = claim(make.local(10, 1))
    with make.at_time(make.local(10, 2)):
        stopping.stop_push(push.pk, by=make.author())
        groupmsg.create_refused(command, Refusal(41048, "no customer can be sent to"))

        assert the_unit(push).poll_at is None and tasks.count_due() == 0


def test_a_task_that_turns_up_after_it_was_given_up_is_taken_back_and_read(guide):
    push = agreed(guide)
    command = claim(make.local(10, 1))
    command.sent_at = clock.wall()
    groupmsg.create_refused(command, Refusal(None, "dropped"))
    with make.at_time(make.local(11)):
        groupmsg.created(command, {"msgid": "late", "fail_list": []})

        cancel = OutboundCommand.objects.get(kind=stopping.CANCEL)
        assert groupmsg._build_cancel(cancel) is not None
    with make.at_time(make.local(11, 5)):
        tasks.drain(clock.wall() + timedelta(seconds=20))
        looks = OutboundCommand.objects.filter(kind="groupmsg.poll")
        assert [row.payload["step"] for row in looks] == ["results"]
        first = push.deliveries.order_by("pk").first()
        sent = {"external_userid": first.external_userid, "status": 1, "send_time": int(make.local(11).timestamp())}
        groupmsg.polled(looks[0], {"send_list": [sent]})

    assert make.states(push) == {"sent": 1, "unknown": 1} and the_unit(push).state == "failed"


def test_the_latest_claim_says_whether_a_stopped_unit_may_have_left(guide):
    """An earlier claim's command was cancelled; the call of the second one is on its way."""
    push = agreed(guide)
    build(claim(make.local(10, 1)), make.local(15))
    command = claim(make.local(15))
    OutboundCommand.objects.filter(pk=command.pk).update(state="claimed", sent_at=clock.wall())
    with make.at_time(make.local(15, 1)):
        stopping.stop_push(push.pk, by=make.author())
    earlier = OutboundCommand.objects.get(kind=claiming.CREATE, state="cancelled")
    OutboundCommand.objects.filter(pk=earlier.pk).delete()
    earlier.save(force_insert=True)  # stored last, so that a listing without an order shows it last
    with make.at_time(make.local(15, 2)):
        tasks.drain(clock.wall() + timedelta(seconds=20))

    assert the_unit(push).state == "creating" and make.states(push) == {"planned": 2}


@pytest.mark.parametrize(("is_sent", "state"), [(False, "stopped"), (True, "failed")])
def test_a_parked_call_is_in_doubt_only_if_it_may_have_left(guide, is_sent, state):
    push = agreed(guide)
    command = claim(make.local(10, 1))
    sent_at = clock.wall() if is_sent else None
    OutboundCommand.objects.filter(pk=command.pk).update(state="parked", sent_at=sent_at)
    with make.at_time(make.local(10, 2)):
        stopping.stop_push(push.pk, by=make.author())
    with make.at_time(make.local(10, 4)):
        tasks.drain(clock.wall() + timedelta(seconds=20))

    assert the_unit(push).state == state
    assert make.states(push) == ({"unknown": 2} if is_sent else {"stopped": 2})
