import time

import pytest
import requests

LIST = "externalcontact/get_follow_user_list"


def test_the_next_calls_meet_what_the_script_says(shop):
    shop.control("script", {"endpoint": f"/cgi-bin/{LIST}", "times": 2, "skip": 1, "errcode": -1})
    assert [shop.get(LIST)["errcode"] for _ in range(4)] == [0, -1, -1, 0]
    shop.control("script", {"endpoint": LIST, "http_status": 502})
    url, params = f"{shop.url}/cgi-bin/{LIST}", {"access_token": shop.token()}
    assert shop.http.get(url, params=params).status_code == 502
    shop.control("script", {"endpoint": LIST, "delay": 0.3})
    began = time.monotonic()
    assert shop.get(LIST)["errcode"] == 0
    assert time.monotonic() - began >= 0.3


def test_an_answer_may_be_cut_or_never_come(shop):
    url, params = f"{shop.url}/cgi-bin/{LIST}", {"access_token": shop.token()}
    for fault in ({"truncate": 20}, {"close": True}):
        shop.control("script", {"endpoint": LIST} | fault)
        with pytest.raises(requests.RequestException):
            _ = requests.get(url, params=params, timeout=5).json()
    assert shop.get(LIST)["errcode"] == 0


@pytest.mark.parametrize(("execute", "arrived"), [(True, 1), (False, 0)])
def test_a_lost_answer_may_or_may_not_have_taken_effect(shop, execute, arrived):
    added = shop.hand("add", userid="wutong")
    shop.control("script", {"endpoint": "externalcontact/send_welcome_msg", "close": True, "execute": execute})
    body = {"welcome_code": added["welcome_code"], "text": {"content": "您好"}}
    url, params = f"{shop.url}/cgi-bin/externalcontact/send_welcome_msg", {"access_token": shop.token()}
    with pytest.raises(requests.ConnectionError):
        requests.post(url, json=body, params=params, timeout=5)
    assert len(shop.control(f"customers/{added['external_userid']}/inbox")["messages"]) == arrived


def test_a_script_may_choose_its_calls(shop):
    shop.control("script", {"endpoint": "user/get", "errcode": 60111, "match": {"userid": "wutong"}})
    assert shop.get("user/get", userid="hechen")["errcode"] == 0
    assert shop.get("user/get", userid="wutong")["errcode"] == 60111
    assert shop.control("script", {"endpoint": "user/get", "nonsense": 1})["ok"] is False


def test_calls_are_counted_without_secrets(shop):
    shop.get("user/get", userid="wutong")
    shop.get("user/get", userid="nobody")
    seen = shop.control("calls", endpoint="user/get")
    assert seen["counts"]["user/get"] == 2
    assert seen["results"]["user/get"] == {"0": 1, "60111": 1}
    assert [c["args"] for c in seen["calls"]] == [{"userid": "wutong"}, {"userid": "nobody"}]
    assert shop.corp["secret"] not in str(shop.control("calls"))


def test_the_clock_moves_the_world_and_not_the_tokens(shop):
    token = shop.token()
    start = shop.control("clock")["now"]
    shop.control("clock", {"set": start + 90 * 86_400})
    assert shop.token() == token
    new = shop.hand("add", userid="wutong")["external_userid"]
    created = shop.get("externalcontact/get", external_userid=new)["follow_user"][0]["createtime"]
    assert 0 <= created - start - 90 * 86_400 < 10
    shop.control("clock", {"set": "2026-05-01T09:00:00+08:00"})
    assert shop.control("clock")["now"] - 1777597200 in (0, 1, 2)


def test_a_reset_brings_back_the_beginning(shop):
    first = shop.post("externalcontact/batch/get_by_user", {"userid_list": ["wutong"], "limit": 100})
    new = shop.hand("add", userid="wutong")["external_userid"]
    shop.hand(
        "guide_deletes",
        userid="wutong",
        external_userid=first["external_contact_list"][0]["external_contact"]["external_userid"],
    )
    shop.control("reset", {})
    shop._token = ""
    assert shop.post("externalcontact/batch/get_by_user", {"userid_list": ["wutong"], "limit": 100}) == first
    assert shop.get("externalcontact/get", external_userid=new)["errcode"] == 40096


def test_an_unknown_switch_or_a_wrong_value_is_refused(shop):
    assert shop.control("switches", {"nonsense": 1})["ok"] is False
    assert shop.control("switches", {"quota_rule": "never"})["ok"] is False
    assert shop.control("switches", {"block_ip": 1})["ok"] is False


def test_a_customer_opens_a_link_as_wechat_does(shop, receiver):
    seen = shop.control("hands/open_link", {"url": f"{shop.url}/control/health"})
    assert (seen["status"], seen["text"]) == (200, '{"ok": true}')


def test_the_page_of_hands_is_served(shop):
    page = requests.get(shop.url + "/")
    assert page.status_code == 200
    assert "确认发送" in page.content.decode()


def test_marking_is_limited_to_five_at_a_time(shop):
    from concurrent.futures import ThreadPoolExecutor

    shop.control("switches", {"latency_ms": [60, 60]})
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    tag = shop.post("externalcontact/get_corp_tag_list")["tag_group"][0]["tag"][0]["id"]
    body = {"userid": "wutong", "external_userid": friend, "add_tag": [tag]}
    url, params = f"{shop.url}/cgi-bin/externalcontact/mark_tag", {"access_token": shop.token()}
    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(lambda _: requests.post(url, json=body, params=params).json()["errcode"], range(12)))
    assert set(codes) == {0, 45033}
    assert codes.count(0) >= 5


def test_a_new_store_is_listed_and_takes_members(shop, receiver):
    store = shop.hand("console_department", name="二店")["department"]
    shop.hand("member_joins", userid="laoer", departments=[store])
    shop.wait_quiet()
    assert [m["userid"] for m in shop.get("user/list", department_id=store)["userlist"]] == ["laoer"]
    party, user = (c["event"] for c in shop.control("callbacks")["callbacks"])
    assert (party["ChangeType"], party["Id"], party["ParentId"]) == ("create_party", store, 1)
    assert user["Department"] == str(store)
