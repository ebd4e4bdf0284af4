import time
from xml.etree import ElementTree

import pytest
from wechatpy.work import parse_message
from wechatpy.work.crypto import WeChatCrypto


def plain_of(receiver, request):
    query, _, body = request
    crypto = WeChatCrypto(receiver.corp["token"], receiver.corp["encoding_aes_key"], receiver.corp["corp_id"])
    return crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])


def fields(receiver, position=-1):
    root = ElementTree.fromstring(plain_of(receiver, receiver.requests[position]))
    return {child.tag: [item.text for item in child] or child.text for child in root}


def test_another_library_decrypts_an_added_customer(shop, receiver):
    added = shop.hand("add", userid="wutong", state="flyer")
    shop.wait_quiet()
    event = parse_message(plain_of(receiver, receiver.requests[-1]))
    assert (event.event, event.change_type) == ("change_external_contact", "add_external_contact")
    assert (event.user_id, event.external_user_id) == ("wutong", added["external_userid"])
    assert (event.state, event.welcome_code) == ("flyer", added["welcome_code"])
    outer = ElementTree.fromstring(receiver.requests[-1][2])
    assert outer.find("ToUserName").text == shop.corp_id
    assert outer.find("AgentID").text == str(shop.corp["agent_id"])


def test_elements_that_do_not_apply_are_left_out(shop, receiver):
    added = shop.hand("add", userid="wutong", wecom_user=True)
    shop.wait_quiet()
    assert list(fields(receiver)) == [
        "ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "ChangeType", "UserID", "ExternalUserID",
    ]  # fmt: skip
    assert added["external_userid"].startswith("wo")
    assert added["welcome_code"] == ""


def test_each_act_has_its_event(shop, receiver):
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    who = {"userid": "wutong", "external_userid": friend}
    shop.hand("edit_notes", **who, remark="新名字")
    shop.hand("edit_notes", **who, remark_mobiles=["13800000002"])
    shop.hand("tag", **who, add=["爱吃甜"])
    shop.hand("customer_deletes", **who)
    shop.hand("guide_deletes", **who)
    half = shop.hand("add", userid="wutong", half=True)["external_userid"]
    shop.hand("confirm_half", userid="wutong", external_userid=half)
    shop.hand("member_joins", userid="xinren", name="新人", departments=[2])
    shop.hand("member_changes", userid="xinren", name="新人二")
    shop.hand("member_leaves", userid="xinren")
    shop.hand("console_tags", group="新组", names=["甲", "乙"])
    shop.wait_quiet()
    seen = [c["event"] for c in shop.control("callbacks")["callbacks"]]
    assert [e["ChangeType"] for e in seen] == [
        "edit_external_contact", "edit_external_contact", "del_follow_user", "del_external_contact",
        "add_half_external_contact", "add_external_contact", "create_user", "update_user", "delete_user",
        "create", "create", "create",
    ]  # fmt: skip
    assert len(receiver.requests) == len(seen)
    assert [e.get("TagType") for e in seen[-3:]] == ["tag_group", "tag", "tag"]
    assert seen[7] == {"Event": "change_contact", "ChangeType": "update_user", "UserID": "xinren", "Name": "新人二"}


def test_group_changes_carry_members_and_a_chain_of_versions(shop, receiver):
    one, two, three = shop.get("externalcontact/list", userid="wutong")["external_userid"][:3]
    chat_id = shop.hand("group_create", owner="wutong", name="新群", members=[one])["chat_id"]
    shop.hand("group_join", chat_id=chat_id, members=[two, three], scene=3, state="grp")
    shop.hand("group_leave", chat_id=chat_id, members=[two])
    shop.hand("group_change", chat_id=chat_id, name="改名")
    shop.hand("group_dismiss", chat_id=chat_id)
    shop.wait_quiet()
    create, join, leave, rename, dismiss = [c["event"] for c in shop.control("callbacks")["callbacks"]]
    assert create == {"Event": "change_external_chat", "ChatId": chat_id, "ChangeType": "create"}
    assert (join["UpdateDetail"], join["JoinScene"], join["MemChangeCnt"]) == ("add_member", 3, 2)
    assert join["MemChangeList"] == [two, three]
    assert (leave["UpdateDetail"], leave["QuitScene"], leave["MemChangeList"]) == ("del_member", 0, [two])
    assert join["CurMemVer"] == leave["LastMemVer"] != leave["CurMemVer"]
    assert rename == {
        "Event": "change_external_chat",
        "ChatId": chat_id,
        "ChangeType": "update",
        "UpdateDetail": "change_name",
    }
    assert dismiss["ChangeType"] == "dismiss"
    sent = [plain_of(receiver, r) for r in receiver.requests]
    assert any(f"<MemChangeList><Item><![CDATA[{two}]]></Item>" in str(s) for s in sent)


def test_calls_of_the_api_cause_no_event_unless_switched_on(shop, receiver):
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    remark = {"userid": "wutong", "external_userid": friend, "remark": "改"}
    shop.post("externalcontact/remark", remark)
    shop.post("externalcontact/add_corp_tag", {"group_name": "甲组", "tag": [{"name": "甲"}]})
    assert shop.control("callbacks")["callbacks"] == []
    shop.control("switches", {"callbacks_on_api_writes": True})
    shop.post("externalcontact/remark", remark)
    shop.wait_quiet()
    assert [c["event"]["ChangeType"] for c in shop.control("callbacks")["callbacks"]] == ["edit_external_contact"]


def test_a_refused_event_is_retried_with_the_same_words_and_a_fresh_envelope(shop, receiver):
    shop.control("switches", {"callback_retry_spacing": [0.01]})
    receiver.script = [500, 202]
    shop.hand("add", userid="wutong")
    shop.wait_quiet()
    (row,) = shop.control("callbacks")["callbacks"]
    assert (row["attempts"], row["state"]) == ([500, 202, 200], "received")
    assert len({plain_of(receiver, r) for r in receiver.requests}) == 1
    assert len({r[2] for r in receiver.requests}) == 3


def test_after_three_retries_it_gives_up(shop, receiver):
    shop.control("switches", {"callback_retry_spacing": [0.01]})
    receiver.script = [500] * 9
    shop.hand("add", userid="wutong")
    shop.wait_quiet()
    (row,) = shop.control("callbacks")["callbacks"]
    assert (row["attempts"], row["state"]) == ([500] * 4, "failed")


def test_a_slow_answer_counts_as_none(shop, receiver):
    shop.control("switches", {"callback_retry_spacing": [0.0], "callback_timeout": 0.1, "callback_retries": 1})
    receiver.delay = 0.4
    shop.hand("add", userid="wutong")
    shop.wait_quiet()
    (row,) = shop.control("callbacks")["callbacks"]
    assert row["state"] == "failed"
    assert all("Timeout" in attempt for attempt in row["attempts"])
    time.sleep(0.5)  # let the receiver finish before it is closed


def test_events_are_lost_or_doubled_by_switch(shop, receiver):
    shop.control("switches", {"callback_drop": 1.0})
    shop.hand("add", userid="wutong")
    shop.control("switches", {"callback_drop": 0.0, "callback_double": 1.0})
    shop.hand("add", userid="wutong")
    shop.wait_quiet()
    assert [c["state"] for c in shop.control("callbacks")["callbacks"]] == ["dropped", "received"]
    assert len(receiver.requests) == 2
    assert plain_of(receiver, receiver.requests[0]) == plain_of(receiver, receiver.requests[1])


def test_an_address_that_fails_the_verification_is_not_saved(shop, receiver):
    wrong = {"url": f"http://127.0.0.1:{receiver.port}/cb", "token": "another"}
    assert shop.control(f"corps/{shop.corp_id}/callback", wrong)["ok"] is False
    assert shop.control("corps")["corps"][1]["token"] == shop.corp["token"]


def test_an_address_is_reached_through_connect_with_its_own_host(shop, receiver):
    config = {"url": "https://scrm.example.test/wecom/cb/abc?x=1", "connect": f"127.0.0.1:{receiver.port}"}
    assert shop.control(f"corps/{shop.corp_id}/callback", config)["ok"]
    shop.hand("add", userid="wutong")
    shop.wait_quiet()
    query, headers, _ = receiver.requests[-1]
    assert headers["Host"] == "scrm.example.test"
    assert query["x"] == "1"


def test_a_thousand_customers_at_once_all_arrive(shop, receiver):
    made = shop.hand("add", count=1000, state="rush")
    shop.wait_quiet(30)
    assert made["count"] == len(set(made["external_userids"])) == 1000
    assert len(receiver.requests) == 1000
    assert all(c["state"] == "received" for c in shop.control("callbacks", limit=2000)["callbacks"])


def greet(shop, code, **more):
    return shop.post("externalcontact/send_welcome_msg", {"welcome_code": code, "text": {"content": "您好"}} | more)[
        "errcode"
    ]


def test_a_welcome_code_serves_once(shop):
    added = shop.hand("add", userid="wutong")
    assert greet(shop, "") == 41049
    assert greet(shop, "nonsense") == 41050
    assert greet(shop, added["welcome_code"]) == 0
    assert greet(shop, added["welcome_code"]) == 41051
    (message,) = shop.control(f"customers/{added['external_userid']}/inbox")["messages"]
    assert (message["kind"], message["content"]["text"]["content"]) == ("welcome", "您好")


def test_a_welcome_is_too_late_after_a_chat_began(shop):
    added = shop.hand("add", userid="wutong")
    shop.hand("chat", userid="wutong", external_userid=added["external_userid"])
    assert greet(shop, added["welcome_code"]) == 41051


def test_a_welcome_is_too_late_after_twenty_seconds_of_wall_time(running, shop):
    added = shop.hand("add", userid="wutong")
    shop.control("clock", {"advance": 3600})
    code = running.sim.corps[shop.corp_id].welcomes.find(added["welcome_code"])
    assert 19 < code.expires - time.time() <= 20
    code.expires = time.time() - 0.01
    assert greet(shop, added["welcome_code"]) == 41050


def test_the_twenty_seconds_begin_with_the_first_delivery(running, shop, receiver):
    shop.control("switches", {"callback_retry_spacing": [0.3]})
    receiver.script = [500]
    began = time.time()
    added = shop.hand("add", userid="wutong")
    shop.wait_quiet()
    code = running.sim.corps[shop.corp_id].welcomes.find(added["welcome_code"])
    assert code.sent_out
    assert code.expires < began + 20.3


def test_a_friend_who_scans_again_causes_nothing(shop, receiver):
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    again = shop.hand("add", userid="wutong", external_userid=friend, state="other")
    shop.wait_quiet()
    assert again["already_friends"]
    assert receiver.requests == []
    shop.hand("customer_deletes", userid="wutong", external_userid=friend)
    assert shop.hand("add", userid="wutong", external_userid=friend, state="other")["welcome_code"]


@pytest.mark.parametrize("act", ["add", "confirm", "guide_deletes"])
def test_an_impossible_act_says_why(shop, act):
    body = {"corp_id": shop.corp_id, "userid": "nobody", "msgid": "x", "external_userid": "wmx"}
    answer = shop.control(f"hands/{act}", body)
    assert answer["ok"] is False
    assert answer["error"]


def test_a_failing_event_holds_up_nobody(shop, receiver):
    shop.control("switches", {"callback_retry_spacing": [1.5], "callback_workers": 1})
    receiver.script = [500]
    shop.hand("add", userid="wutong", state="first")
    shop.hand("add", userid="wutong", state="second")
    shop.wait_quiet()
    first, second = shop.control("callbacks")["callbacks"]
    assert (first["attempts"], second["attempts"]) == ([500, 200], [200])
    assert second["finished"] < first["finished"] - 1


def test_an_event_can_be_pushed_again_word_for_word(shop, receiver):
    shop.hand("add", userid="wutong")
    shop.wait_quiet()
    serial = shop.control("callbacks")["callbacks"][0]["serial"]
    assert shop.control(f"callbacks/{serial}/resend", {})["ok"]
    assert shop.control("callbacks/0/resend", {})["ok"] is False
    shop.wait_quiet()
    assert plain_of(receiver, receiver.requests[0]) == plain_of(receiver, receiver.requests[1])
