"""Log-in with WeCom, against the simulator's log-in pages over HTTP: who comes in, who does not, and what cannot be smuggled."""

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import time_machine
from django.test import Client

from accounts.models import LoginSession, RoleGrant, User
from contacts.models import Member, WecomLoginRule
from contacts.services import wecom_login
from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.context import tenant_scope
from tenants.ledger.models import AuditEntry
from tests.support.contacts import make_member
from tests.support.core import log_in, make_user
from tests.support.wecom import Wecom, make_connection

INSIDE = "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 wxwork/4.1.20 MicroMessenger/7.0.1"
over_http = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(wecom: Wecom) -> Any:
    return wecom.connect().corp


def browser(**extra: Any) -> Client:
    return Client(HTTP_HOST="acme.testserver", **extra)


def set_out(client: Client, corp: Any, go_on: str = "/account/sessions/") -> str:
    """The address of WeCom's page that the log-in leads to."""
    answer = client.get(f"/login/wecom/{corp.pk}/", {"next": go_on})
    assert answer.status_code == 302
    return str(answer["Location"])


def scan(wecom: Wecom, page: str, **who: Any) -> str:
    """Somebody's visit of that page: the path she is sent back to."""
    wecom.hand("oauth", **(who or {"userid": "wutong"}))
    answer = requests.get(page, allow_redirects=False, timeout=5)
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["Location"])
    assert parts.netloc == "acme.testserver"
    return f"{parts.path}?{parts.query}"


def arrive(wecom: Wecom, corp: Any, client: Client | None = None, **who: Any) -> Any:
    client = client or browser()
    return client.get(scan(wecom, set_out(client, corp), **who))


def refusals() -> list[str]:
    return [row.data["reason"] for row in AuditEntry.objects.filter(action="login.refused").order_by("pk")]


# -- coming in ---------------------------------------------------------------------------------------------------------


@over_http
@pytest.mark.parametrize(
    ("agent", "path"), [(INSIDE, "/connect/oauth2/authorize"), ("Mozilla/5.0 Chrome/130", "/wwlogin/sso/login/")]
)
def test_a_member_comes_in_as_the_log_in_she_is(wecom, corp, agent, path):
    user = make_user(role="guide")
    member = make_member("吴桐", corp=corp, userid="wutong", user=user)
    client = browser(HTTP_USER_AGENT=agent)
    page = set_out(client, corp)
    assert page.startswith(f"{wecom.url}{path}?")

    answer = client.get(scan(wecom, page))

    assert (answer.status_code, answer["Location"]) == (302, "/account/sessions/")
    assert "no-store" in answer["Cache-Control"] and not client.cookies["wecom-login"].value
    row = LoginSession.objects.get(user=user)
    assert row.way == LoginSession.Way.WECOM
    assert client.session["wecom_members"] == {str(corp.pk): member.pk}
    assert "用企业微信登录" in client.get("/account/sessions/").content.decode()
    entry = AuditEntry.objects.get(action="login.succeeded")
    assert (entry.actor_id, entry.data) == (user.pk, {"way": "wecom"})


@over_http
def test_a_state_is_good_once_in_the_browser_it_was_made_for_and_for_ten_minutes(wecom, corp):
    make_member(corp=corp, userid="wutong", user=make_user(role="guide"))
    client = browser()
    path = scan(wecom, set_out(client, corp))
    kept = client.cookies["wecom-login"].value

    stranger = browser()
    refused = stranger.get(path)
    assert refused.status_code == 422 and "不是从这个浏览器开始的" in refused.content.decode()
    assert "session" not in stranger.cookies, "a link made by somebody else logged a browser in"
    wrong = path.replace("state=", "state=0")
    assert client.get(wrong).status_code == 422

    client.cookies["wecom-login"] = kept
    assert client.get(path).status_code == 302
    client.cookies["wecom-login"] = kept
    assert client.get(path).status_code == 422, "the same state twice"

    late = browser()
    path = scan(wecom, set_out(late, corp))
    with time_machine.travel(clock.wall() + timedelta(minutes=11)):
        assert late.get(path).status_code == 422
    assert len(wecom.calls("auth/getuserinfo")) == 1, "a code was spent without its state"


@over_http
def test_a_code_is_good_once_and_guesses_close_the_address(wecom, corp):
    make_member(corp=corp, userid="wutong", user=make_user(role="guide"))
    code = parse_qs(urlsplit(scan(wecom, set_out(browser(), corp))).query)["code"][0]

    def bring(code: str) -> Any:
        client = browser()
        state = parse_qs(urlsplit(set_out(client, corp)).query)["state"][0]
        return client.get("/login/wecom/back/", {"code": code, "state": state})

    assert bring(code).status_code == 302
    again = bring(code)
    assert again.status_code == 400 and "已经用过或过期" in again.content.decode()
    assert bring("长" * 9).status_code == 400
    for guess in range(18):
        assert bring(f"guess{guess}").status_code == 400
    assert bring("guess").status_code == 429
    fresh = scan(wecom, set_out(browser(), corp))
    assert bring(parse_qs(urlsplit(fresh).query)["code"][0]).status_code == 429


@over_http
def test_who_may_not_come_in_is_told_why_and_whom_to_ask(wecom, corp):
    make_user(role="it", display_name="赵工")

    unknown = arrive(wecom, corp)
    assert unknown.status_code == 403 and "请联系 赵工 开通" in unknown.content.decode()
    member = make_member(corp=corp, userid="wutong")
    assert arrive(wecom, corp).status_code == 403
    assert not User.objects.filter(username="wutong").exists(), "an account was made although nobody asked for it"
    closed = make_user(role="guide", is_active=False)
    wecom_login.link_member(closed, member, by=SYSTEM)
    assert "已停用" in arrive(wecom, corp).content.decode()
    User.objects.filter(pk=closed.pk).update(is_active=True, locked_until=clock.wall() + timedelta(minutes=9))
    assert arrive(wecom, corp).status_code == 429
    User.objects.filter(pk=closed.pk).update(locked_until=None)
    Member.objects.filter(pk=member.pk).update(status=Member.Status.LEFT)
    assert "已离职" in arrive(wecom, corp).content.decode()
    stranger = arrive(wecom, corp, browser(HTTP_USER_AGENT=INSIDE), stranger="甲")
    assert "只有企业成员" in stranger.content.decode()
    declined = arrive(wecom, corp, userid="wutong", refuse=True)
    assert "没有同意登录" in declined.content.decode() and "/login/?next=" in declined.content.decode()

    assert refusals() == ["unknown", "no_account", "closed", "left", "stranger"]
    assert not LoginSession.objects.exists()


@over_http
def test_a_guides_first_log_in_makes_her_account_where_the_merchant_wants_it(wecom, corp):
    wecom_login.set_rule(corp, makes_accounts=True, by=SYSTEM)
    make_user(role="hq", username="wutong")  # somebody else has that name
    member = make_member("吴桐", corp=corp, userid="wutong")
    desk = make_member("何晨", corp=corp, userid="hechen", has_customer_contact=False)

    assert arrive(wecom, corp).status_code == 302
    user = User.objects.get(member_accounts__member=member)
    assert (user.username, user.display_name, user.has_usable_password()) == (f"wutong-{member.pk}", "吴桐", False)
    assert [(grant.role.key, grant.scope_kind) for grant in user.grants.all()] == [("guide", RoleGrant.Scope.SELF)]
    assert arrive(wecom, corp).status_code == 302
    assert User.objects.count() == 2
    assert arrive(wecom, corp, userid="hechen").status_code == 403 and not hasattr(desk, "account")


@over_http
def test_what_wecom_refuses_becomes_a_sentence_and_the_code_stays_out_of_the_logs(wecom, corp, caplog):
    make_member(corp=corp, userid="wutong", user=make_user(role="guide"))
    said = {50001: "50001", 50002: "可见范围", 48002: "48002", 45033: "过一会儿"}
    codes = []
    with caplog.at_level(logging.DEBUG):
        for errcode, words in said.items():
            client = browser()
            path = scan(wecom, set_out(client, corp))
            codes.append(parse_qs(urlsplit(path).query)["code"][0])
            wecom.script("auth/getuserinfo", errcode=errcode)
            assert words in client.get(path).content.decode()
    shown = caplog.text + "".join(str(vars(record)) for record in caplog.records if record.name.startswith("scrm"))
    assert caplog.records and not [code for code in codes if code in shown]


@over_http
def test_another_user_of_the_browser_is_logged_out_first(wecom, corp):
    guide = make_user(role="guide")
    make_member(corp=corp, userid="wutong", user=guide)
    client = browser()
    boss = make_user(role="hq", username="boss")
    client.post("/login/", {"username": "boss", "password": "correct-horse-42"})
    old = client.session.session_key

    assert arrive(wecom, corp, client).status_code == 302

    assert client.session.session_key != old
    assert list(LoginSession.objects.values_list("user_id", flat=True)) == [guide.pk]
    assert LoginSession.objects.filter(user=boss).count() == 0


# -- the log-in page ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_log_in_page_offers_each_corp_and_goes_on_at_once_inside_wecom(acme, anonymous):
    assert "企业微信登录" not in anonymous.get("/login/").content.decode()
    first = make_connection(name="蔓枝").corp
    page = anonymous.get("/login/?next=/today/").content.decode()
    assert f"/login/wecom/{first.pk}/?next=%2Ftoday%2F" in page

    inside = browser(HTTP_USER_AGENT=INSIDE)
    sent = inside.get("/login/?next=/today/")
    assert (sent.status_code, sent["Location"]) == (302, f"/login/wecom/{first.pk}/?next=%2Ftoday%2F")
    assert inside.get("/login/").status_code == 200, "who logged out came straight in again"
    assert inside.get("/login/?next=/today/&by=choice").status_code == 200, "a refused log-in went round in circles"

    second = make_connection(name="蔓枝二店").corp
    page = inside.get("/login/?next=/today/").content.decode()
    assert "企业微信登录:蔓枝" in page and f"/login/wecom/{second.pk}/" in page
    type(second).objects.update(is_active=False)
    assert "企业微信登录" not in inside.get("/login/?next=/today/").content.decode()
    assert inside.get(f"/login/wecom/{second.pk}/").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("evil", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_a_log_in_with_wecom_leads_to_no_other_site(acme, anonymous, evil):
    corp = make_connection().corp
    location = anonymous.get(f"/login/wecom/{corp.pk}/", {"next": evil})["Location"]
    asked = parse_qs(urlsplit(location).query)
    assert location.startswith("https://login.work.weixin.qq.com/wwlogin/sso/login/?login_type=CorpApp&")
    assert asked["redirect_uri"] == ["http://acme.testserver/login/wecom/back/"] and asked["state"][0].isalnum()
    from django.core import signing

    from contacts.views.wecom_login import _salt

    assert signing.loads(anonymous.cookies["wecom-login"].value, salt=_salt())["next"] == "/"


@pytest.mark.django_db
def test_a_state_of_one_merchant_means_nothing_to_another(acme, globex):
    corp = make_connection().corp
    client = browser()
    asked = parse_qs(urlsplit(set_out(client, corp)).query)
    with tenant_scope(globex):
        make_connection()
    elsewhere = Client(HTTP_HOST="globex.testserver")
    elsewhere.cookies["wecom-login"] = client.cookies["wecom-login"].value
    answer = elsewhere.get("/login/wecom/back/", {"code": "c", "state": asked["state"][0]})
    assert answer.status_code == 422 and "不是从这个浏览器开始的" in answer.content.decode()


@pytest.mark.django_db
def test_the_switch_is_off_until_somebody_who_manages_users_turns_it(acme, django_assert_max_num_queries):
    corp = make_connection(name="蔓枝").corp
    client = log_in(make_user(permissions=["users.manage"]))
    page = client.get("/settings/wecom-login/").content.decode()
    assert "让导购第一次登录时自动开通账号" in page and "acme.testserver" in page

    client.post(f"/settings/wecom-login/{corp.pk}/", {"makes_accounts": "1"})
    client.post(f"/settings/wecom-login/{corp.pk}/", {"makes_accounts": "1"})

    assert WecomLoginRule.objects.get(corp=corp).makes_accounts
    for _corp in range(3):
        make_connection()
    with django_assert_max_num_queries(12):
        page = client.get("/settings/wecom-login/").content.decode()
    assert "不再自动开通" in page
    assert AuditEntry.objects.filter(action="wecom_login.changed").count() == 1
    assert log_in("guide").get("/settings/wecom-login/").status_code == 403
