"""The app towards its members: messages of every type, cards and their answers, the visible range, menu and entry."""

from xml.etree import ElementTree

import pytest
from wechatpy.work import WeChatClient

from simulator import crypto

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 10
BUTTONS = {
    "card_type": "button_interaction",
    "main_title": {"title": "推送给 120 位客户", "desc": "春季"},
    "task_id": "push_12_u1",
    "action_menu": {"desc": "更多", "action_list": [{"text": "静音", "key": "mute"}]},
    "button_selection": {
        "question_key": "slot",
        "title": "时间",
        "option_list": [{"id": "am", "text": "上午"}, {"id": "pm", "text": "下午"}],
        "selected_id": "am",
    },
    "button_list": [{"text": "批准", "style": 1, "key": "ok"}, {"text": "驳回", "style": 3, "key": "no"}],
}
NOTICE = {"card_type": "text_notice", "main_title": {"title": "t"}, "card_action": {"type": 1, "url": "https://x"}}
VOTE = {
    "card_type": "vote_interaction",
    "task_id": "vote_1",
    "checkbox": {
        "question_key": "q",
        "mode": 1,
        "option_list": [
            {"id": "a", "text": "A"},
            {"id": "b", "text": "B"},
            {"id": "c", "text": "C", "is_checked": True},
        ],
    },
    "submit_button": {"text": "提交", "key": "submit"},
}


@pytest.fixture
def send(shop):
    """message/send of the shop's app to wutong."""

    def send(msgtype, content, **more):
        body = {"touser": "wutong", "msgtype": msgtype, "agentid": shop.corp["agent_id"], msgtype: content}
        return shop.post("message/send", body | more)

    return send


def inbox(shop, userid="wutong"):
    return shop.control(f"members/{userid}/inbox")["messages"]


def events_of(shop, receiver):
    """The events that arrived, decrypted, as trees."""
    shop.wait_quiet()
    found = []
    for _query, _headers, body in receiver.requests:
        plain, _corp = crypto.decrypt(shop.corp["encoding_aes_key"], ElementTree.fromstring(body).findtext("Encrypt"))
        found.append(ElementTree.fromstring(plain))
    return found


# -- message types -----------------------------------------------------------------------------------------------------


def media(client, kind="image", content=PNG):
    url = f"{client.url}/cgi-bin/media/upload"
    params = {"access_token": client.token(), "type": kind}
    return client.http.post(url, files={"media": ("a.png", content, "image/png")}, params=params).json()["media_id"]


def test_every_type_reaches_the_member(shop, send):
    picture, clip, sound, paper = (
        media(shop),
        media(shop, "video", b"\x00\x00\x00\x18ftypmp42"),
        media(shop, "voice", b"#!AMR\nxxxx"),
        media(shop, "file", b"hello world"),
    )
    contents = {
        "text": {"content": "你好"},
        "markdown": {"content": "# 你好"},
        "textcard": {"title": "t", "description": "d", "url": "https://x", "btntxt": "立即审核查看"},
        "news": {"articles": [{"title": "t", "url": "https://x", "appid": "wx1", "pagepath": "p"}]},
        "image": {"media_id": picture},
        "video": {"media_id": clip, "title": "t"},
        "voice": {"media_id": sound},
        "file": {"media_id": paper},
        "miniprogram_notice": {"appid": "wx1", "title": "t", "content_item": [{"key": "k", "value": "v"}]},
        "template_card": NOTICE,
    }
    for msgtype, content in contents.items():
        assert send(msgtype, content)["errcode"] == 0, msgtype
    shown = {row["msgtype"]: row["content"] for row in inbox(shop)}
    assert set(shown) == set(contents)
    assert shown["textcard"]["btntxt"] == "立即审核"
    assert "url" not in shown["news"]["articles"][0]


@pytest.mark.parametrize(
    ("msgtype", "content", "errcode"),
    [
        ("text", {"content": ""}, 44004),
        ("text", {}, 44004),
        ("mpnews", {"articles": []}, 40008),
        ("textcard", {"title": "t", "url": "https://x"}, 41033),
        ("textcard", {"title": "t", "description": "d"}, 40058),
        ("textcard", {"title": "t", "description": "d", "url": "https://x/" + "a" * 2048}, 45002),
        ("news", {"articles": [{"title": "t", "url": "u"}] * 9}, 40058),
        ("news", {"articles": [{"title": "t"}]}, 40058),
        ("image", {"media_id": "x"}, 40007),
        ("miniprogram_notice", {"appid": "gh_1", "title": "t"}, 90207),
        ("miniprogram_notice", {"appid": "wx1", "title": "t", "content_item": [{}] * 11}, 90201),
        ("miniprogram_notice", {"appid": "wx1"}, 40058),
    ],
)
def test_a_wrong_body_is_refused_with_its_code(send, msgtype, content, errcode):
    assert send(msgtype, content)["errcode"] == errcode


def test_a_picture_is_no_video(shop, send):
    assert send("video", {"media_id": media(shop)})["errcode"] == 40007


def test_words_beyond_the_limit_are_cut_or_refused(shop, send):
    long = "长" * 700
    assert send("text", {"content": long})["errcode"] == 0
    assert inbox(shop)[-1]["content"]["content"] == "长" * 682
    shop.control("switches", {"overlong_message_is_cut": False})
    assert send("text", {"content": long})["errcode"] == 45002


def test_receivers_are_members_departments_or_everybody(shop, send):
    found = send("text", {"content": "a"}, touser="wutong|ghost", toparty="1|77", totag="3")
    assert (found["invaliduser"], found["invalidparty"], found["invalidtag"]) == ("ghost", "77", "3")
    send("text", {"content": "b"}, touser="@all", toparty="77")
    members = [m["userid"] for m in shop.control("members")["members"]]
    assert all(inbox(shop, userid)[-1]["content"]["content"] == "b" for userid in members)
    assert send("text", {"content": "c"}, touser="|".join(["u"] * 1001))["errcode"] == 40032
    assert send("text", {"content": "c"}, toparty="|".join(["1"] * 101))["errcode"] == 82002
    assert send("text", {"content": "c"}, totag="|".join(["1"] * 101))["errcode"] == 82003
    assert send("text", {"content": "c"}, touser="", totag="1")["errcode"] == 81013
    shop.hand("member_changes", userid="wutong", visible=False)
    assert send("text", {"content": "c"})["errcode"] == 81013


def test_what_is_too_much_is_dropped_without_a_word(shop, send):
    for n in range(31):
        assert send("text", {"content": str(n)})["errcode"] == 0
    assert [row["dropped"] for row in inbox(shop)] == [""] * 30 + ["frequency"]
    shop.control("switches", {"app_messages_per_account_day": 0})
    send("text", {"content": "x"}, touser="hechen")
    assert inbox(shop, "hechen")[-1]["dropped"] == "daily"


def test_a_message_is_recalled_within_a_day(shop, send):
    msgid = send("text", {"content": "撤"})["msgid"]
    assert shop.post("message/recall", {"msgid": "nothing"})["errcode"] == 40058
    assert shop.post("message/recall", {"msgid": msgid})["errcode"] == 0
    assert inbox(shop)[-1]["recalled"] is True
    late = send("text", {"content": "晚"})["msgid"]
    shop.control("clock", {"advance": 86_401})
    assert shop.post("message/recall", {"msgid": late})["errcode"] == 42052


# -- cards -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "card",
    [
        {"card_type": "other"},
        NOTICE | {"card_action": {"type": 3}},
        NOTICE | {"horizontal_content_list": [{"keyname": "k"}] * 7},
        NOTICE | {"jump_list": [{"title": "t"}] * 4},
        NOTICE | {"action_menu": {"action_list": [{"text": "t", "key": "k"}]}},
        NOTICE | {"card_type": "news_notice"},
        NOTICE | {"card_type": "news_notice", "card_image": {"url": "u", "aspect_ratio": 3}},
        BUTTONS | {"task_id": ""},
        BUTTONS | {"task_id": "中文"},
        BUTTONS | {"button_list": []},
        BUTTONS | {"button_list": [{"text": "t", "key": "k", "style": 5}]},
        BUTTONS | {"button_list": [{"text": "t", "key": "k"}] * 2},
        VOTE | {"submit_button": {}},
        VOTE | {"submit_button": {"text": "t", "key": ["k"]}},
        VOTE | {"checkbox": VOTE["checkbox"] | {"question_key": ["q"]}},
        VOTE | {"checkbox": VOTE["checkbox"] | {"option_list": [{"id": "a"}, {"id": "a"}]}},
        VOTE | {"card_type": "multiple_interaction", "select_list": []},
        {"card_type": "button_interaction", "task_id": "t", "button_list": "x"},
    ],
)
def test_a_wrong_card_is_refused(send, card):
    assert send("template_card", card)["errcode"] == 42014


def test_a_task_id_is_used_once(send):
    assert send("template_card", BUTTONS)["errcode"] == 0
    assert send("template_card", BUTTONS)["errcode"] == 42014


def test_a_repeated_card_is_swallowed_or_refused_by_its_task_id(shop, send):
    checked = {"enable_duplicate_check": 1}
    assert send("template_card", BUTTONS, **checked)["errcode"] == 0
    assert send("template_card", BUTTONS, **checked)["errcode"] == 0
    assert [row["dropped"] for row in inbox(shop)] == ["", "duplicate"]
    shop.control("switches", {"repeated_card_is_swallowed": False})
    assert send("template_card", BUTTONS, **checked)["errcode"] == 42014


def test_only_cards_that_can_be_answered_get_a_response_code(send):
    assert "response_code" not in send("template_card", NOTICE)
    menu = {"desc": "m", "action_list": [{"text": "t", "key": "k"}]}
    assert send("template_card", NOTICE | {"action_menu": menu, "task_id": "n1"})["response_code"]
    assert send("template_card", BUTTONS)["response_code"]


def test_a_card_is_updated_once_per_code_for_those_who_have_it(shop, send):
    sent = send("template_card", BUTTONS)
    update = {"agentid": shop.corp["agent_id"], "response_code": sent["response_code"]}
    update |= {"button": {"replace_name": "已批准"}}

    def call(**more):
        return shop.post("message/update_template_card", update | more)

    assert call()["errcode"] == 82101
    assert call(userids=["hechen"])["errcode"] == 82102
    assert call(userids=["wutong"], agentid=7)["errcode"] == 42015
    assert call(userids=["wutong"], response_code="x")["errcode"] == 60140
    assert call(userids=["wutong"], template_card=NOTICE | {"task_id": "unknown"})["errcode"] == 42016
    done = call(userids=["WUTONG", "hechen"])
    assert (done["errcode"], done["invaliduser"]) == (0, ["hechen"])
    assert inbox(shop)[-1]["updated"] == {"button": {"replace_name": "已批准"}}
    assert call(userids=["wutong"])["errcode"] == 60140


def test_a_response_code_ends_with_its_hours(shop, send):
    sent = send("template_card", BUTTONS)
    update = {"agentid": shop.corp["agent_id"], "response_code": sent["response_code"], "atall": 1}
    shop.control("clock", {"advance": 72 * 3600 + 1})
    late = shop.post("message/update_template_card", update | {"template_card": NOTICE})
    assert late["errcode"] == 60140


def test_a_pressed_button_tells_the_app_and_its_code_changes_the_card(shop, send, receiver):
    send("template_card", BUTTONS)
    code = shop.hand("click_card", userid="wutong", card="push_12_u1", key="ok", selected={"slot": ["pm"]})
    event = events_of(shop, receiver)[-1]
    said = {row.tag: row.text for row in event}
    assert (said["Event"], said["FromUserName"], said["EventKey"]) == ("template_card_event", "wutong", "ok")
    assert (said["TaskId"], said["CardType"]) == ("push_12_u1", "button_interaction")
    assert said["ResponseCode"] == code["response_code"] and int(said["AgentID"]) == shop.corp["agent_id"]
    chosen = event.find("SelectedItems/SelectedItem")
    assert (chosen.findtext("QuestionKey"), chosen.findtext("OptionIds/OptionId")) == ("slot", "pm")

    body = {"agentid": shop.corp["agent_id"], "response_code": code["response_code"], "userids": ["wutong"]}
    assert shop.post("message/update_template_card", body | {"button": {"replace_name": "已批准"}})["errcode"] == 0
    again = shop.control("hands/click_card", {"corp_id": shop.corp_id, "userid": "wutong", "key": "ok"})
    assert again == {"ok": False, "error": "卡片按钮已失效"}
    shop.hand("click_card", userid="wutong", key="mute")
    menu = events_of(shop, receiver)[-1]
    assert menu.findtext("Event") == "template_card_menu_event" and menu.find("SelectedItems") is None


def test_a_vote_carries_every_choice_and_keeps_what_was_checked(shop, send, receiver):
    send("template_card", VOTE)
    shop.hand("click_card", userid="wutong", key="submit", selected={"q": ["a", "b"]})
    shop.hand("click_card", userid="wutong", key="submit")
    first, second = events_of(shop, receiver)[-2:]
    assert [row.text for row in first.iter("OptionId")] == ["a", "b"]
    assert [row.text for row in second.iter("OptionId")] == ["c"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"userid": "hechen", "key": "ok"}, "没有收到"),
        ({"userid": "wutong", "key": "nothing"}, "没有 nothing"),
        ({"userid": "wutong", "key": "ok", "selected": {"slot": ["x"]}}, "没有这个选项"),
        ({"userid": "wutong", "key": "ok", "selected": {"slot": ["am", "pm"]}}, "只能单选"),
        ({"userid": "wutong", "key": "ok", "selected": {"q": ["am"]}}, "没有 q"),
    ],
)
def test_impossible_clicks_are_refused(shop, send, body, error):
    send("template_card", BUTTONS)
    answer = shop.control("hands/click_card", {"corp_id": shop.corp_id} | body)
    assert not answer["ok"] and error in answer["error"]


# -- the app and its range ---------------------------------------------------------------------------------------------


def test_agent_get_shows_exactly_who_is_visible(shop, chain):
    agent = shop.get("agent/get", agentid=shop.corp["agent_id"])
    assert agent["allow_partys"] == {"partyid": [1]} and agent["allow_userinfos"] == {"user": []}
    assert shop.get("agent/get", agentid=1)["errcode"] == 301002
    assert shop.get("agent/get")["errcode"] == 40056
    shop.hand("member_changes", userid="wutong", visible=False)
    agent = shop.get("agent/get", agentid=shop.corp["agent_id"])
    named = {row["userid"] for row in agent["allow_userinfos"]["user"]}
    visible = {m["userid"] for m in shop.control("members")["members"]}
    by_party = {
        m["userid"]
        for party in agent["allow_partys"]["partyid"]
        for m in shop.get("user/list", department_id=party, fetch_child=1)["userlist"]
    }
    assert "wutong" not in named | by_party and named | by_party == visible


def test_the_range_rules_directory_messages_and_customers(chain, running):
    stores = {d["name"]: d["id"] for d in chain.get("department/list")["department"]}
    store = stores["上海静安寺"]
    moved = chain.hand("console_range", departments=[store], userids=["wangyue"])
    agent = chain.get("agent/get", agentid=chain.corp["agent_id"])
    assert agent["allow_partys"]["partyid"] == [store]
    assert agent["allow_userinfos"]["user"] == [{"userid": "wangyue"}]
    assert [row["id"] for row in chain.get("department/list")["department"]] == [store]
    assert chain.get("department/simplelist", id=1)["errcode"] == 60011
    listed = {row["userid"] for row in chain.post("user/list_id")["dept_user"]}
    assert {"chenjing", "linxiaoya", "wangyue"} <= listed and not listed.intersection(moved["unsubscribed"])
    assert chain.get("user/get", userid=moved["unsubscribed"][0])["errcode"] == 60011
    body = {"toparty": "1", "msgtype": "text", "agentid": chain.corp["agent_id"], "text": {"content": "x"}}
    assert chain.post("message/send", body)["errcode"] == 81013
    outside = {"userid": "new", "departments": [1]}
    chain.hand("member_joins", **outside)
    assert "new" not in {row["userid"] for row in chain.post("user/list_id")["dept_user"]}


def test_members_entering_and_leaving_the_range_are_told_by_events(shop, receiver):
    everybody = [m["userid"] for m in shop.control("members")["members"]]
    shop.hand("console_range", userids=["wutong"])
    shop.hand("console_range", departments=[1])
    told = [(e.findtext("Event"), e.findtext("FromUserName")) for e in events_of(shop, receiver)]
    others = [userid for userid in everybody if userid != "wutong"]
    assert sorted(told) == sorted([(name, u) for name in ("subscribe", "unsubscribe") for u in others])


def test_entering_and_menu_clicks_are_events_of_the_member(shop, receiver):
    shop.hand("enter_agent", userid="wutong")
    shop.hand("click_menu", userid="wutong", key="today")
    shop.hand("click_menu", userid="hechen", url="https://x/today")
    names = ("Event", "FromUserName", "EventKey")
    told = [tuple(event.findtext(name) for name in names) for event in events_of(shop, receiver)]
    assert sorted(told) == [
        ("click", "wutong", "today"),
        ("enter_agent", "wutong", ""),
        ("view", "hechen", "https://x/today"),
    ]
    refused = shop.control("hands/click_menu", {"corp_id": shop.corp_id, "userid": "wutong"})
    assert not refused["ok"]
    shop.hand("member_changes", userid="wutong", visible=False)
    refused = shop.control("hands/enter_agent", {"corp_id": shop.corp_id, "userid": "wutong"})
    assert "可见范围" in refused["error"]


def test_another_client_library_reads_the_app_its_messages_and_tickets(shop):
    class Client(WeChatClient):
        API_BASE_URL = f"{shop.url}/cgi-bin/"

        def fetch_access_token(self):
            given = {"corpid": self.corp_id, "corpsecret": self.secret}
            return self._fetch_access_token(f"{shop.url}/cgi-bin/gettoken", given)

    client, agent_id = Client(shop.corp_id, shop.corp["secret"]), shop.corp["agent_id"]
    assert client.agent.get(agent_id)["allow_partys"]["partyid"] == [1]
    assert client.message.send_text_card(agent_id, ["wutong"], "t", "d", "https://x")["msgid"]
    assert client.message.send_text(agent_id, "wutong|ghost", "你好")["invaliduser"] == "ghost"
    assert client.jsapi.get_ticket()["ticket"] == client.jsapi.get_jsapi_ticket()
    assert client.jsapi.get_agent_ticket()["expires_in"] > 7000
