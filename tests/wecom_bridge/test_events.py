"""Events of every kind: those that make something dirty, those that an app wants the words of, and the unknown ones."""

from datetime import timedelta

import pytest

from contacts.models import Follow
from scrm.lib import clock
from tests.support.wecom import app_event_xml, arrive, arrive_plain, make_connection
from wecom_bridge import contracts
from wecom_bridge.callbacks import parsing
from wecom_bridge.callbacks.envelope import Refused
from wecom_bridge.models import InboundEvent
from wecom_bridge.services import inbox, welcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listen(monkeypatch):
    """listen("click") → the facts of that event which reach a handler from now on."""
    monkeypatch.setattr(contracts, "_event_handlers", {})

    def to(event, change_type="", order=1, name="test"):
        facts = []
        contracts.on_event(
            event, change_type=change_type, order=order, name=name, handler=lambda corp, fact: facts.append(fact)
        )
        return facts

    return to


def soon():
    return clock.wall() + timedelta(seconds=20)


def states():
    return list(InboundEvent.objects.order_by("id").values_list("state", flat=True))


# --- Events of the app -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["enter_agent", "click", "view", "template_card_event", "template_card_menu_event",
                                   "unsubscribe", "upload_media_job_finish", "LOCATION"])  # fmt: skip
def test_an_event_of_the_app_reaches_who_asked_for_it_without_a_call(listen, event):
    facts = listen(event)
    connection = make_connection()  # nobody answers for this corp
    arrive_plain(connection, app_event_xml(connection.corp.corp_id, event, "lin", inner="<EventKey>ok</EventKey>"))

    assert inbox.drain(soon()) is False

    [fact] = facts
    assert fact.fields["EventKey"] == "ok" and fact.fields["FromUserName"] == "lin"
    assert states() == ["done"] and InboundEvent.objects.get().entity_key == f"{connection.corp.pk}:e:lin"


def test_nobodys_event_is_kept_as_ignored(listen):
    connection = make_connection()
    arrive_plain(connection, app_event_xml(connection.corp.corp_id, "enter_agent", "lin"))
    assert states() == ["ignored"] and inbox.claim(clock.wall()) == []


def test_events_of_one_person_come_in_order_and_a_failing_one_delays_nobody_else(listen):
    connection = make_connection()
    seen = []

    def handler(corp, fact):
        if fact.fields["FromUserName"] == "bad":
            raise ValueError("cannot be")
        seen.append((fact.fields["FromUserName"], fact.fields["EventKey"]))

    contracts.on_event("click", order=1, name="t", handler=handler)
    for created, userid, key in (
        (1718000300, "lin", "second"),
        (1718000100, "lin", "first"),
        (1718000200, "bad", "x"),
        (1718000400, "mei", "m"),
    ):
        arrive_plain(
            connection, app_event_xml(connection.corp.corp_id, "click", userid, created, f"<EventKey>{key}</EventKey>")
        )

    inbox.drain(soon())

    # What was told together with the failing one was undone and told again, each by itself.
    assert [key for userid, key in seen if userid == "lin"][-2:] == ["first", "second"] and ("mei", "m") in seen
    assert sorted(states()) == ["done", "done", "done", "retry"]
    for _n in range(inbox.MAX_ATTEMPTS):
        InboundEvent.objects.update(next_attempt_at=clock.wall())
        inbox.drain(soon())
    parked = InboundEvent.objects.get(state="parked")
    assert parked.entity_key.endswith(":e:bad") and "ValueError" in parked.last_error


def test_two_apps_hear_an_event_in_layer_order_and_a_change_type_narrows(listen):
    connection = make_connection()
    heard = []
    for order, name in ((500, "high"), (100, "low")):
        contracts.on_event(
            "customer_acquisition", order=order, name=name, handler=lambda c, f, name=name: heard.append(name)
        )
    only = listen("customer_acquisition", change_type="customer_start_chat", name="only")
    arrive(connection, "balance_low", "customer_acquisition")
    arrive(connection, "customer_start_chat", "customer_acquisition", UserID="lin", ExternalUserID="wm1", LinkId="cax1")

    inbox.drain(soon())

    assert heard == ["low", "high", "low", "high"]
    assert [(fact.fields["UserID"], fact.fields["LinkId"]) for fact in only] == [("lin", "cax1")]


def test_a_message_through_a_link_names_its_chat_key_and_nobody(listen):
    """Since 2024-12 it carries no ids; get_chat_info tells them for the ChatKey."""
    facts = listen("customer_acquisition", "message_from_customer")
    connection = make_connection()
    arrive(connection, "message_from_customer", "customer_acquisition", LinkId="cax1", State="s", ChatKey="key1")

    inbox.drain(soon())

    assert facts[0].fields["ChatKey"] == "key1" and "ExternalUserID" not in facts[0].fields
    assert InboundEvent.objects.get().entity_key.endswith(":e:key1")


CARD = """<EventKey>ok</EventKey><TaskId>push_12</TaskId><CardType>vote_interaction</CardType><ResponseCode>rc</ResponseCode><SelectedItems>
<SelectedItem><QuestionKey>slot</QuestionKey><{ids}><{one}>am</{one}><{one}>p,m</{one}></{ids}></SelectedItem>
<SelectedItem><QuestionKey>day</QuestionKey><{ids}><{one}>mon</{one}></{ids}></SelectedItem>
<SelectedItem><QuestionKey>none</QuestionKey><{ids}/></SelectedItem></SelectedItems>"""


@pytest.mark.parametrize(("ids", "one"), [("OptionIds", "OptionId"), ("OpitonIds", "OpitonId")])
def test_what_was_chosen_on_a_card_stays_with_its_question(listen, ids, one):
    facts = listen("template_card_event")
    connection = make_connection()
    inner = CARD.format(ids=ids, one=one)
    arrive_plain(connection, app_event_xml(connection.corp.corp_id, "template_card_event", "lin", inner=inner))

    inbox.drain(soon())

    assert facts[0].choices == {"slot": ("am", "p,m"), "day": ("mon",), "none": ()}
    assert facts[0].fields["ResponseCode"] == "rc"


def test_choices_of_a_card_without_any_are_none():
    assert parsing.read_choices(b"<xml><Event>template_card_event</Event></xml>") == {}
    with pytest.raises(Refused):
        parsing.read_choices(b"<xml>")


def test_a_list_is_read_from_items_and_from_a_text_with_commas():
    def listed(xml):
        fields = parsing.read_fields(f"<xml>{xml}</xml>".encode())
        return contracts.EventFact(1, "e", "c", clock.now(), clock.now(), fields).listed("MemChangeList")

    assert listed("<MemChangeList><Item>wm1</Item><Item>lin</Item></MemChangeList>") == ("wm1", "lin")
    assert listed("<MemChangeList><![CDATA[wm1, lin,]]></MemChangeList>") == ("wm1", "lin")
    assert listed("") == listed("<MemChangeList/>") == ()


# --- Events that make something dirty, heard as well ---------------------------------------------------------------------


def customer(wecom):
    for row in wecom.get("customers?limit=50")["customers"]:
        if len(row["followers"]) == 1:
            return row["external_userid"], row["followers"][0]
    raise AssertionError("no such customer")


@pytest.mark.parametrize("change", ["transfer_fail", "msg_audit_approved"])
def test_an_event_of_a_customer_is_heard_after_she_was_read(wecom, heard, listen, change):
    people = heard("people")
    order = []
    contracts.on_batch("people", order=2, name="mark", handler=lambda batch: order.append("batch"))
    contracts.on_event(
        "change_external_contact", change_type=change, order=1, name="t", handler=lambda c, f: order.append("event")
    )
    connection = wecom.connect()
    external, userid = customer(wecom)
    arrive(connection, change, UserID=userid, ExternalUserID=external, FailReason="customer_refused")

    inbox.drain(soon())

    assert order == ["batch", "event"] and len(people[0].rows) == 1 and states() == ["done"]


def test_reordered_tags_are_read_again_and_strategy_tags_are_not_ours(wecom, heard):
    tags = heard("tags")
    connection = wecom.connect()
    arrive(connection, "shuffle", "change_external_tag", Id="")
    arrive(connection, "shuffle", "change_external_tag", Id="etGroup", created=1718000000)
    arrive(connection, "create", "change_external_tag", Id="stX", TagType="tag", StrategyId="1")

    inbox.drain(soon())

    assert len(tags) == 1 and tags[0].is_full and states() == ["done", "done", "ignored"]
    assert len(wecom.calls("externalcontact/get_corp_tag_list")) == 1


def test_a_member_who_comes_into_the_apps_range_is_read(wecom, heard):
    members = heard("members")
    connection = wecom.connect()
    arrive_plain(connection, app_event_xml(connection.corp.corp_id, "subscribe", "wutong"))

    inbox.drain(soon())

    assert [one.userid for one in members[0].members] == ["wutong"] and states() == ["done"]


def test_a_member_who_cannot_be_read_is_unknown_not_gone(wecom, heard):
    members = heard("members")
    connection = wecom.connect()
    wecom.script("user/get", errcode=60011, times=9)
    arrive(connection, "update_user", "change_contact", UserID="wutong")

    inbox.drain(soon())

    assert states() == ["done"] and list(members[0].members) == list(members[0].left_userids) == []


# --- Half-adds and adds that cannot be read yet -----------------------------------------------------------------------


def test_a_half_add_uses_its_code_makes_no_friend_and_becomes_one_with_the_add(wecom, monkeypatch):
    connection = wecom.connect()
    codes = []
    monkeypatch.setattr(
        contracts, "_welcome", [lambda corp, fact: codes.append((fact.change_type, fact.fields["WelcomeCode"]))]
    )
    external = wecom.hand("add", userid="fangxiaoman", name="半加", half=True)["external_userid"]
    arrive(connection, "add_half_external_contact", UserID="fangxiaoman", ExternalUserID=external, WelcomeCode="HALF")

    welcome.resolve_codes(soon())
    inbox.drain(soon())

    assert codes == [("add_half_external_contact", "HALF")]
    assert states() == ["done"] and not Follow.objects.exists()

    wecom.hand("confirm_half", userid="fangxiaoman", external_userid=external)
    arrive(connection, "add_external_contact", UserID="fangxiaoman", ExternalUserID=external)
    welcome.resolve_codes(soon())
    inbox.drain(soon())

    assert Follow.objects.get().relation == "active" and len(codes) == 1


def test_an_add_that_cannot_be_read_yet_is_waited_for(wecom, heard):
    people = heard("people")
    connection = wecom.connect()
    external, userid = customer(wecom)
    wecom.script("externalcontact/get", errcode=84061, times=1)
    arrive(connection, "add_external_contact", UserID=userid, ExternalUserID=external)

    inbox.drain(soon())
    assert states() == ["retry"] and people == []
    InboundEvent.objects.update(next_attempt_at=clock.wall())
    inbox.drain(soon())

    assert states() == ["done"] and [row.person.external_userid for row in people[0].rows] == [external]


def test_an_add_that_is_never_readable_is_not_waited_for_forever(wecom, heard):
    people = heard("people")
    connection = wecom.connect()
    arrive(connection, "add_external_contact", UserID="fangxiaoman", ExternalUserID="wmNobody")

    for _n in range(5):
        InboundEvent.objects.update(next_attempt_at=clock.wall())
        inbox.drain(soon())

    assert states() == ["done"] and len(people) == 1


def test_an_add_whose_end_came_with_it_is_not_waited_for(wecom, heard):
    people = heard("people")
    connection = wecom.connect()
    for created, change in ((1718000000, "add_external_contact"), (1718000001, "del_external_contact")):
        arrive(connection, change, created=created, UserID="fangxiaoman", ExternalUserID="wmNobody")

    inbox.drain(soon())

    assert states() == ["done", "done"] and len(people) == 1


# --- When things happened ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("created", ["", "0", "-5", "1", "99999999999", "9" * 40, "soon", "१७१८०००००"])
def test_an_absurd_time_dates_nothing(created):
    now = clock.now()
    xml = f"<xml><Event>click</Event><CreateTime>{created}</CreateTime></xml>"
    assert parsing.understand(xml.encode(), now).occurred_at == now
