"""Hand-overs: begun by a call, completed a day later unless the customer refuses, and told by events."""

import pytest
import requests

from simulator.state import StateFile
from simulator.threaded import ThreadedSimulator

DAY = 86_400


def friends(client, userid, count=None):
    return client.get("externalcontact/list", userid=userid)["external_userid"][:count]


def asked(client, path, **body):
    return client.post(f"externalcontact/{path}", body)


def transfer(client, people, handover="wutong", takeover="hechen", path="transfer_customer", **more):
    named = {"handover_userid": handover, "takeover_userid": takeover, "external_userid": list(people)}
    answer = asked(client, path, **named | more)
    return [row["errcode"] for row in answer["customer"]] if answer["errcode"] == 0 else answer["errcode"]


def outcome(client, handover="wutong", takeover="hechen", path="transfer_result"):
    rows = asked(client, path, handover_userid=handover, takeover_userid=takeover)["customer"]
    return {row["external_userid"]: row["status"] for row in rows}


def later(client, days=1.0):
    client.control("clock", {"advance": int(days * DAY) + 5})


def events(client):
    rows = client.control("callbacks", corp_id=client.corp_id)["callbacks"]
    return [row["event"] for row in rows]


def only(client, people, takeover="hechen"):
    """People of wutong's who are not the successor's friends."""
    known = set(friends(client, takeover))
    return [one for one in people if one not in known]


def test_a_customer_goes_over_a_day_later_with_notes_and_tags(shop, receiver):
    (one,) = only(shop, friends(shop, "wutong", 5))[:1]
    shop.hand("edit_notes", userid="wutong", external_userid=one, remark="老客")
    shop.hand("tag", userid="wutong", external_userid=one, add=["无糖"])
    assert transfer(shop, [one], transfer_success_msg="由何晨为您服务") == [0]
    now = shop.control("clock")["now"]
    row = asked(shop, "transfer_result", handover_userid="wutong", takeover_userid="hechen")["customer"][0]
    assert row["status"] == 2 and abs(row["takeover_time"] - now - DAY) < 60
    assert one in friends(shop, "wutong") and transfer(shop, [one]) == [40129]
    later(shop)
    shop.wait_quiet()
    assert outcome(shop) == {one: 1}
    assert one not in friends(shop, "wutong") and one in friends(shop, "hechen")
    follows = shop.get("externalcontact/get", external_userid=one)["follow_user"]
    (new,) = [follow for follow in follows if follow["userid"] == "hechen"]
    assert (new["remark"], new["add_way"]) == ("老客", 202)
    assert "无糖" in [tag["tag_name"] for tag in new["tags"]]
    (message,) = shop.control(f"customers/{one}/inbox")["messages"]
    assert (message["kind"], message["content"]["text"]["content"]) == ("transfer", "由何晨为您服务")
    told = [(e["ChangeType"], e["UserID"], e.get("Source")) for e in events(shop) if e.get("ExternalUserID") == one]
    assert told[-2:] == [
        ("del_external_contact", "wutong", "DELETE_BY_TRANSFER"),
        ("add_external_contact", "hechen", None),
    ]
    assert "WelcomeCode" not in events(shop)[-1]


def test_a_customer_may_refuse(shop, receiver):
    (one,) = only(shop, friends(shop, "wutong", 5))[:1]
    transfer(shop, [one])
    shop.hand("refuse_transfer", external_userid=one)
    later(shop)
    shop.wait_quiet()
    assert outcome(shop) == {one: 3} and one in friends(shop, "wutong")
    last = events(shop)[-1]
    assert (last["ChangeType"], last["FailReason"], last["UserID"]) == ("transfer_fail", "customer_refused", "hechen")
    assert transfer(shop, [one]) == [0]


def test_a_full_successor_refuses_at_once_or_when_the_day_is_over(shop, receiver):
    first, second = only(shop, friends(shop, "wutong", 9))[:2]
    have = len(friends(shop, "hechen"))
    shop.control("switches", {"transfer_customers_most": have + 1})
    assert transfer(shop, [first, second]) == [0, 0]
    shop.hand("add", userid="hechen")
    assert transfer(shop, [only(shop, friends(shop, "wutong", 20))[5]]) == [40099]
    later(shop)
    shop.wait_quiet()
    assert outcome(shop) == {first: 4, second: 4}
    assert {e["FailReason"] for e in events(shop) if e.get("ChangeType") == "transfer_fail"} == {
        "customer_limit_exceed"
    }


def test_no_new_friend_is_told_of_a_friend_or_of_one_who_comes_back(shop, receiver):
    (one, other) = only(shop, friends(shop, "wutong", 9))[:2]
    shop.hand("add", userid="hechen", external_userid=other)
    transfer(shop, [one, other])
    later(shop)
    transfer(shop, [one], handover="hechen", takeover="wutong")
    later(shop)
    shop.wait_quiet()
    adds = [e for e in events(shop) if e["ChangeType"] == "add_external_contact" and "WelcomeCode" not in e]
    assert [(e["UserID"], e["ExternalUserID"]) for e in adds] == [("hechen", one)]
    assert one in friends(shop, "wutong") and other in friends(shop, "hechen")


def test_each_customer_has_a_code_of_her_own(shop):
    good, half = only(shop, friends(shop, "wutong", 5))[0], shop.hand("add", userid="wutong", half=True)
    stranger = shop.hand("add", userid="songjiayi")["external_userid"]
    people = ["wmNone", stranger, half["external_userid"], good]
    assert transfer(shop, people) == [40096, 40131, 84061, 0]
    assert transfer(shop, [good], takeover="wutong") == [40130]
    assert transfer(shop, [good], takeover="songjiayi") == [40129]
    assert transfer(shop, [good], path="resigned/transfer_customer") == [40097]
    shop.hand("member_account", userid="hechen", banned=True)
    assert transfer(shop, [stranger, half["external_userid"]]) == [40131, 84061]


def test_another_followers_hand_over_stands_in_the_way(shop):
    both = shop.hand("add", userid="wutong")["external_userid"]
    shop.hand("add", userid="songjiayi", external_userid=both)
    assert transfer(shop, [both]) == [0]
    assert transfer(shop, [both], handover="songjiayi") == [40100]


def test_nobody_is_handed_over_three_times_in_ninety_days(shop):
    one = shop.hand("add", userid="wutong")["external_userid"]
    for pair in (("wutong", "hechen"), ("hechen", "songjiayi")):
        assert transfer(shop, [one], *pair) == [0]
        later(shop)
    assert transfer(shop, [one], "songjiayi", "wutong") == [40128]
    later(shop, 89)
    assert transfer(shop, [one], "songjiayi", "wutong") == [0]


def test_members_must_be_fit_for_it(shop):
    (one,) = only(shop, friends(shop, "wutong", 5))[:1]
    now = shop.control("clock")["now"]
    for account, code in (
        ({"banned": True}, 40143),
        ({"verified": False}, 40098),
        ({"last_login": now - 400 * DAY}, 40205),
    ):
        shop.hand("member_account", userid="hechen", **account)
        assert transfer(shop, [one]) == [code]
        shop.hand("member_account", userid="hechen", banned=False, verified=True, last_login=None)
    shop.hand("member_account", userid="wutong", last_login=now - 400 * DAY)
    assert transfer(shop, [one]) == [40205]
    shop.control("switches", {"transfer_login_rule": False})
    assert transfer(shop, [one]) == [0]
    assert transfer(shop, [one], takeover="nobody") == 40003
    shop.hand("member_changes", userid="songjiayi", contact=False)
    assert transfer(shop, [one], takeover="songjiayi") == 84074
    shop.hand("member_changes", userid="hechen", status=4)
    assert transfer(shop, [one]) == 41054


@pytest.mark.parametrize(("body", "code"), [
    ({"takeover_userid": "hechen", "external_userid": ["x"]}, 41009),
    ({"handover_userid": "wutong", "takeover_userid": "hechen"}, 41035),
    ({"handover_userid": "wutong", "takeover_userid": "hechen", "external_userid": ["x"] * 101}, 40058),
    ({"handover_userid": "wutong", "takeover_userid": "hechen", "external_userid": ["x"], "transfer_success_msg": "长" * 201}, 40058),
])  # fmt: skip
def test_a_wrong_form_is_refused_whole(shop, body, code):
    assert asked(shop, "transfer_customer", **body)["errcode"] == code


def test_nothing_comes_of_it_when_the_relation_ends_meanwhile(shop):
    one, two = only(shop, friends(shop, "wutong", 9))[:2]
    transfer(shop, [one, two])
    shop.hand("guide_deletes", userid="wutong", external_userid=one)
    later(shop)
    assert outcome(shop) == {one: 5, two: 1}


def test_customers_of_who_left_wait_for_a_successor(shop):
    people = friends(shop, "songjiayi")
    shop.hand("member_leaves", userid="songjiayi")
    left_at = shop.control("clock")["now"]
    first = asked(shop, "get_unassigned_list", page_size=100)
    assert len(first["info"]) == 100 and first["is_last"] is False
    assert abs(first["info"][0]["dimission_time"] - left_at) < 60
    rest = asked(shop, "get_unassigned_list", page_size=100, cursor=first["next_cursor"])
    by_number = asked(shop, "get_unassigned_list", page_size=100, page_id=1)
    assert rest["info"] == by_number["info"] and rest["is_last"] is True
    assert {row["external_userid"] for row in first["info"] + rest["info"]} == set(people)
    assert asked(shop, "get_unassigned_list", page_id=50, page_size=1000)["errcode"] == 40058
    one, two = only(shop, people)[:2]
    assert transfer(shop, [one], "songjiayi", "hechen") == 40003
    assert transfer(shop, [one, two], "songjiayi", "hechen", "resigned/transfer_customer") == [0, 0]
    shop.hand("refuse_transfer", external_userid=two)
    waiting = {row["external_userid"] for row in asked(shop, "get_unassigned_list")["info"]}
    assert one not in waiting and two in waiting
    later(shop)
    assert outcome(shop, "songjiayi", "hechen", "resigned/transfer_result") == {one: 1, two: 3}
    assert outcome(shop, "songjiayi", "hechen") == {}
    assert one in friends(shop, "hechen")


def test_a_year_after_leaving_it_is_too_late(shop):
    (one,) = only(shop, friends(shop, "songjiayi", 9))[:1]
    shop.hand("member_leaves", userid="songjiayi")
    later(shop, 366)
    assert transfer(shop, [one], "songjiayi", "hechen", "resigned/transfer_customer") == [40205]


def groups(client, owner):
    return [row["chat_id"] for row in client.control("groups", owner=owner)["groups"]]


def hand_groups(client, chats, owner="hechen", path="groupchat/transfer"):
    answer = asked(client, path, chat_id_list=chats, new_owner=owner)
    return (
        {row["chat_id"]: row["errcode"] for row in answer["failed_chat_list"]}
        if answer["errcode"] == 0
        else answer["errcode"]
    )


def owner_of(client, chat_id):
    return asked(client, "groupchat/get", chat_id=chat_id)["group_chat"]["owner"]


def test_groups_of_who_left_go_to_a_new_owner(shop, receiver):
    (chat,) = groups(shop, "wutong")
    assert hand_groups(shop, [chat]) == {chat: 90500}
    shop.hand("member_leaves", userid="wutong")
    assert hand_groups(shop, [chat, "wrNone"]) == {"wrNone": 90501}
    assert owner_of(shop, chat) == "hechen"
    shop.wait_quiet()
    assert events(shop)[-1] == {
        "Event": "change_external_chat",
        "ChatId": chat,
        "ChangeType": "update",
        "UpdateDetail": "change_owner",
    }
    assert hand_groups(shop, [chat]) == {chat: 90504}
    assert hand_groups(shop, [chat], "songjiayi") == {chat: 90508}
    found = asked(shop, "groupchat/list", limit=10, status_filter=3)["group_chat_list"]
    assert found == [{"chat_id": chat, "status": 3}]


def test_inheriting_may_take_its_time(shop):
    shop.control("switches", {"group_transfer_seconds": 3600})
    (chat,) = groups(shop, "wutong")
    shop.hand("member_leaves", userid="wutong")
    assert hand_groups(shop, [chat]) == {}
    assert owner_of(shop, chat) == "wutong" and hand_groups(shop, [chat]) == {chat: 90507}
    assert asked(shop, "groupchat/list", limit=10, status_filter=2)["group_chat_list"][0]["chat_id"] == chat
    assert shop.control("quiet")["next_due"] is not None
    later(shop)
    assert owner_of(shop, chat) == "hechen"


def test_groups_of_owners_at_work_change_hands_twice_at_most(shop):
    one, two = groups(shop, "fangxiaoman")
    work = "groupchat/onjob_transfer"
    assert hand_groups(shop, [one], path=work) == {} and owner_of(shop, one) == "hechen"
    assert hand_groups(shop, [one], "songjiayi", work) == {}
    assert hand_groups(shop, [one], "wutong", work) == {one: 40128}
    shop.hand("group_dismiss", chat_id=two)
    assert hand_groups(shop, [two], path=work) == {two: 49008}
    shop.hand("member_leaves", userid="songjiayi")
    assert hand_groups(shop, [one], "wutong", work) == {one: 90502}
    assert asked(shop, work, chat_id_list=[], new_owner="hechen")["errcode"] == 40058
    assert hand_groups(shop, [one] * 101, path=work) == 40058


def test_a_full_group_and_a_full_day_are_refused(shop):
    one, two = groups(shop, "fangxiaoman")
    work = "groupchat/onjob_transfer"
    size = len(asked(shop, "groupchat/get", chat_id=one)["group_chat"]["member_list"])
    outsider = shop.hand("member_joins", userid="newcomer", name="新人", departments=[2])["userid"]
    shop.control("switches", {"group_transfer_full_at": size})
    assert hand_groups(shop, [one], outsider, work)[one] == 90503
    shop.control("switches", {"group_transfer_full_at": 500, "group_transfers_per_day": 1})
    assert hand_groups(shop, [one, two], outsider, work) == {two: 45009}
    assert outsider in [m["userid"] for m in asked(shop, "groupchat/get", chat_id=one)["group_chat"]["member_list"]]


def hand(running, act, **body):
    return requests.post(f"{running.url}/control/hands/{act}", json=body).json()


def test_a_hand_over_under_way_survives_a_restart(tmp_path):
    file = StateFile(tmp_path / "world", ("transfers",))

    def call(running, path, **body):
        corp = requests.get(f"{running.url}/control/corps").json()["corps"][0]
        secret = {"corpid": corp["corp_id"], "corpsecret": corp["secret"]}
        token = requests.get(f"{running.url}/cgi-bin/gettoken", params=secret).json()["access_token"]
        return requests.post(
            f"{running.url}/cgi-bin/externalcontact/{path}", json=body, params={"access_token": token}
        ).json()

    pair = {"handover_userid": "wutong", "takeover_userid": "hechen"}
    with ThreadedSimulator(["shop"], start=1774000000, state=file) as running:
        one = hand(running, "add", userid="wutong")["external_userid"]
        assert call(running, "transfer_customer", external_userid=[one], **pair)["customer"][0]["errcode"] == 0
    with ThreadedSimulator(["shop"], start=1774000000, state=file) as again:
        assert call(again, "transfer_result", **pair)["customer"][0]["status"] == 2
        requests.post(f"{again.url}/control/clock", json={"advance": DAY + 5})
        assert call(again, "transfer_result", **pair)["customer"][0]["status"] == 1
        requests.post(f"{again.url}/control/reset", json={})
        assert call(again, "transfer_result", **pair)["customer"] == []
