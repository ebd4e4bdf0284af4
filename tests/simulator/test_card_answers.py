"""The app answers a click on a card in its answer to the callback (passive reply), and pays members by their openid."""

import pytest

from simulator import crypto
from tests.simulator.test_platform_app import BUTTONS

RENAME = "<xml><MsgType><![CDATA[update_button]]></MsgType><Button><ReplaceName><![CDATA[已批准]]></ReplaceName></Button></xml>"


@pytest.fixture
def seal(shop):
    """seal(words) → the envelope of a passive reply; keyword arguments make it a wrong one."""

    def seal(words, *, token="", corp_id=""):
        encrypted = crypto.encrypt(shop.corp["encoding_aes_key"], words.encode(), corp_id or shop.corp_id)
        sign = crypto.signature(token or shop.corp["token"], "1409659813", "1372623149", encrypted)
        inner = f"<Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature><![CDATA[{sign}]]></MsgSignature>"
        return f"<xml>{inner}<TimeStamp>1409659813</TimeStamp><Nonce><![CDATA[1372623149]]></Nonce></xml>".encode()

    return seal


@pytest.fixture
def card(shop):
    """A card with buttons lies in the inboxes of wutong and hechen."""
    body = {"touser": "wutong|hechen", "msgtype": "template_card", "agentid": shop.corp["agent_id"]}
    assert shop.post("message/send", body | {"template_card": BUTTONS})["errcode"] == 0


def press(shop, key="ok", userid="wutong"):
    """(what the hand says, what became of the answer)."""
    done = shop.hand("click_card", userid=userid, key=key)
    shop.wait_quiet()
    row = shop.control("callbacks")["callbacks"][-1]
    assert row["state"] == "received"
    return done, row["reply"]


def updated(shop, userid):
    return shop.control(f"members/{userid}/inbox")["messages"][-1]["updated"]


def test_the_answer_to_a_click_renames_the_buttons_of_whoever_clicked(shop, receiver, seal, card):
    receiver.words = seal(RENAME)
    code, reply = press(shop)

    assert reply == "update_button" and updated(shop, "wutong") == {"button": {"replace_name": "已批准"}}
    assert not updated(shop, "hechen")
    again = shop.control("hands/click_card", {"corp_id": shop.corp_id, "userid": "wutong", "key": "ok"})
    assert again["error"] == "卡片按钮已失效"
    later = {"agentid": shop.corp["agent_id"], "userids": ["hechen"], "button": {"replace_name": "陈已批准"}}
    assert shop.post("message/update_template_card", later | code)["errcode"] == 0, "its code is still good"


def test_an_entry_of_the_menu_is_answered_in_the_same_way(shop, receiver, seal, card):
    receiver.words = seal(RENAME)
    assert press(shop, "mute")[1] == "update_button" and updated(shop, "wutong")


@pytest.mark.parametrize("words", [b"", b"success"])
def test_an_ordinary_answer_changes_no_card(shop, receiver, card, words):
    receiver.words = words
    assert press(shop)[1] == "" and not updated(shop, "wutong")


@pytest.mark.parametrize(
    ("words", "wrong", "why"),
    [
        (RENAME, {"token": "x" * 32}, "MsgSignature"),
        (RENAME, {"corp_id": "wwsomebodyelse"}, "receiver"),
        (RENAME.replace("update_button", "update_template_card"), {}, "update_template_card"),
        (RENAME.replace("已批准", " "), {}, "ReplaceName"),
        ("<xml><MsgType>", {}, "not followed"),
    ],
)
def test_an_answer_that_is_not_one_is_received_and_changes_nothing(shop, receiver, seal, card, words, wrong, why):
    receiver.words = seal(words, **wrong)
    _done, reply = press(shop)
    assert reply.startswith("not followed") and why in reply and not updated(shop, "wutong")


@pytest.mark.parametrize(
    "words",
    [
        b"no xml", b"<xml/>", "<xml><Encrypt>王</Encrypt></xml>".encode(), b"\xff\xfe", b"x" * 70_000,
        b'<?xml version="1.0" encoding="nobody"?><xml/>', b'<?xml version="1.0" encoding="gbk"?><xml/>',
    ],
)  # fmt: skip
def test_an_answer_that_is_no_envelope_changes_nothing(shop, receiver, card, words):
    receiver.words = words
    assert press(shop)[1].startswith("not followed") and not updated(shop, "wutong")


def test_an_answer_that_failed_is_not_followed(shop, receiver, seal, card):
    receiver.words, receiver.script = seal(RENAME), [500] * 4
    shop.control("switches", {"callback_retry_spacing": [0.0]})
    shop.hand("click_card", userid="wutong", key="ok")
    shop.wait_quiet()
    assert shop.control("callbacks")["callbacks"][-1]["state"] == "failed" and not updated(shop, "wutong")


def test_other_events_are_not_answered_with_cards(shop, receiver, seal, card):
    receiver.words = seal(RENAME)
    shop.hand("enter_agent", userid="wutong")
    shop.wait_quiet()
    assert shop.control("callbacks")["callbacks"][-1]["reply"] == "" and not updated(shop, "wutong")


# -- openid of members -------------------------------------------------------------------------------------------------


def test_a_member_in_range_has_an_openid_of_her_own(shop):
    one = shop.post("user/convert_to_openid", {"userid": "wutong"})["openid"]
    assert shop.post("user/convert_to_openid", {"userid": "WuTong"})["openid"] == one
    assert shop.post("user/convert_to_openid", {"userid": "hechen"})["openid"] != one and len(one) == 28


def test_an_openid_is_refused_in_the_order_of_wecom(shop):
    def code(**body):
        return shop.post("user/convert_to_openid", body)["errcode"]

    assert code() == 41009 and code(userid="ghost") == 60111
    shop.hand("member_account", userid="wutong", wechat=False)
    assert code(userid="wutong") == 43004
    shop.hand("member_changes", userid="wutong", visible=False)
    assert code(userid="wutong") == 60011
    body = {"kind": "app", "withdrawn": ["user/convert_to_openid"]}
    shop.control(f"corps/{shop.corp_id}/permissions", body)
    assert code() == 48002
    shop.hand("member_leaves", userid="hechen")
    shop.control(f"corps/{shop.corp_id}/permissions", body | {"withdrawn": []})
    assert code(userid="hechen") == 60111
