"""The scripts and styles in a real browser, under the product's own content policy."""

import threading
from collections.abc import Iterator

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from playwright.sync_api import Page, expect, sync_playwright

from tests.frontend.browser import ARGUMENTS, find_chromium
from tests.frontend.lints import ROOT

pytestmark = pytest.mark.browser
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site(settings) -> Iterator[str]:
    """The style pages over HTTP with the policy and error middleware of the product; no database, no tenants."""
    settings.ROOT_URLCONF = "tests.frontend.urls"
    settings.ALLOWED_HOSTS = ["*"]
    settings.MIDDLEWARE = [
        "django.middleware.locale.LocaleMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django_htmx.middleware.HtmxMiddleware",
        "scrm.ui.toasts.ToastMiddleware",
        "scrm.middleware.ContentPolicyMiddleware",
        "scrm.middleware.UserErrorMiddleware",
    ]
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(StaticFilesHandler(WSGIHandler()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium) -> Iterator[Page]:
    """A page that fails the test when the console shows an error, as a refused script or style does."""
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    context.close()
    assert page.complaints == []


def test_the_style_page_draws_its_charts_without_breaking_the_policy(page, site):
    page.goto(f"{site}/style/")

    expect(page.locator("[data-chart][data-drawn] canvas")).to_have_count(2)


@pytest.mark.parametrize("path", ["/style/", "/style/phone/"])
@pytest.mark.parametrize("width", [1440, 375])
def test_axe_finds_nothing_serious_and_nothing_overflows(page, site, path, width):
    page.set_viewport_size({"width": width, "height": 812})
    page.goto(site + path)
    page.wait_for_load_state("networkidle")
    page.evaluate(AXE.read_text(encoding="utf-8"))

    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]

    serious = [
        (one["id"], [node["html"][:160] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_selection_tells_the_truth_and_posts_it(page, site):
    page.goto(f"{site}/style/")
    bar = page.locator(".bulk-bar")
    expect(bar).to_be_hidden()

    page.locator("[data-row]").nth(0).check()
    page.locator("[data-row]").nth(2).check()
    expect(bar).to_contain_text("已选 2 条")

    page.locator("[data-page-box]").check()
    expect(bar).to_contain_text("已选 8 条")
    bar.get_by_role("button", name="选择全部").click()
    expect(bar).to_contain_text("已选 1,376 条")

    page.locator("[data-row]").nth(1).uncheck()
    expect(bar).to_contain_text("已选 7 条")
    page.evaluate("document.querySelector('form[x-data=bulk]').action = '/try/'")
    bar.get_by_role("button", name="打标签").click()
    expect(page.locator("#main")).to_contain_text("'select_all': ['0'], 'expected': ['7'], 'action': ['tag']")
    expect(page.locator("#main")).to_contain_text("'ids': ['1000', '1002'")


def test_a_selection_survives_turning_the_page(page, site):
    page.goto(f"{site}/rows/")
    page.get_by_label("2", exact=True).check()

    page.get_by_role("link", name="下一页").click()
    page.get_by_label("4", exact=True).check()
    expect(page.locator(".bulk-bar")).to_contain_text("已选 2 条")
    expect(page.locator(".toast")).to_contain_text("第二页")
    assert page.url.endswith("/rows/?after=3")

    page.get_by_role("link", name="上一页").click()
    expect(page.get_by_label("2", exact=True)).to_be_checked()
    expect(page.get_by_label("1", exact=True)).not_to_be_checked()
    page.get_by_role("button", name="post").click()
    expect(page.locator("#main")).to_contain_text("'ids': ['2', '4'], 'select_all': ['0'], 'expected': ['2']")


def test_a_dangerous_step_waits_for_the_typed_word(page, site):
    page.goto(f"{site}/style/")
    page.evaluate("document.querySelector('form[x-data=bulk]').action = '/try/'")
    page.locator("[data-row]").nth(0).check()
    page.get_by_role("button", name="转移客户").click()
    dialog = page.locator("#confirm-dialog")
    expect(dialog).to_contain_text("转移所选客户?")

    yes = dialog.get_by_role("button", name="转移客户")
    expect(yes).to_be_disabled()
    dialog.locator("input").fill("转")
    expect(yes).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.url.endswith("/style/")

    page.get_by_role("button", name="转移客户").click()
    dialog.locator("input").fill("转移")
    yes.click()
    expect(page.locator("#main")).to_contain_text("'action': ['transfer']")


def test_an_answer_may_bring_news(page, site):
    page.goto(f"{site}/try/")
    page.get_by_role("button", name="saved").click()

    expect(page.locator("#answer")).to_have_text("已保存")
    toast = page.locator(".toast-ok")
    expect(toast).to_contain_text("已给 2 位客户打标签")
    toast.get_by_role("button", name="关闭").click()
    expect(toast).to_have_count(0)


def test_a_refusal_says_its_own_sentence_and_swaps_nothing(page, site):
    page.goto(f"{site}/try/")
    page.get_by_role("button", name="refused").click()

    expect(page.locator(".toast-bad")).to_have_count(1)
    expect(page.locator(".toast-bad")).to_contain_text("审批已过期:请重新提交。")
    expect(page.locator("#answer-here")).to_be_empty()
    page.complaints.clear()  # the browser logs the 422 by itself


def test_a_broken_server_is_admitted(page, site):
    page.goto(f"{site}/try/")
    page.get_by_role("button", name="broken").click()

    expect(page.locator(".toast-bad")).to_contain_text("系统出错了")
    page.complaints.clear()  # the browser logs the 500 by itself


def test_a_question_by_htmx_asks_in_the_page(page, site):
    page.goto(f"{site}/try/")
    page.get_by_role("button", name="asked").click()
    dialog = page.locator("#confirm-dialog")
    expect(dialog).to_contain_text("会覆盖现有内容。")
    expect(page.locator("#answer-here")).to_be_empty()

    dialog.get_by_role("button", name="确认").click()
    expect(page.locator("#answer")).to_have_text("已保存")


def test_the_navigation_is_a_drawer_on_a_phone(page, site):
    page.set_viewport_size({"width": 375, "height": 812})
    page.goto(f"{site}/style/")
    sidebar, toggle = page.locator("#sidebar"), page.locator("[data-nav-toggle]")
    expect(sidebar).to_be_hidden()

    toggle.click()
    expect(sidebar).to_be_visible()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(sidebar).to_be_hidden()
    expect(toggle).to_be_focused()


def test_a_definition_in_a_table_head_is_not_clipped(page, site):
    page.goto(f"{site}/style/")
    info = page.locator("th details.info")
    info.locator("summary").click()

    panel = info.locator(".info-pop")
    expect(panel).to_be_visible()
    box = panel.bounding_box()
    reached = page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y)?.className", [box["x"] + 5, box["y"] + box["height"] - 5]
    )
    assert reached == "info-pop"

    page.mouse.wheel(0, 300)
    expect(panel).to_be_hidden()


def test_a_definition_opens_and_only_one_at_a_time(page, site):
    page.goto(f"{site}/style/")
    first, second = page.locator("details.info").nth(0), page.locator("details.info").nth(1)

    first.locator("summary").click()
    expect(first.locator(".info-pop")).to_be_visible()
    second.locator("summary").click()
    expect(first.locator(".info-pop")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(second.locator(".info-pop")).to_be_hidden()
