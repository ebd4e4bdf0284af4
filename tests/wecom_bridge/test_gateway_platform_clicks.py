"""What members press on cards arrives as a callback and is read whole, choice by choice."""

import pytest

from wecom_bridge.callbacks.clicks import read_click
from wecom_bridge.callbacks.envelope import Refused
from wecom_bridge.gateway import gateway_for

CARD = {
    "card_type": "multiple_interaction",
    "task_id": "plan_1",
    "action_menu": {"action_list": [{"text": "静音", "key": "mute"}]},
    "select_list": [
        {"question_key": "day", "option_list": [{"id": "mon", "text": "一"}, {"id": "tue", "text": "二"}]},
        {"question_key": "slot", "option_list": [{"id": "am", "text": "上午"}, {"id": "pm", "text": "下午"}]},
    ],
    "submit_button": {"text": "提交", "key": "submit"},
}


def xml_of(wecom, corp_id):
    """The plaintext of the newest event, as it is pushed."""
    from simulator.callbacks.events import Event

    row = wecom.get("callbacks?limit=1")["callbacks"][-1]
    fields = {name: value for name, value in row["event"].items() if name != "Event"}
    return Event(row["event"]["Event"], [(n, _tuples(v)) for n, v in fields.items()], by="wutong").xml(corp_id, 1)


def _tuples(value):
    """JSON made lists of pairs; the event had tuples."""
    return [(name, _tuples(inner)) for name, inner in value] if isinstance(value, list) else value


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("misspelt", [False, True])
def test_every_choice_of_a_card_is_read_in_either_spelling(wecom, misspelt):
    wecom.post("switches", {"card_options_misspelt": misspelt})
    gateway = gateway_for(wecom.connect().corp)
    gateway.send_to_members(msgtype="template_card", content=CARD, touser=["wutong"])
    code = wecom.hand("click_card", userid="wutong", key="submit", selected={"day": ["tue"], "slot": ["am"]})
    click = read_click(xml_of(wecom, gateway.corp.corp_id))
    assert (click.userid, click.key, click.task_id, click.is_menu) == ("wutong", "submit", "plan_1", False)
    assert click.selected == {"day": ("tue",), "slot": ("am",)}
    assert (click.response_code, click.agentid) == (code["response_code"], int(gateway.agent_id))
    done = CARD | {"replace_text": "已提交"}
    gateway.update_template_card(response_code=click.response_code, userids=["wutong"], template_card=done)
    assert wecom.get("members/wutong/inbox")["messages"][0]["updated"]["template_card"]["replace_text"] == "已提交"


@pytest.mark.django_db(transaction=True)
def test_a_menu_entry_is_told_apart(wecom):
    gateway = gateway_for(wecom.connect().corp)
    gateway.send_to_members(msgtype="template_card", content=CARD, touser=["wutong"])
    wecom.hand("click_card", userid="wutong", key="mute")
    click = read_click(xml_of(wecom, gateway.corp.corp_id))
    assert (click.is_menu, click.key, click.selected) == (True, "mute", {})


def test_several_options_of_one_question_stay_together():
    items = "".join(
        f"<SelectedItem><QuestionKey><![CDATA[{key}]]></QuestionKey><OptionIds>"
        + "".join(f"<OptionId><![CDATA[{one}]]></OptionId>" for one in options)
        + "</OptionIds></SelectedItem>"
        for key, options in (("a", "xy"), ("b", ""), ("c", "z"))
    )
    click = read_click(f"<xml><Event>template_card_event</Event><SelectedItems>{items}</SelectedItems></xml>")
    assert click.selected == {"a": ("x", "y"), "b": (), "c": ("z",)}


@pytest.mark.parametrize("body", ["", "no xml", '<!DOCTYPE x [<!ENTITY a "b">]><xml><Event>&a;</Event></xml>'])
def test_what_is_no_click_is_refused(body):
    with pytest.raises(Refused):
        read_click(body)
