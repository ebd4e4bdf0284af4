"""Beside a chat, and at a desk by QR code, in a real browser against the simulator's pages and its JS-SDK."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browsing import check
from tests.support.contacts import (
    make_contact,
    make_follow,
    make_group,
    make_identity,
    make_member,
    make_stages,
    make_store,
)
from tests.support.core import make_user
from tests.support.wecom import Wecom

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
INSIDE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) wxwork/4.1.20 MicroMessenger/7.0.1 Language/zh"


@pytest.fixture
def wutong(wecom: Wecom) -> Any:
    corp, user = wecom.connect().corp, make_user(role="guide", display_name="吴桐")
    return make_member("吴桐", store=make_store("静安寺"), corp=corp, userid="wutong", user=user)


def look(chromium: Any, width: int, agent: str | None = None) -> Any:
    context = chromium.new_context(locale="zh-CN", viewport={"width": width, "height": 812}, user_agent=agent)
    page = context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: page.complaints.append(said.text) if _is_complaint(said) else None)
    return page


def _is_complaint(said: Any) -> bool:
    return said.type == "error" and "Opener-Policy" not in said.text


def test_the_toolbar_opens_the_customer_of_the_chat(chromium, site, wecom, wutong):
    external = wecom.hand("add", userid="wutong")["external_userid"]
    contact = make_contact("王姐", stage=make_stages()["repeat"])
    make_follow(contact, wutong, identity=make_identity(contact, corp=wutong.corp, value=external), remark="王姐-静安")
    wecom.hand("open_chat", userid="wutong", external_userid=external)
    page = look(chromium, 375, INSIDE)
    toolbar = f"{site}/m/toolbar/{wutong.corp_id}/"

    page.goto(toolbar)  # through WeCom's log-in without a press, and back
    page.wait_for_url(f"{site}/contacts/{contact.pk}/")
    expect(page.get_by_role("region", name="好友关系")).to_contain_text("王姐-静安")
    check(page, "toolbar-customer")

    chat = wecom.get("groups")["groups"][0]["chat_id"]
    group = make_group("静安寺福利群", owner=wutong, chat_id=chat)
    wecom.hand("open_chat", userid="wutong", chat_id=chat)
    page.goto(toolbar)
    page.wait_for_url(f"{site}/groups/{group.pk}/")

    wecom.hand("open_chat")
    page.goto(toolbar)
    expect(page.get_by_text("没有打开客户的聊天")).to_be_visible()
    check(page, "toolbar-no-chat")

    wecom.hand("open_chat", userid="wutong", external_userid=external)
    wecom.hand("console_domain", domain="elsewhere.example")
    page.goto(toolbar)
    expect(page.get_by_text("错误码 80001")).to_be_visible()


def test_a_scan_in_the_browser_logs_in(chromium, site, wecom, wutong):
    page = look(chromium, 1440)
    page.goto(f"{site}/login/?next=/m/customers/")
    check(page, "login")
    page.get_by_role("link", name="企业微信登录").click()
    page.get_by_role("link", name="吴桐").click()
    page.wait_for_url(f"{site}/m/customers/")
