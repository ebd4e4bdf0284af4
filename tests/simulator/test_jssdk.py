"""The JS-SDK of the chat toolbar: what the client answers to a page, by the signature it shows and by what is open beside it."""

import hashlib
import json
import re

import pytest

URL = "https://t.example.com/m/toolbar/1/"


def signed(client, ticket, url=URL):
    """What a page presents that was signed with this ticket."""
    parts = f"jsapi_ticket={ticket}&noncestr=n&timestamp=1700000000&url={url}"
    signature = hashlib.sha1(parts.encode()).hexdigest()
    given = {"corpid": client.corp_id, "agentid": str(client.corp["agent_id"]), "url": url}
    return given | {"noncestr": "n", "timestamp": "1700000000", "signature": signature}


def ask(client, name, given):
    """The client's answer, out of the script that carries it."""
    answer = client.http.get(f"{client.url}/jssdk/{name}", params=given | {"id": "7"})
    assert answer.headers["Content-Type"].startswith("text/javascript")
    return json.loads(re.fullmatch(r'window\.__wecomAnswer\("7", (.*)\);', answer.text).group(1))


@pytest.fixture
def corp_page(shop):
    return signed(shop, shop.get("get_jsapi_ticket")["ticket"])


@pytest.fixture
def app_page(shop):
    return signed(shop, shop.get("ticket/get", type="agent_config")["ticket"])


def test_the_script_stands_where_pages_look_for_it(shop):
    script = shop.http.get(f"{shop.url}/node/open/js/wecom-jssdk-2.3.4.js")
    assert script.status_code == 200 and "getCurExternalContact" in script.text
    assert shop.http.get(f"{shop.url}/jssdk/elsewhere?id=7").status_code == 404
    assert shop.http.get(f"{shop.url}/jssdk/config?id=alert(1)").status_code == 404


def test_each_signature_is_good_for_its_own_step(shop, corp_page, app_page):
    assert ask(shop, "config", corp_page) == {"errCode": 0, "errMsg": "config:ok"}
    assert ask(shop, "agentConfig", app_page)["errCode"] == 0
    assert ask(shop, "agentConfig", corp_page)["errCode"] == 42012
    assert ask(shop, "config", corp_page | {"signature": "0" * 40})["errCode"] == 40093
    assert ask(shop, "config", corp_page | {"url": URL + "?a=1"})["errCode"] == 40093
    assert ask(shop, "agentConfig", app_page | {"agentid": "1"})["errCode"] == 40056
    assert ask(shop, "config", corp_page | {"corpid": "wwelse"})["errCode"] == 40013


def test_only_pages_of_the_trusted_domain_are_taken(shop, corp_page):
    shop.hand("console_domain", domain="other.example.com")
    assert ask(shop, "config", corp_page)["errCode"] == 80001
    shop.hand("console_domain", domain="t.example.com")
    assert ask(shop, "config", corp_page)["errCode"] == 0


def test_the_chat_that_is_open_is_told_to_whoever_serves_customers(shop, app_page):
    assert ask(shop, "getContext", app_page)["entry"] == "normal"
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    shop.hand("open_chat", userid="wutong", external_userid=friend)
    assert ask(shop, "getContext", app_page)["entry"] == "single_chat_tools"
    assert ask(shop, "getCurExternalContact", app_page)["userId"] == friend
    assert "without context" in ask(shop, "getCurExternalChat", app_page)["errMsg"]
    assert ask(shop, "getCurExternalContact", app_page | {"signature": "0" * 40})["errCode"] == 40093

    group = shop.control("groups")["groups"][0]["chat_id"]
    shop.hand("open_chat", userid="wutong", chat_id=group)
    assert ask(shop, "getCurExternalChat", app_page)["chatId"] == group
    assert "without context" in ask(shop, "getCurExternalContact", app_page)["errMsg"]

    shop.hand("open_chat", userid="wutong", external_userid=friend, entry="contact_profile")
    shop.hand("member_changes", userid="wutong", visible=False)
    assert ask(shop, "getCurExternalContact", app_page)["errMsg"] == "getCurExternalContact:fail no permission"
    shop.hand("open_chat")
    assert ask(shop, "getContext", app_page)["entry"] == "normal"


def test_who_has_a_chat_open_logs_in_unasked_inside_the_app(shop):
    friend = shop.get("externalcontact/list", userid="wutong")["external_userid"][0]
    shop.hand("open_chat", userid="wutong", external_userid=friend)
    query = {"appid": shop.corp_id, "redirect_uri": URL, "response_type": "code", "scope": "snsapi_base", "state": "s"}
    back = shop.http.get(f"{shop.url}/connect/oauth2/authorize", params=query, allow_redirects=False)
    code = re.search(r"code=([^&]+)", back.headers["Location"]).group(1)
    assert shop.get("auth/getuserinfo", code=code)["userid"] == "wutong"
    desk = query | {"login_type": "CorpApp", "agentid": shop.corp["agent_id"]}
    assert shop.http.get(f"{shop.url}/wwlogin/sso/login/", params=desk, allow_redirects=False).status_code == 200
