"""Contact ways: what the API accepts, whom a code leads to, and temporary sessions."""

import pytest
import requests

DAY = 86_400
EC = "externalcontact"


@pytest.fixture
def guides(shop):
    return shop.get(f"{EC}/get_follow_user_list")["follow_user"]


def add(shop, **given):
    return shop.post(f"{EC}/add_contact_way", {"type": 2, "scene": 2} | given)


def get(shop, config_id):
    return shop.post(f"{EC}/get_contact_way", {"config_id": config_id})["contact_way"]


def listed(shop, **given):
    return [row["config_id"] for row in shop.post(f"{EC}/list_contact_way", given)["contact_way"]]


def events(shop, name="change_external_contact"):
    shop.wait_quiet()
    return [row["event"] for row in shop.control("callbacks")["callbacks"] if row["event"]["Event"] == name]


def follow(shop, external_userid, userid):
    rows = shop.get(f"{EC}/get", external_userid=external_userid)["follow_user"]
    return next(row for row in rows if row["userid"] == userid)


def scan(shop, **given):
    return shop.hand("scan", **given)


def refused(shop, **given):
    return shop.control("hands/scan", {"corp_id": shop.corp_id} | given)["error"]


# -- what the API accepts ------------------------------------------------------------------------------------------


def test_a_way_reads_back_as_it_was_made(shop, guides):
    made = add(shop, user=guides[:2], state="counter", remark="柜台", skip_verify=False, mark_source=False)
    way = get(shop, made["config_id"])
    assert way["user"] == guides[:2]
    assert (way["type"], way["scene"], way["state"], way["remark"]) == (2, 2, "counter", "柜台")
    assert (way["skip_verify"], way["mark_source"], way["party"]) == (False, False, [])
    assert way["qr_code"] == made["qr_code"]
    assert "is_exclusive" not in way and "expires_in" not in way


@pytest.mark.parametrize(
    ("given", "errcode"),
    [
        ({"type": None}, 41037),
        ({"scene": None}, 41038),
        ({"type": None, "scene": None}, 41037),
        ({"type": 3}, 41039),
        ({"scene": 0}, 41040),
        ({"scene": 1, "style": 9}, 41042),
        ({"type": 3, "user": ["nobody"]}, 41039),
        ({"user": []}, 40035),
        ({"type": 1, "party": [1]}, 40035),
        ({"type": 1, "user": ["wutong", "hechen"]}, 41041),
        ({"user": ["nobody"]}, 40003),
        ({"user": ["wutong"], "party": [404]}, 60003),
        ({"user": ["wutong"], "remark": "长" * 31}, 40058),
        ({"user": ["wutong"], "state": "s" * 31}, 40058),
        ({"user": "wutong"}, 40058),
        ({"user": ["wutong"], "skip_verify": "yes"}, 40058),
    ],
)
def test_a_wrong_way_is_refused_with_the_code_of_its_fault(shop, given, errcode):
    assert add(shop, **given)["errcode"] == errcode
    assert listed(shop) == []


def test_lengths_are_counted_in_characters(shop, guides):
    assert add(shop, user=guides[:1], remark="长" * 30, state="渠" * 30)["errcode"] == 0


def test_members_are_judged_one_rule_after_the_other(shop, guides):
    who = guides[0]
    for change, errcode in (
        ({"contact": False}, 84083),
        ({"verified": False}, 40098),
        ({"status": 4}, 41054),
        ({"visible": False}, 60011),
    ):
        shop.hand("member_changes", userid=who, **change)
        assert add(shop, user=[who])["errcode"] == errcode
    shop.hand("member_leaves", userid=who)
    assert add(shop, user=[who])["errcode"] == 40003


def test_a_code_takes_a_hundred_members_departments_included(chain):
    servants = chain.get(f"{EC}/get_follow_user_list")["follow_user"]
    assert len(servants) > 100
    assert chain.post(f"{EC}/add_contact_way", {"type": 2, "scene": 2, "user": servants[:100]})["errcode"] == 0
    assert chain.post(f"{EC}/add_contact_way", {"type": 2, "scene": 2, "user": servants[:101]})["errcode"] == 41041
    assert chain.post(f"{EC}/add_contact_way", {"type": 2, "scene": 2, "party": [1]})["errcode"] == 41041


def test_only_a_qr_way_has_a_qr_code(shop, guides):
    made = add(shop, scene=1, style=1, user=guides[:1])
    assert "qr_code" not in made
    assert "qr_code" not in get(shop, made["config_id"])
    assert get(shop, made["config_id"])["style"] == 1


def test_a_missing_and_an_unknown_config_id_are_told_apart(shop):
    for path in ("get_contact_way", "update_contact_way", "del_contact_way"):
        assert shop.post(f"{EC}/{path}")["errcode"] == 41043
        assert shop.post(f"{EC}/{path}", {"config_id": "0" * 32})["errcode"] == 41044


def test_an_update_overwrites_members_and_leaves_what_is_fixed(shop, guides):
    config_id = add(shop, user=guides[:2], state="a", remark="old")["config_id"]
    body = {"config_id": config_id, "user": guides[2:3], "state": "b", "type": 1, "scene": 1, "is_temp": True}
    assert shop.post(f"{EC}/update_contact_way", body)["errcode"] == 0
    way = get(shop, config_id)
    assert (way["user"], way["state"], way["remark"]) == (guides[2:3], "b", "old")
    assert (way["type"], way["scene"], way["is_temp"]) == (2, 2, False)
    assert shop.post(f"{EC}/update_contact_way", {"config_id": config_id, "user": []})["errcode"] == 40035
    assert shop.post(f"{EC}/update_contact_way", {"config_id": config_id, "user": ["x"]})["errcode"] == 40003
    assert get(shop, config_id)["user"] == guides[2:3]


def test_a_deleted_way_is_gone_from_everywhere(shop, guides):
    made = add(shop, user=guides)
    assert shop.post(f"{EC}/del_contact_way", {"config_id": made["config_id"]})["errcode"] == 0
    assert listed(shop) == []
    assert requests.get(made["qr_code"]).status_code == 404
    assert refused(shop, url=made["qr_code"]) == "二维码或链接已失效"
    assert refused(shop, config_id=made["config_id"]) == "二维码已失效"


def test_the_list_covers_the_last_ninety_days_page_by_page(shop, guides):
    old = add(shop, user=guides)["config_id"]
    shop.control("clock", {"advance": 91 * DAY})
    new = [add(shop, user=guides)["config_id"] for _n in range(5)]
    assert listed(shop) == new
    now = shop.control("clock")["now"]
    window = {"start_time": now - 100 * DAY, "end_time": now + 5}
    assert listed(shop, **window) == [old, *new]
    assert listed(shop, start_time=now - 100 * DAY, end_time=now - 90 * DAY) == [old]
    found, cursor = [], ""
    while True:
        answer = shop.post(f"{EC}/list_contact_way", window | {"limit": 4, "cursor": cursor})
        found += [row["config_id"] for row in answer["contact_way"]]
        cursor = answer.get("next_cursor")
        if not cursor:
            break
        other = {"start_time": now - 99 * DAY, "cursor": cursor}
        assert shop.post(f"{EC}/list_contact_way", other)["errcode"] == 50100
    assert found == [old, *new]
    assert shop.post(f"{EC}/list_contact_way", {"limit": 1001})["errcode"] == 40058
    assert shop.post(f"{EC}/list_contact_way", {"start_time": 9, "end_time": 8})["errcode"] == 40058


def test_permanent_ways_and_join_ways_share_one_limit(shop, guides):
    shop.control("switches", {"contact_ways_most": 2})
    group = shop.control("groups")["groups"][0]["chat_id"]
    assert add(shop, user=guides)["errcode"] == 0
    assert shop.post(f"{EC}/groupchat/add_join_way", {"scene": 2, "chat_id_list": [group]})["errcode"] == 0
    assert add(shop, user=guides)["errcode"] == 41045
    assert shop.post(f"{EC}/groupchat/add_join_way", {"scene": 2, "chat_id_list": [group]})["errcode"] == 41045


# -- scanning ------------------------------------------------------------------------------------------------------


def test_a_scan_adds_one_of_the_members_with_the_state(shop, guides):
    made = add(shop, user=guides, state="counter")
    done = scan(shop, url=made["qr_code"], name="新客")
    row = follow(shop, done["external_userid"], done["userid"])
    assert done["userid"] in guides
    assert (row["add_way"], row["state"]) == (1, "counter")
    (event,) = events(shop)
    assert event == {
        "Event": "change_external_contact",
        "ChangeType": "add_external_contact",
        "UserID": done["userid"],
        "ExternalUserID": done["external_userid"],
        "State": "counter",
        "WelcomeCode": done["welcome_code"],
    }


def test_the_welcome_code_of_a_scan_greets(shop, guides):
    done = scan(shop, config_id=add(shop, user=guides)["config_id"])
    body = {"welcome_code": done["welcome_code"], "text": {"content": "欢迎"}}
    assert shop.post(f"{EC}/send_welcome_msg", body)["errcode"] == 0
    inbox = shop.control(f"customers/{done['external_userid']}/inbox")["messages"]
    assert [message["kind"] for message in inbox] == ["welcome"]


def test_many_scans_reach_every_member(shop, guides):
    config_id = add(shop, user=guides)["config_id"]
    reached = {scan(shop, config_id=config_id)["userid"] for _n in range(40)}
    assert reached == set(guides)


def test_a_friend_who_scans_again_causes_nothing(shop, guides):
    config_id = add(shop, user=guides, state="second")["config_id"]
    friend = shop.hand("add", userid=guides[1], state="first")["external_userid"]
    before = len(events(shop))
    done = scan(shop, config_id=config_id, external_userid=friend)
    assert (done["already_friends"], done["userid"]) == (True, guides[1])
    assert len(events(shop)) == before
    assert follow(shop, friend, guides[1])["state"] == "first"


def test_with_the_switch_off_a_friend_of_one_may_add_another(shop, guides):
    shop.control("switches", {"friend_scan_causes_nothing": False})
    config_id = add(shop, user=guides)["config_id"]
    friend = shop.hand("add", userid=guides[0])["external_userid"]
    reached = {scan(shop, config_id=config_id, external_userid=friend)["userid"] for _n in range(12)}
    assert len(reached) > 1


def test_without_skip_verify_the_guide_has_to_accept(shop, guides):
    made = add(shop, user=guides[:1], skip_verify=False, state="s")
    done = scan(shop, url=made["qr_code"])
    assert done["half"]
    assert shop.get(f"{EC}/get", external_userid=done["external_userid"])["errcode"] == 84061
    shop.hand("confirm_half", userid=guides[0], external_userid=done["external_userid"])
    assert follow(shop, done["external_userid"], guides[0])["state"] == "s"
    assert [e["ChangeType"] for e in events(shop)] == ["add_half_external_contact", "add_external_contact"]


def test_with_the_switch_off_nobody_hears_of_a_request_before_it_is_accepted(shop, guides):
    shop.control("switches", {"unverified_scan_is_half": False})
    done = scan(shop, config_id=add(shop, user=guides[:1], skip_verify=False)["config_id"])
    assert events(shop) == []
    shop.hand("confirm_half", userid=guides[0], external_userid=done["external_userid"])
    (event,) = events(shop)
    assert event["ChangeType"] == "add_external_contact" and event["WelcomeCode"]


def test_an_exclusive_code_gives_customers_of_one_outer_corp_to_one_member(shop, guides):
    config_id = add(shop, user=guides, is_exclusive=True)["config_id"]
    customers = [scan(shop, config_id=config_id, wecom_user=True) for _n in range(30)]
    members = {}
    for done in customers:
        corp_name = shop.control(f"customers/{done['external_userid']}")["corp_name"]
        members.setdefault(corp_name, set()).add(done["userid"])
    assert len(members) > 1
    assert all(len(userids) == 1 for userids in members.values())


def test_a_code_follows_its_members_as_they_come_and_go(shop, guides):
    config_id = add(shop, user=guides[:2])["config_id"]
    shop.hand("member_leaves", userid=guides[0])
    assert {scan(shop, config_id=config_id)["userid"] for _n in range(8)} == {guides[1]}
    shop.hand("member_changes", userid=guides[1], contact=False)
    assert refused(shop, config_id=config_id) == "没有可添加的成员"


def test_a_department_code_leads_to_whoever_serves_there(shop, guides):
    config_id = add(shop, party=[1])["config_id"]
    assert {scan(shop, config_id=config_id)["userid"] for _n in range(40)} == set(guides)


def test_an_image_tag_gets_the_qr_code_and_a_browser_a_page(shop, guides):
    qr_code = add(shop, user=guides)["qr_code"]
    image = requests.get(qr_code, headers={"Accept": "image/avif,image/webp,*/*;q=0.8"})
    assert image.headers["Content-Type"] == "image/svg+xml"
    assert b"<path" in image.content
    page = requests.get(qr_code, headers={"Accept": "text/html,*/*;q=0.8"})
    assert "text/html" in page.headers["Content-Type"]
    assert "小满面包房" in page.text


def test_living_codes_are_listed_for_whoever_drives_the_world(shop, guides):
    made = add(shop, user=guides, state="counter")
    scan(shop, url=made["qr_code"])
    listing = shop.control("codes")
    assert listing["contact_ways"] == [
        {"config_id": made["config_id"], "url": made["qr_code"], "state": "counter", "scans": 1}
    ]
    assert (listing["join_ways"], listing["links"]) == ([], [])


# -- temporary sessions --------------------------------------------------------------------------------------------


@pytest.fixture
def clinic(chain):
    """A corp that may make temporary ways, and has bound a developer account."""
    chain.control("switches", {"temp_ways_allowed": True})
    return chain


def temp(clinic, **given):
    body = {"type": 1, "scene": 2, "user": ["linxiaoya"], "is_temp": True}
    return clinic.post(f"{EC}/add_contact_way", body | given)


def test_temporary_ways_are_for_some_industries_only(shop, guides):
    assert add(shop, type=1, user=guides[:1], is_temp=True)["errcode"] == 48002


def test_a_temporary_way_is_used_once_and_listed_nowhere(clinic):
    made = temp(clinic, conclusions={"text": {"content": "再会"}})
    assert clinic.post(f"{EC}/list_contact_way")["contact_way"] == []
    way = get(clinic, made["config_id"])
    assert (way["expires_in"], way["chat_expires_in"]) == (7 * DAY, DAY)
    assert way["conclusions"] == {"text": {"content": "再会"}}
    scan(clinic, url=made["qr_code"])
    assert refused(clinic, url=made["qr_code"]) == "二维码或链接已失效"
    body = {"config_id": made["config_id"], "remark": "x"}
    assert clinic.post(f"{EC}/update_contact_way", body)["errcode"] == 41044


def test_a_temporary_way_ends_by_itself(clinic):
    made = temp(clinic, expires_in=3600)
    clinic.control("clock", {"advance": 3700})
    assert refused(clinic, config_id=made["config_id"]) == "二维码已失效"
    assert temp(clinic, expires_in=15 * DAY)["errcode"] == 40058
    assert temp(clinic, type=2)["errcode"] == 40058


def test_closing_a_session_sends_its_conclusions_once(clinic):
    link = {"title": "回访", "url": "https://a.example"}
    conclusions = {"text": {"content": "再会"}, "link": link, "miniprogram": {"title": "x"}}
    done = scan(clinic, config_id=temp(clinic, conclusions=conclusions)["config_id"])
    who = {"userid": "linxiaoya", "external_userid": done["external_userid"]}
    clinic.hand("chat", **who)
    assert clinic.post(f"{EC}/close_temp_chat", who)["errcode"] == 0
    assert clinic.post(f"{EC}/close_temp_chat", who)["errcode"] == 84061
    (message,) = clinic.control(f"customers/{done['external_userid']}/inbox")["messages"]
    assert (message["kind"], message["content"]) == ("conclusion", {"text": {"content": "再会"}, "link": link})
    assert clinic.control("hands/chat", {"corp_id": clinic.corp_id} | who)["error"] == "临时会话已结束"


def test_who_comes_back_by_another_way_may_talk_again(clinic):
    done = scan(clinic, config_id=temp(clinic)["config_id"])
    who = {"userid": "linxiaoya", "external_userid": done["external_userid"]}
    assert clinic.post(f"{EC}/close_temp_chat", who)["errcode"] == 0
    clinic.hand("customer_deletes", **who)
    clinic.hand("add", **who)
    assert clinic.hand("chat", **who)["ok"]


def test_a_session_ends_at_its_time_with_its_conclusions(clinic):
    done = scan(
        clinic, config_id=temp(clinic, chat_expires_in=3600, conclusions={"text": {"content": "再会"}})["config_id"]
    )
    began = clinic.control("clock")["now"]
    clinic.control("clock", {"advance": 2 * DAY})
    (message,) = clinic.control(f"customers/{done['external_userid']}/inbox")["messages"]
    assert abs(message["at"] - began - 3600) < 5


def test_conclusions_must_hold_something_fit_to_send(clinic):
    assert temp(clinic, conclusions={"text": {"content": ""}})["errcode"] == 40058
    assert temp(clinic, conclusions={"text": {"content": "长" * 1334}})["errcode"] == 45002
    assert temp(clinic, conclusions={"image": {"media_id": "3x"}})["errcode"] == 40007
    assert temp(clinic, conclusions={"text": "x"})["errcode"] == 40058
    assert temp(clinic, conclusions={"link": {"title": "t" * 129, "url": "https://a.example"}})["errcode"] == 40058


def test_a_way_for_one_wechat_user_admits_nobody_else(clinic):
    friend = clinic.hand("customers", userid="wangyue")["customers"][0]["external_userid"]
    unionid = clinic.control(f"customers/{friend}")["unionid"]
    config_id = temp(clinic, unionid=unionid)["config_id"]
    assert refused(clinic, config_id=config_id) == "该二维码只供指定的微信用户使用"
    assert scan(clinic, config_id=config_id, external_userid=friend)["userid"] == "linxiaoya"


def test_a_way_for_one_wechat_user_wants_a_developer_account(shop, guides):
    shop.control("switches", {"temp_ways_allowed": True})
    assert add(shop, type=1, user=guides[:1], is_temp=True, unionid="ox1")["errcode"] == 41057
