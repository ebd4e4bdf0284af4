import pytest

from simulator.clock import local, parse_instant
from simulator.world.quota import allowed

NOON = parse_instant("2026-02-10T12:00:00+08:00")
DAY = 86_400


def send(client, sender, recipients, words="你好", **more):
    body = {"chat_type": "single", "sender": sender, "external_userid": recipients, "text": {"content": words}} | more
    return client.post("externalcontact/add_msg_template", body)


def results(client, msgid, userid):
    answer = client.post("externalcontact/get_groupmsg_send_result", {"msgid": msgid, "userid": userid})
    return {row["external_userid"]: row["status"] for row in answer["send_list"]}


def friends(client, userid, count):
    return client.get("externalcontact/list", userid=userid)["external_userid"][:count]


@pytest.mark.parametrize(
    ("rule", "received", "verdict"),
    [
        ("month_days", [NOON - n * 3600 for n in range(27)], True),
        ("month_days", [NOON - n * 3600 for n in range(28)], False),
        ("month_days", [NOON - 20 * DAY - n for n in range(40)], True),
        ("day_1", [NOON - 3600], False),
        ("day_1", [NOON - 13 * 3600], True),
        ("week_7", [NOON - n * 600 for n in range(6)], True),
        ("week_7", [NOON - n * 600 for n in range(7)], False),
        ("week_7", [NOON - 3 * DAY - n for n in range(9)], True),
    ],
)
def test_the_quota_counts_calendar_days_weeks_and_months(rule, received, verdict):
    assert local(NOON).weekday() == 1
    assert allowed(rule, [int(t) for t in received], int(NOON)) is verdict


def test_nothing_is_sent_before_the_guide_confirms(shop):
    people = friends(shop, "wutong", 3)
    made = send(shop, "wutong", [*people, "wmx"])
    assert made["fail_list"] == ["wmx"]
    msgid = made["msgid"]
    tasks = shop.post("externalcontact/get_groupmsg_task", {"msgid": msgid})["task_list"]
    assert tasks == [{"userid": "wutong", "status": 0}]
    assert set(results(shop, msgid, "wutong").values()) == {0}
    assert shop.control(f"customers/{people[0]}/inbox")["messages"] == []
    assert shop.hand("tasks", userid="wutong")["tasks"][0]["recipients"] == 3
    shop.hand("confirm", userid="wutong", msgid=msgid)
    tasks = shop.post("externalcontact/get_groupmsg_task", {"msgid": msgid})["task_list"]
    assert tasks[0]["status"] == 2
    assert results(shop, msgid, "wutong") == dict.fromkeys(people, 1)
    message = shop.control(f"customers/{people[0]}/inbox")["messages"][0]
    assert (message["kind"], message["userid"], message["content"]["text"]["content"]) == ("mass", "wutong", "你好")
    assert shop.control("hands/confirm", {"corp_id": shop.corp_id, "userid": "wutong", "msgid": msgid})["ok"] is False


def test_results_tell_lost_friends_and_used_quota(shop):
    shop.control("switches", {"quota_rule": "day_1"})
    gone, lost, full, fine = friends(shop, "wutong", 4)
    shop.hand("send_own", userid="wutong", external_userids=[full], text="我自己发的")
    msgid = send(shop, "wutong", [gone, lost, full, fine])["msgid"]
    shop.hand("customer_deletes", userid="wutong", external_userid=gone)
    shop.hand("guide_deletes", userid="wutong", external_userid=lost)
    shop.hand("confirm", userid="wutong", msgid=msgid)
    assert results(shop, msgid, "wutong") == {gone: 2, lost: 2, full: 3, fine: 1}
    assert [m["kind"] for m in shop.control(f"customers/{full}/inbox")["messages"]] == ["personal_mass"]
    shop.control("clock", {"advance": DAY})
    again = send(shop, "wutong", [full])["msgid"]
    shop.hand("confirm", userid="wutong", msgid=again)
    assert results(shop, again, "wutong") == {full: 1}


def test_own_sends_leave_the_quota_alone_when_the_switch_says_so(shop):
    shop.control("switches", {"quota_rule": "day_1", "personal_sends_use_quota": False})
    (one,) = friends(shop, "wutong", 1)
    shop.hand("send_own", userid="wutong", external_userids=[one], text="我自己发的")
    msgid = send(shop, "wutong", [one])["msgid"]
    shop.hand("confirm", userid="wutong", msgid=msgid)
    assert results(shop, msgid, "wutong") == {one: 1}


def test_bad_requests_are_refused(shop):
    people = friends(shop, "wutong", 1)
    codes = {
        40058: [send(shop, "wutong", people, ""), send(shop, "wutong", people * 10_001)],
        45002: [send(shop, "wutong", people, "长" * 1334)],
        41064: [send(shop, "wutong", people, attachments=[{"msgtype": "image", "image": {"media_id": "m"}}] * 10)],
        41065: [send(shop, "wutong", people, attachments=[{"msgtype": "song", "song": {}}])],
        40007: [send(shop, "wutong", people, attachments=[{"msgtype": "image", "image": {"media_id": "m"}}])],
        41048: [send(shop, "wutong", ["wmx"]), send(shop, "hechen", friends(shop, "songjiayi", 1))],
        40003: [send(shop, "nobody", people)],
        41009: [send(shop, "", [], chat_type="group")],
    }
    for code, answers in codes.items():
        assert [a["errcode"] for a in answers] == [code] * len(answers)
    assert send(shop, "wutong", people, "长" * 1333)["errcode"] == 0


def test_a_tag_filter_chooses_within_a_members_customers(shop):
    groups = {
        g["group_name"]: {t["name"]: t["id"] for t in g["tag"]}
        for g in shop.post("externalcontact/get_corp_tag_list")["tag_group"]
    }
    sweet, scan = groups["口味"]["爱吃甜"], groups["来源"]["门店扫码"]
    wanted = {"group_list": [{"tag_list": [sweet]}, {"tag_list": [scan]}]}
    msgid = send(shop, "fangxiaoman", [], tag_filter=wanted)["msgid"]
    chosen = set(results(shop, msgid, "fangxiaoman"))
    expected, cursor = set(), ""
    while True:
        body = {"userid_list": ["fangxiaoman"], "limit": 100, "cursor": cursor}
        answer = shop.post("externalcontact/batch/get_by_user", body)
        rows = answer["external_contact_list"]
        expected |= {
            r["external_contact"]["external_userid"] for r in rows if {sweet, scan} <= set(r["follow_info"]["tag_id"])
        }
        cursor = answer["next_cursor"]
        if not cursor:
            break
    assert chosen == expected
    assert expected


def test_without_a_sender_the_follower_last_in_contact_gets_the_customer(shop):
    new = shop.hand("add", userid="wutong")["external_userid"]
    shop.hand("add", userid="hechen", external_userid=new)
    shop.control("clock", {"advance": 60})
    shop.hand("chat", userid="wutong", external_userid=new)
    msgid = send(shop, "", [new])["msgid"]
    assert [t["userid"] for t in shop.post("externalcontact/get_groupmsg_task", {"msgid": msgid})["task_list"]] == [
        "wutong"
    ]


def test_a_cancelled_message_cannot_be_confirmed_or_reminded(shop):
    msgid = send(shop, "wutong", friends(shop, "wutong", 1))["msgid"]
    assert shop.post("externalcontact/cancel_groupmsg_send", {"msgid": msgid})["errcode"] == 0
    assert shop.hand("tasks")["tasks"] == []
    refused = shop.control("hands/confirm", {"corp_id": shop.corp_id, "userid": "wutong", "msgid": msgid})
    assert refused["error"] == "该群发已被停止"
    assert shop.post("externalcontact/remind_groupmsg_send", {"msgid": msgid})["errcode"] == 41093
    assert shop.post("externalcontact/cancel_groupmsg_send", {})["errcode"] == 41046
    assert shop.post("externalcontact/cancel_groupmsg_send", {"msgid": "msgx"})["errcode"] == 41047


def test_three_reminders_in_a_day_and_no_more(shop):
    msgid = send(shop, "wutong", friends(shop, "wutong", 1))["msgid"]
    codes = [shop.post("externalcontact/remind_groupmsg_send", {"msgid": msgid})["errcode"] for _ in range(4)]
    assert codes == [0, 0, 0, 41094]
    shop.control("clock", {"advance": DAY})
    assert shop.post("externalcontact/remind_groupmsg_send", {"msgid": msgid})["errcode"] == 0


def test_group_messages_list_only_what_was_sent(shop):
    rows = shop.post("externalcontact/groupchat/list", {"limit": 10, "owner_filter": {"userid_list": ["fangxiaoman"]}})
    first, second = (r["chat_id"] for r in rows["group_chat_list"])
    body = {"chat_type": "group", "sender": "fangxiaoman", "chat_id_list": [first], "text": {"content": "群里好"}}
    msgid = shop.post("externalcontact/add_msg_template", body)["msgid"]
    query = {"msgid": msgid, "userid": "fangxiaoman"}
    assert shop.post("externalcontact/get_groupmsg_send_result", query)["send_list"] == []
    shop.hand("confirm", userid="fangxiaoman", msgid=msgid)
    sent = shop.post("externalcontact/get_groupmsg_send_result", query)["send_list"]
    assert [(r["chat_id"], r["status"]) for r in sent] == [(first, 1)]
    assert len(shop.control(f"groups/{first}/inbox")["messages"]) == 1
    assert shop.control(f"groups/{second}/inbox")["messages"] == []
    group = shop.post("externalcontact/groupchat/get", {"chat_id": first})["group_chat"]
    inside = next(m["userid"] for m in group["member_list"] if m["type"] == 2)
    assert [m["chat_id"] for m in shop.control(f"customers/{inside}/inbox")["messages"]] == [first]


def test_the_list_tells_own_sends_from_the_apps(shop):
    now = shop.control("clock")["now"]
    shop.hand("send_own", userid="wutong", external_userids=friends(shop, "wutong", 2), text="自己发")
    mine = send(shop, "wutong", friends(shop, "wutong", 2))["msgid"]

    def listed(**more):
        body = {"chat_type": "single", "start_time": now - 60, "end_time": now + 60} | more
        return shop.post("externalcontact/get_groupmsg_list_v2", body)

    assert [(r["msgid"] == mine, r["create_type"], r.get("creator")) for r in listed()["group_msg_list"]] == [
        (False, 1, "wutong"),
        (True, 0, None),
    ]
    assert [r["create_type"] for r in listed(filter_type=0)["group_msg_list"]] == [0]
    assert [r["create_type"] for r in listed(filter_type=1)["group_msg_list"]] == [1]
    assert listed(end_time=now + 40 * DAY)["errcode"] == 40058
    page = listed(limit=1)
    assert len(page["group_msg_list"]) == 1
    assert listed(limit=1, cursor=page["next_cursor"])["group_msg_list"][0]["msgid"] == mine


def test_guides_send_on_their_own_as_the_clock_passes(shop):
    shop.control("switches", {"own_sends_per_guide_month": 15, "own_send_audience": 5})
    start = shop.control("clock")["now"]
    before = shop.control("quiet")
    assert before["quiet"]
    assert before["next_due"] > start
    moved = shop.control("clock", {"advance": 10 * DAY})
    sent = shop.control("sent", kind="personal_mass", limit=1000)["messages"]
    assert all(start < m["at"] <= moved["now"] and 10 <= local(m["at"]).hour < 21 for m in sent)
    body = {"chat_type": "single", "start_time": start, "end_time": moved["now"], "filter_type": 1, "limit": 100}
    own = shop.post("externalcontact/get_groupmsg_list_v2", body)["group_msg_list"]
    assert 8 <= len(own) <= 34  # 4 guides, 15 a month each: 20 in ten days, give or take three deviations
    assert {m["msgid"] for m in sent} == {m["msgid"] for m in own}
    assert moved["acts"] >= len(own)


def test_a_group_that_was_dismissed_or_handed_over_receives_nothing(shop):
    rows = shop.post("externalcontact/groupchat/list", {"limit": 10, "owner_filter": {"userid_list": ["fangxiaoman"]}})
    first, second = (r["chat_id"] for r in rows["group_chat_list"])
    body = {"chat_type": "group", "sender": "fangxiaoman", "text": {"content": "群里好"}}
    msgid = shop.post("externalcontact/add_msg_template", body)["msgid"]
    shop.hand("group_dismiss", chat_id=first)
    shop.hand("confirm", userid="fangxiaoman", msgid=msgid)
    query = {"msgid": msgid, "userid": "fangxiaoman"}
    assert [r["chat_id"] for r in shop.post("externalcontact/get_groupmsg_send_result", query)["send_list"]] == [second]
    assert shop.control(f"groups/{first}/inbox")["messages"] == []


def test_who_left_confirms_nothing(shop):
    msgid = send(shop, "wutong", friends(shop, "wutong", 1))["msgid"]
    shop.hand("member_leaves", userid="wutong")
    assert shop.hand("confirm_all")["confirmed"] == []
    refused = shop.control("hands/confirm", {"corp_id": shop.corp_id, "userid": "wutong", "msgid": msgid})
    assert refused["error"] == "成员已离职"
