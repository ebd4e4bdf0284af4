"""Acquisition links: what the API accepts, the way of a customer, and the quota it uses up."""

from urllib.parse import quote

import pytest
import requests

DAY = 86_400
CA = "externalcontact/customer_acquisition"


@pytest.fixture
def guides(shop):
    return shop.get("externalcontact/get_follow_user_list")["follow_user"]


@pytest.fixture
def link(shop, guides):
    return create(shop, range={"user_list": guides})["link"]


def create(shop, **given):
    return shop.post(f"{CA}/create_link", {"link_name": "官网"} | given)


def get(shop, link_id):
    return shop.post(f"{CA}/get", {"link_id": link_id})


def events(shop, name="customer_acquisition"):
    shop.wait_quiet()
    return [row["event"] for row in shop.control("callbacks")["callbacks"] if row["event"]["Event"] == name]


def changes(shop):
    return [event["ChangeType"] for event in events(shop)]


def refused(shop, **given):
    return shop.control("hands/scan", {"corp_id": shop.corp_id} | given)["error"]


def quota(shop):
    return shop.post("externalcontact/customer_acquisition_quota")


# -- what the API accepts ------------------------------------------------------------------------------------------


def test_a_link_reads_back_as_it_was_made(shop, guides):
    made = create(shop, range={"user_list": guides[:2], "department_list": [1]}, skip_verify=False)["link"]
    assert set(made) == {"link_id", "link_name", "url", "create_time"}
    answer = get(shop, made["link_id"])
    assert answer["link"] == {
        "link_name": "官网",
        "url": made["url"],
        "create_time": made["create_time"],
        "skip_verify": False,
        "mark_source": True,
    }
    assert answer["range"] == {"user_list": guides[:2], "department_list": [1]}
    assert "priority_option" not in answer


@pytest.mark.parametrize(
    ("given", "errcode"),
    [
        ({"link_name": ""}, 40058),
        ({"range": {}}, 40058),
        ({"range": {"user_list": []}}, 40058),
        ({"range": {"user_list": "wutong"}}, 40058),
        ({"range": {"user_list": ["wutong"] * 501}}, 40058),
        ({"range": {"user_list": ["nobody"]}}, 40003),
        ({"range": {"department_list": [404]}}, 60003),
        ({"link_name": "长" * 31, "range": {"user_list": ["wutong"]}}, 40058),
        ({"range": {"user_list": ["wutong"]}, "priority_option": {"priority_type": 1}}, 48002),
    ],
)
def test_a_wrong_link_is_refused(shop, given, errcode):
    assert create(shop, **given)["errcode"] == errcode
    assert shop.post(f"{CA}/list_link")["link_id_list"] == []


def test_the_contact_secret_may_call_none_of_it(shop, link):
    token = shop.token("contact_secret")
    paths = ["list_link", "get", "create_link", "update_link", "delete_link", "customer", "statistic", "get_chat_info"]
    for path in [f"{CA}/{path}" for path in paths] + ["externalcontact/customer_acquisition_quota"]:
        answer = shop.http.post(f"{shop.url}/cgi-bin/{path}", json={}, params={"access_token": token}).json()
        assert answer["errcode"] == 48002, path


def test_an_app_sees_only_the_links_it_made(shop, link, guides):
    other = shop.hand("console_link", name="后台", userids=guides)["link_id"]
    assert shop.post(f"{CA}/list_link")["link_id_list"] == [link["link_id"]]
    assert get(shop, other)["errcode"] == get(shop, "cawcnone")["errcode"] == 40058
    shop.control("switches", {"unknown_link_errcode": 60136})
    assert get(shop, other)["errcode"] == 60136


def test_links_are_listed_page_by_page(shop, guides):
    made = [create(shop, range={"user_list": guides})["link"]["link_id"] for _n in range(5)]
    first = shop.post(f"{CA}/list_link", {"limit": 3})
    second = shop.post(f"{CA}/list_link", {"limit": 3, "cursor": first["next_cursor"]})
    assert first["link_id_list"] + second["link_id_list"] == made
    assert second["next_cursor"] == ""
    assert shop.post(f"{CA}/list_link", {"limit": 101})["errcode"] == 40058


def test_an_update_changes_what_is_given_and_overwrites_the_range(shop, link, guides):
    body = {"link_id": link["link_id"], "range": {"user_list": guides[:1]}, "link_name": "门店"}
    assert shop.post(f"{CA}/update_link", body)["errcode"] == 0
    answer = get(shop, link["link_id"])
    assert (answer["link"]["link_name"], answer["link"]["skip_verify"]) == ("门店", True)
    assert answer["range"] == {"user_list": guides[:1], "department_list": []}
    assert shop.post(f"{CA}/update_link", {"link_id": link["link_id"], "range": {}})["errcode"] == 40058


def test_a_corp_may_have_so_many_links(shop, link, guides):
    shop.control("switches", {"acquisition_links_most": 1})
    assert create(shop, range={"user_list": guides})["errcode"] == 41095
    shop.post(f"{CA}/delete_link", {"link_id": link["link_id"]})
    assert create(shop, range={"user_list": guides})["errcode"] == 0


def test_only_who_may_use_the_assistant_is_taken(shop, guides):
    assert shop.get("externalcontact/customer_acquisition_app/get_permit")["department_list"] == [1]
    shop.hand("acquisition_permit", user_list=guides[:1])
    permit = shop.get("externalcontact/customer_acquisition_app/get_permit")
    assert (permit["user_list"], permit["department_list"], permit["tag_list"]) == (guides[:1], [], [])
    assert create(shop, range={"user_list": guides[:2]})["errcode"] == 60011
    assert create(shop, range={"department_list": [1]})["errcode"] == 60011
    assert create(shop, range={"user_list": guides[:1]})["errcode"] == 0


# -- a customer's way ----------------------------------------------------------------------------------------------


def test_a_link_brings_a_customer_with_its_channel(shop, link):
    done = shop.hand("scan", url=f"{link['url']}?customer_channel={quote('官网 首页')}", name="新客")
    rows = shop.get("externalcontact/get", external_userid=done["external_userid"])["follow_user"]
    assert [(row["add_way"], row["state"]) for row in rows] == [(16, "官网 首页")]
    assert events(shop) == [
        {
            "Event": "customer_acquisition",
            "ChangeType": "friend_request",
            "LinkId": link["link_id"],
            "State": "官网 首页",
        }
    ]
    (added,) = events(shop, "change_external_contact")
    assert (added["State"], added["WelcomeCode"]) == ("官网 首页", done["welcome_code"])
    (row,) = shop.post(f"{CA}/customer", {"link_id": link["link_id"]})["customer_list"]
    assert row == {
        "external_userid": done["external_userid"],
        "userid": done["userid"],
        "chat_status": 0,
        "state": "官网 首页",
    }


def test_the_form_for_other_apps_leads_to_the_same_place(shop, link):
    url = "weixin://biz/ww/profile/" + quote(f"{link['url']}?customer_channel=app", safe="")
    done = shop.hand("scan", url=url)
    assert shop.control(f"customers/{done['external_userid']}")["follows"][0]["state"] == "app"


def test_a_channel_is_cut_to_64_bytes_without_breaking_a_character(shop, link):
    done = shop.hand("scan", url=link["url"], customer_channel="渠" * 30)
    assert shop.control(f"customers/{done['external_userid']}")["follows"][0]["state"] == "渠" * 21


def test_without_a_channel_there_is_no_state_anywhere(shop, link):
    done = shop.hand("scan", url=link["url"])
    assert "State" not in events(shop)[0]
    assert "State" not in events(shop, "change_external_contact")[0]
    (row,) = shop.get("externalcontact/get", external_userid=done["external_userid"])["follow_user"]
    assert "state" not in row
    assert "state" not in shop.post(f"{CA}/customer", {"link_id": link["link_id"]})["customer_list"][0]


def test_her_messages_are_told_at_the_first_third_fifth_and_tenth(shop, link):
    done = shop.hand("scan", url=link["url"], customer_channel="x")
    who = {"userid": done["userid"], "external_userid": done["external_userid"]}
    for _n in range(11):
        shop.hand("chat", **who)
    _request, first, *later = events(shop)
    assert list(first.items())[1:] == [
        ("ChangeType", "customer_start_chat"),
        ("UserID", who["userid"]),
        ("ExternalUserID", who["external_userid"]),
        ("LinkId", link["link_id"]),
        ("State", "x"),
    ]
    assert [list(event)[2:] for event in later] == [["LinkId", "State", "ChatKey"]] * 3
    infos = [shop.post(f"{CA}/get_chat_info", {"chat_key": event["ChatKey"]}) for event in later]
    assert [info["chat_info"]["recv_msg_cnt"] for info in infos] == [3, 5, 10]
    assert {info["external_userid"] for info in infos} == {who["external_userid"]}
    assert infos[0]["chat_info"] | {"recv_msg_cnt": 0} == {"recv_msg_cnt": 0, "link_id": link["link_id"], "state": "x"}
    assert shop.post(f"{CA}/customer", {"link_id": link["link_id"]})["customer_list"][0]["chat_status"] == 1


def test_older_pushes_of_the_first_message_name_no_link(shop, link):
    shop.control("switches", {"acquisition_start_chat_names_link": False})
    done = shop.hand("scan", url=link["url"], customer_channel="x")
    shop.hand("chat", userid=done["userid"], external_userid=done["external_userid"])
    assert list(events(shop)[-1]) == ["Event", "ChangeType", "UserID", "ExternalUserID"]


def test_a_chat_key_is_good_for_half_an_hour(shop, running, link):
    done = shop.hand("scan", url=link["url"])
    shop.hand("chat", userid=done["userid"], external_userid=done["external_userid"], messages=3)
    key = events(shop)[-1]["ChatKey"]
    assert shop.post(f"{CA}/get_chat_info", {"chat_key": "x"})["errcode"] == 40058
    running.sim.corps[shop.corp_id].acquisition.keys[key].made_wall -= 1801
    assert shop.post(f"{CA}/get_chat_info", {"chat_key": key})["errcode"] == 40058


def test_a_customer_of_another_way_in_causes_no_acquisition_event(shop, link, guides):
    friend = shop.hand("add", userid=guides[0])["external_userid"]
    shop.hand("chat", userid=guides[0], external_userid=friend, messages=10)
    assert events(shop) == []


def test_a_friend_who_opens_the_link_is_a_click_and_nothing_more(shop, link, guides):
    friend = shop.hand("add", userid=guides[2])["external_userid"]
    shop.wait_quiet()
    done = shop.hand("scan", url=link["url"], external_userid=friend)
    assert (done["already_friends"], done["userid"]) == (True, guides[2])
    assert events(shop) == []
    assert len(events(shop, "change_external_contact")) == 1
    now = shop.control("clock")["now"]
    answer = shop.post(f"{CA}/statistic", {"link_id": link["link_id"], "start_time": now, "end_time": now})
    assert (answer["click_link_customer_cnt"], answer["new_customer_cnt"]) == (1, 0)


def test_a_link_without_skip_verify_half_adds(shop, guides):
    link = create(shop, range={"user_list": guides[:1]}, skip_verify=False)["link"]
    done = shop.hand("scan", url=link["url"])
    assert shop.get("externalcontact/get", external_userid=done["external_userid"])["errcode"] == 84061
    assert events(shop, "change_external_contact")[0]["ChangeType"] == "add_half_external_contact"


def test_a_preference_leads_to_a_friend_outside_the_range(shop, guides):
    shop.control("switches", {"acquisition_priority_allowed": True})
    friend = shop.hand("add", userid=guides[3])["external_userid"]
    wide = create(shop, range={"user_list": guides[:1]}, priority_option={"priority_type": 1})["link"]
    option = {"priority_type": 2, "priority_userid_list": [guides[2]]}
    listed = create(shop, range={"user_list": guides[:1]}, priority_option=option)["link"]
    assert shop.hand("scan", url=wide["url"], external_userid=friend)["userid"] == guides[3]
    assert shop.hand("scan", url=listed["url"], external_userid=friend)["userid"] == guides[0]
    assert get(shop, listed["link_id"])["priority_option"] == option
    for wrong in ({"priority_type": 3}, {"priority_type": 2}, {"priority_type": 2, "priority_userid_list": [1]}):
        assert create(shop, range={"user_list": guides[:1]}, priority_option=wrong)["errcode"] == 40058


def test_a_customer_who_comes_back_is_listed_once_and_not_billed_again(shop, guides):
    link = create(shop, range={"user_list": guides[:1]})["link"]
    done = shop.hand("scan", url=link["url"], customer_channel="a")
    who = {"userid": guides[0], "external_userid": done["external_userid"]}
    shop.hand("chat", **who)
    shop.hand("customer_deletes", **who)
    again = shop.hand("scan", url=link["url"], customer_channel="b", external_userid=who["external_userid"])
    shop.hand("chat", **who)
    assert not again["already_friends"]
    (row,) = shop.post(f"{CA}/customer", {"link_id": link["link_id"]})["customer_list"]
    assert (row["chat_status"], row["state"]) == (1, "b")
    assert quota(shop)["balance"] == 999


def test_a_dead_link_leads_nowhere(shop, link):
    shop.hand("link_unavailable", link_id=link["link_id"])
    assert refused(shop, url=link["url"]) == "二维码或链接已失效"
    assert requests.get(link["url"]).status_code == 404
    shop.hand("link_unavailable", link_id=link["link_id"], mended=True)
    assert shop.hand("scan", url=link["url"])["ok"]
    shop.hand("console_delete_link", link_id=link["link_id"])
    assert refused(shop, url=link["url"]) == "二维码或链接已失效"
    told = [event for event in events(shop) if event["ChangeType"] != "friend_request"]
    assert [list(event.values())[1:] for event in told] == [
        ["link_unavailable", link["link_id"]],
        ["delete_link", link["link_id"]],
    ]


def test_deleting_by_the_api_is_told_only_if_switched(shop, link, guides):
    shop.post(f"{CA}/delete_link", {"link_id": link["link_id"]})
    assert events(shop) == []
    shop.control("switches", {"callbacks_on_api_writes": True})
    other = create(shop, range={"user_list": guides})["link"]["link_id"]
    shop.post(f"{CA}/delete_link", {"link_id": other})
    assert [event["LinkId"] for event in events(shop)] == [other]


def test_opening_the_link_in_wechat_is_a_click_of_somebody_unknown(shop, link):
    shop.control("switches", {"acquisition_open_profile": True})
    opened = shop.hand("open_link", url=f"{link['url']}?customer_channel=bus")
    assert (opened["status"], "小满面包房" in opened["text"]) == (200, True)
    requests.get(link["url"])
    now = shop.control("clock")["now"]
    body = {"link_id": link["link_id"], "start_time": now, "end_time": now}
    assert shop.post(f"{CA}/statistic", body)["click_link_customer_cnt"] == 1
    assert [(e["ChangeType"], e["State"]) for e in events(shop)] == [("open_profile", "bus")]


# -- statistic and quota -------------------------------------------------------------------------------------------


def test_the_statistic_counts_whole_days_of_a_month_at_most(shop, link):
    for _n in range(2):
        shop.hand("scan", url=link["url"])
    shop.control("clock", {"advance": DAY})
    shop.hand("scan", url=link["url"])
    now = shop.control("clock")["now"]

    def ask(start, end):
        return shop.post(f"{CA}/statistic", {"link_id": link["link_id"], "start_time": start, "end_time": end})

    assert ask(now, now)["new_customer_cnt"] == 1
    assert ask(now - DAY, now)["new_customer_cnt"] == 3
    assert ask(now - 29 * DAY, now)["errcode"] == 0
    assert ask(now - 30 * DAY, now)["errcode"] == 40058
    assert ask(now, now - DAY)["errcode"] == 40058
    assert ask(now - 182 * DAY, now - 181 * DAY)["errcode"] == 40058
    assert ask(10**15, 10**15)["errcode"] == 40058
    params = {"link_id": link["link_id"], "start_time": now, "end_time": now}
    assert shop.get(f"{CA}/statistic", **params)["new_customer_cnt"] == 1


def test_the_quota_is_used_by_her_first_message(shop, link):
    start = quota(shop)
    assert (start["total"], start["balance"]) == (1000, 1000)
    done = shop.hand("scan", url=link["url"])
    assert quota(shop)["balance"] == 1000
    for _n in range(4):
        shop.hand("chat", userid=done["userid"], external_userid=done["external_userid"])
    after = shop.get("externalcontact/customer_acquisition_quota")
    assert (after["total"], after["balance"]) == (1000, 999)
    assert [row["balance"] for row in after["quota_list"]] == [999]


def test_the_quota_may_be_used_by_the_add(shop, link):
    shop.control("switches", {"acquisition_billed_at_add": True})
    done = shop.hand("scan", url=link["url"])
    shop.hand("chat", userid=done["userid"], external_userid=done["external_userid"])
    assert quota(shop)["balance"] == 999


def test_a_falling_balance_is_told_once_at_each_mark(shop, link):
    shop.control("switches", {"acquisition_billed_at_add": True})
    shop.hand("acquisition_quota", left=21)
    for _n in range(21):
        shop.hand("scan", url=link["url"])
    told = [change for change in changes(shop) if change != "friend_request"]
    assert told == ["balance_low", "balance_exhausted"]
    assert refused(shop, url=link["url"]) == "获客额度已用完"
    shop.hand("acquisition_quota", count=5)
    assert changes(shop)[-1] == "balance_increased"
    assert shop.hand("scan", url=link["url"])["ok"]
    assert (quota(shop)["total"], quota(shop)["balance"]) == (1005, 4)


def test_the_end_of_a_purchase_is_told_five_times_and_takes_its_rest(shop):
    shop.hand("acquisition_quota", left=0)
    shop.hand("acquisition_quota", count=30, days=20)
    end = quota(shop)["quota_list"][0]["expire_date"]
    shop.control("clock", {"advance": 21 * DAY})
    soon = [event for event in events(shop) if event["ChangeType"] == "quota_expire_soon"]
    assert [(event["ExpireTime"], event["ExpireQuotaNum"]) for event in soon] == [(end, 30)] * 5
    created = [
        row["created"]
        for row in shop.control("callbacks")["callbacks"]
        if row["event"].get("ChangeType") == "quota_expire_soon"
    ]
    assert created == [end - days * DAY for days in (14, 7, 3, 2, 1)]
    assert changes(shop)[-1] == "balance_exhausted"
    assert quota(shop)["balance"] == 0
    assert quota(shop)["quota_list"] == []


def test_a_short_purchase_is_warned_of_only_while_it_exists(shop):
    shop.hand("acquisition_quota", left=0)
    shop.hand("acquisition_quota", count=1, days=5)
    shop.control("clock", {"advance": 4 * DAY})
    assert changes(shop).count("quota_expire_soon") == 3
