"""The page of hands in a real browser: what it sets is in force, what happened is shown."""

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.frontend.browser import ARGUMENTS, find_chromium

pytestmark = pytest.mark.browser


@pytest.fixture
def page(shop):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        opened = browser.new_context(locale="zh-CN", viewport={"width": 1440, "height": 1000}).new_page()
        complaints = []
        opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(shop.url + "/")
        opened.select_option("#corp", shop.corp_id)
        expect(opened.locator("#customers")).to_contain_text("聊天")
        yield opened
        browser.close()
        assert complaints == []


def test_a_fault_set_on_the_page_is_in_force_and_shown_with_what_it_did(page, shop):
    page.select_option("#chaos select[name=target]", "externalcontact/*")
    page.select_option("#chaos select[name=kind]", "45009")
    page.fill("#chaos input[name=percent]", "100")
    page.fill("#chaos input[name=seed]", "4")
    page.click("#chaos button")
    expect(page.locator("#rules")).to_contain_text("频率超限 45009 · 100%")
    assert shop.get("externalcontact/get_follow_user_list")["errcode"] == 45009
    page.get_by_role("button", name="整套加上").click()
    expect(page.locator("#rules li")).to_have_count(4)
    expect(page.locator("#rules")).to_contain_text("看了 1,发生 1,其中已生效 0")
    page.locator("#rules li").first.get_by_role("button", name="去掉").click()
    expect(page.locator("#rules li")).to_have_count(3)
    page.click("#calm")
    expect(page.locator("#rules")).to_contain_text("没有故障")
    assert shop.control("chaos")["rules"] == []


def test_hidden_facts_are_turned_on_by_the_page_and_listed_as_the_clock_moves(page, shop):
    page.get_by_label("日常往来").check()
    page.get_by_label("产品看不见的事").check()
    expect(page.locator("#lived")).to_contain_text("下一件")
    assert shop.control("switches")["hidden_facts"] is True
    page.fill("#advance input", "240")
    page.get_by_role("button", name="时间快进(小时)").click()
    expect(page.locator("#lived")).to_contain_text("聊天")
    expect(page.locator("#acts li")).to_have_count(12)
