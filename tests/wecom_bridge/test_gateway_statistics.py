"""Statistics, group welcomes and mass messages through the bridge, as values."""

from datetime import timedelta, timezone

import pytest

from scrm.lib import clock
from wecom_bridge.gateway import CallError
from wecom_bridge.shapes.groupwelcomes import GroupWelcomeText

pytestmark = pytest.mark.django_db(transaction=True)

CHINA = timezone(timedelta(hours=8))


def day(back):
    today = clock.now().astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((today - timedelta(days=back)).timestamp())


def test_a_day_without_chats_knows_nothing_of_replies(wecom, gateway):
    one = wecom.hand("add", userid="wutong")["external_userid"]
    wecom.hand("chat", userid="wutong", external_userid=one, sent=2, reply_minutes=3)
    wecom.post("clock", {"advance": 86_400})
    quiet, busy = gateway.get_user_behavior_data(userid=["wutong"], start_time=day(1), end_time=day(0)).behavior_data
    assert (quiet.reply_percentage, quiet.avg_reply_time, quiet.chat_cnt) == (None, None, 0)
    assert (busy.reply_percentage, busy.avg_reply_time, busy.chat_cnt, busy.message_cnt) == (100.0, 3, 1, 2)
    assert busy.new_contact_cnt >= 1 and busy.stat_time == day(0)


def test_groups_are_counted_by_owner_and_by_day(gateway):
    window = {"day_begin_time": day(3), "day_end_time": day(1), "userid_list": ["wutong", "fangxiaoman"]}
    found = gateway.groupchat_statistic(**window, order_by=2)
    assert (found.total, [(row.owner, row.data.chat_total) for row in found.items]) == (
        2,
        [("fangxiaoman", 2), ("wutong", 1)],
    )
    days = gateway.groupchat_statistic_group_by_day(**window).items
    assert [row.stat_time for row in days] == [day(3), day(2), day(1)] and days[-1].data.chat_total == 3


def test_a_group_welcome_is_made_changed_and_taken_away(gateway):
    made = gateway.group_welcome_template_add(text={"content": "欢迎 %NICKNAME%"}, notify=0)
    found = gateway.group_welcome_template_get(template_id=made.template_id)
    assert (found.text, found.image) == (GroupWelcomeText("欢迎 %NICKNAME%"), {})
    link = {"title": "t", "url": "https://a.example"}
    gateway.group_welcome_template_edit(template_id=made.template_id, link=link)
    assert gateway.group_welcome_template_get(template_id=made.template_id).link == link
    gateway.group_welcome_template_del(template_id=made.template_id)
    with pytest.raises(CallError):
        gateway.group_welcome_template_get(template_id=made.template_id)


def test_mass_messages_answer_as_values_and_commands_get_wecoms_names(wecom, gateway):
    people = wecom.hand("add", userid="wutong", count=2)["external_userids"]
    body = {"chat_type": "single", "sender": "wutong", "external_userid": [*people, "wmX"], "text": {"content": "你好"}}
    made = gateway.add_msg_template(**body)
    assert made.fail_list == ("wmX",)
    assert gateway.get_groupmsg_task(msgid=made.msgid).task_list[0].send_time == 0
    wecom.hand("confirm", msgid=made.msgid, userid="wutong")
    rows = gateway.get_groupmsg_send_result(msgid=made.msgid, userid="wutong").send_list
    assert {(row.external_userid, row.status, row.chat_id) for row in rows} == {(one, 1, "") for one in people}
    now = int(clock.now().timestamp())
    listed = gateway.call("get_groupmsg_list_v2", chat_type="single", start_time=now - 600, end_time=now + 600)
    (item,) = listed["group_msg_list"]
    assert (item["msgid"], item["text"], item["creator"], list(item["attachments"])) == (
        made.msgid,
        {"content": "你好"},
        "",
        [],
    )
    assert listed["next_cursor"] == ""


@pytest.mark.parametrize("body", [{"errcode": 0}, {"errcode": 0, "msgid": None}, {"errcode": 0, "msgid": []}])
def test_a_mass_message_without_an_id_is_a_lost_answer(wecom, gateway, body):
    wecom.script("externalcontact/add_msg_template", body=body)
    with pytest.raises(CallError) as raised:
        gateway.add_msg_template(chat_type="single", sender="wutong", external_userid=["wmX"], text={"content": "x"})
    assert raised.value.executed_maybe
