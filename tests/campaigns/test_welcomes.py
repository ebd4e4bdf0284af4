"""Twenty seconds, one shot: which welcome, and what each answer of WeCom makes of it."""

from datetime import timedelta

import pytest

from campaigns.handlers import welcome
from campaigns.models import WelcomeSend, WelcomeTemplate
from campaigns.services import welcomes
from contacts.models import FollowPeriod
from scrm.lib import clock
from scrm.lib.errors import UserError
from tests.support import contacts as people
from tests.support.core import in_thread
from wecom_bridge import contracts
from wecom_bridge.contracts import Refusal
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services import welcome as lane

pytestmark = pytest.mark.django_db
ENDPOINT = "externalcontact/send_welcome_msg"


def template(name="默认", **overrides):
    fields = {"text": "您好,我是{导购名}", "is_default": name == "默认", "created_at": clock.now(), **overrides}
    return WelcomeTemplate.objects.create(name=name, **fields)


@pytest.fixture
def guide():
    return people.make_member("林小雅", store=people.make_store("静安寺店"))


def arrive(guide, code="CODE1", state="", external="wmnew", seconds_ago=0.0):
    """The callback of an add reaches the resolver."""
    fact = people.event_fact("add_external_contact", external, guide.userid, clock.now(), WelcomeCode=code, State=state)
    fact = type(fact)(**{**fact.__dict__, "received_at": clock.wall() - timedelta(seconds=seconds_ago)})
    contracts.welcome_resolver()(guide.corp, fact)
    return WelcomeSend.objects.get(code_digest=welcomes.code_digest(guide.corp, code))


def command_of(send):
    return OutboundCommand.objects.select_related("corp").get(kind="welcome.send", subject_id=send.pk)


def test_the_row_and_the_command_stand_before_anything_is_called(guide):
    template()
    send = arrive(guide)

    command = command_of(send)
    assert (send.state, command.lane, command.priority) == ("waiting", "welcome", 0)
    call = welcome.build(command)
    assert call.method == "send_welcome_msg"
    assert call.kwargs == {"welcome_code": "CODE1", "text": {"content": "您好,我是林小雅"}}


def test_a_callback_that_comes_twice_is_greeted_once(guide):
    template()
    arrive(guide)
    arrive(guide)
    assert WelcomeSend.objects.count() == OutboundCommand.objects.count() == 1


def test_without_a_template_nothing_is_sent_and_the_row_says_so(guide):
    assert (arrive(guide).state, WelcomeSend.objects.get().reason) == ("failed", "no_template")
    assert not OutboundCommand.objects.exists()


def test_the_most_exact_template_wins(guide):
    default = template()
    by_store = template("门店", store=guide.store)
    by_channel = template("小红书", state="xhs")
    loud = template("活动", state="xhs", priority=5, is_enabled=False)
    other = template("别家", store=people.make_store())

    chosen = [
        welcomes.choose(store, state) for store, state in ((None, ""), (guide.store_id, ""), (guide.store_id, "xhs"))
    ]
    assert chosen == [default, by_store, by_channel]
    loud.is_enabled = True
    loud.save()
    assert welcomes.choose(guide.store_id, "xhs") == loud
    assert other not in chosen


def test_a_customer_without_a_name_gets_the_neutral_wording(guide):
    template(text="{客户昵称}您好", neutral_text="您好,欢迎")
    assert welcome.build(command_of(arrive(guide))).kwargs["text"] == {"content": "您好,欢迎"}

    known = people.make_contact("小圆子")
    people.make_identity(known, corp=guide.corp, value="wmold")
    send = arrive(guide, code="CODE2", external="wmold")
    assert welcome.build(command_of(send)).kwargs["text"] == {"content": "小圆子您好"}


def test_after_twenty_seconds_nothing_is_called(guide):
    template()
    send = arrive(guide, seconds_ago=20.5)
    assert welcome.build(command_of(send)) is None
    send.refresh_from_db()
    assert send.state == "late"


def test_wecoms_yes_is_timed(guide):
    template()
    send = arrive(guide, seconds_ago=1.5)
    welcome.sent(command_of(send), {})
    send.refresh_from_db()
    assert send.state == "sent" and 1500 <= send.latency_ms < 5000


@pytest.mark.parametrize(
    ("errcode", "in_doubt", "seconds_ago", "state"),
    [
        (41051, False, 1, "other"),
        (41050, False, 1, "other"),
        (41050, False, 25, "late"),
        (41050, True, 1, "unknown"),
        (41051, True, 1, "unknown"),
        (40058, False, 1, "failed"),
    ],
)
def test_a_refusal_is_named(guide, errcode, in_doubt, seconds_ago, state):
    template()
    send = arrive(guide, seconds_ago=seconds_ago)
    command = command_of(send)
    if in_doubt:
        assert welcome.settle(command, None).done is False
        command.refresh_from_db()
    welcome.refused(command, Refusal(errcode, "no"))
    send.refresh_from_db()
    assert send.state == state


def test_a_lost_answer_of_a_dead_code_is_unknown(guide):
    template()
    send = arrive(guide, seconds_ago=21)
    found = welcome.settle(command_of(send), None)
    welcome.sent(command_of(send), found.result)
    send.refresh_from_db()
    assert (found.done, send.state) == (True, "unknown")


def test_the_welcome_hangs_on_the_adding_it_greeted(guide):
    template()
    send = arrive(guide)
    event = people.event_fact("add_external_contact", "wmnew", guide.userid, clock.now(), WelcomeCode="CODE1")
    row = people.person_row("wmnew", people.follow_info(guide.userid, clock.now()))
    for handler in contracts.handlers_for("people"):
        handler(people.people_batch(row, corp=guide.corp, events=[event]))
    send.refresh_from_db()
    assert send.period == FollowPeriod.objects.get()


def test_a_half_add_and_the_full_add_after_it_are_two_sends_of_one_period(guide):
    template()
    half, full = arrive(guide, "HALF"), arrive(guide, "FULL")
    row = people.person_row("wmnew", people.follow_info(guide.userid, clock.now()))
    for change, code in (("add_half_external_contact", "HALF"), ("add_external_contact", "FULL")):
        event = people.event_fact(change, "wmnew", guide.userid, clock.now(), WelcomeCode=code)
        for handler in contracts.handlers_for("people"):
            handler(people.people_batch(row, corp=guide.corp, events=[event]))
    period = FollowPeriod.objects.get()
    assert set(period.welcomes.values_list("pk", flat=True)) == {half.pk, full.pk}


def test_a_welcome_of_another_corp_is_not_bound(guide):
    template()
    other = people.make_member(corp=people.make_corp(name="另一家"), userid=guide.userid)
    send = arrive(other)
    event = people.event_fact("add_external_contact", "wmnew", guide.userid, clock.now(), WelcomeCode="CODE2")
    row = people.person_row("wmnew", people.follow_info(guide.userid, clock.now()))
    for handler in contracts.handlers_for("people"):
        handler(people.people_batch(row, corp=guide.corp, events=[event]))
    send.refresh_from_db()
    assert send.period is None


def test_a_welcome_never_hangs_on_the_adding_of_somebody_in_another_id_space(guide):
    """The same two ids, seen by a provider's app, name other people."""
    people.make_follow(member=guide, identity=people.make_identity(people.make_contact(), value="wmnew"))
    guide.corp.id_space = "suite:dk"
    guide.corp.save(update_fields=["id_space"])
    send = arrive(guide)
    event = people.event_fact("add_external_contact", "wmnew", guide.userid, clock.now(), WelcomeCode="CODE1")
    for handler in contracts.handlers_for("people"):
        handler(people.people_batch(corp=guide.corp, events=[event], gone=[("wmnew", guide.userid)]))

    send.refresh_from_db()
    assert send.period_id is None


def test_an_add_without_a_code_is_counted(guide):
    event = people.event_fact("add_external_contact", "wmnew", guide.userid, clock.now())
    row = people.person_row("wmnew", people.follow_info(guide.userid, clock.now()))
    for _ in range(2):
        for handler in contracts.handlers_for("people"):
            handler(people.people_batch(row, corp=guide.corp, events=[event]))
    assert WelcomeSend.objects.get().state == "no_code"


def test_a_text_with_the_name_needs_a_neutral_one(guide, actor):
    fields = {
        "name": "新客", "text": "{客户昵称}您好", "attachments": [], "store": None, "state": "", "priority": 0,
        "is_default": True, "is_enabled": True, "by": actor,
    }  # fmt: skip
    with pytest.raises(UserError):
        welcomes.save_template(None, neutral_text="", **fields)
    saved = welcomes.save_template(None, neutral_text="您好", **fields)
    again = welcomes.save_template(None, neutral_text="您好", **{**fields, "name": "新的默认"})
    saved.refresh_from_db()
    assert (saved.is_default, again.is_default) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_one_welcome(wecom):
    """Through the simulator: add a customer, two drains at once, one message."""
    corp = wecom.connect().corp
    userid = wecom.get("customers?limit=1")["customers"][0]
    found = userid.get("follows", userid.get("followers", []))
    member = people.make_member(corp=corp, userid=found[0] if isinstance(found[0], str) else found[0]["userid"])
    template()
    arrive(member, code="not-a-code")

    runs = [in_thread(lambda: lane.drain(clock.wall() + timedelta(seconds=10))) for _ in range(2)]
    for run in runs:
        run.result()
    assert len(wecom.calls(ENDPOINT)) == 1
    assert WelcomeSend.objects.get().state == "other"
