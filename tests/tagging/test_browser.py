"""The builder, rules and the tag panel in a real browser, desk and phone."""

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.db import connections
from playwright.sync_api import expect, sync_playwright

from contacts.models import MemberAccount, Stage
from scrm.lib import clock
from tagging.models import FollowTag, Rule, Segment, TagGroup
from tagging.services import rules, segments
from tenants.audit import SYSTEM
from tests.frontend.browser import ARGUMENTS, find_chromium
from tests.frontend.lints import ROOT
from tests.frontend.test_browser import Quiet
from tests.support import tagging
from tests.support.core import log_in
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"


class _Handler(WSGIHandler):
    """A request's thread closes its connections, so that the tables can be cleared after the test."""

    def __call__(self, environ, start_response):
        try:
            return super().__call__(environ, start_response)
        finally:
            connections.close_all()


@pytest.fixture
def site(acme):
    """Acme's pages over HTTP; the browser takes acme.testserver for this machine."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(StaticFilesHandler(_Handler()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://acme.testserver:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def chromium():
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's loop runs beside; nothing here is asynchronous
    with sync_playwright() as playwright:
        rule = "--host-resolver-rules=MAP acme.testserver 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*ARGUMENTS, rule])
        yield browser
        browser.close()
    os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")


@pytest.fixture
def world(acme):
    """A shop's tags, people and a guide."""
    corp = tagging.make_corp(name="蔓枝护肤")
    guide = tagging.make_member(corp, name="林小雅")
    stages = [
        Stage.objects.create(key=f"k{n}", name=name, order=n)
        for n, name in enumerate(("新添加", "有意向", "首购", "复购"))
    ]
    skin = TagGroup.objects.create(
        kind="corp", corp=corp, wecom_group_id="eg1", name="肤质", order=9, is_exclusive=True
    )
    worth = TagGroup.objects.create(kind="corp", corp=corp, wecom_group_id="eg2", name="价值", order=8)
    tags = [tagging.make_tag(name, skin, corp=corp) for name in ("油皮", "干皮", "敏感肌")]
    tags += [tagging.make_tag(name, worth, corp=corp, is_ours=True) for name in ("高客单≥¥800", "价格敏感")]
    people = []
    for number, name in enumerate(("王姐-敏感肌-静安", "A静", "小圆子", "🌸阿May", "李敏", "陈晨")):
        person = tagging.make_person(
            name, owner=guide, stage=stages[number % 4], first_added_at=clock.now() - timedelta(days=number * 9),
            last_added_at=clock.now() - timedelta(days=number * 9), active_follows=1,
        )  # fmt: skip
        follow = tagging.make_relation(person, guide, added_at=person.last_added_at)
        if number % 2 == 0:
            tagging.put_tag(follow, tags[number % 3])
        people.append(person)
    return {"corp": corp, "guide": guide, "tags": tags, "people": people}


def open_page(chromium, site, client, width=1440):
    context = chromium.new_context(locale="zh-CN", viewport={"width": width, "height": 900 if width > 500 else 812})
    context.add_cookies([{"name": key, "value": morsel.value, "url": site} for key, morsel in client.cookies.items()])
    page = context.new_page()
    page.complaints = []
    # Over plain HTTP to a name that is not localhost, browsers say they ignore this header.
    page.on(
        "console",
        lambda said: (
            page.complaints.append(said.text) if said.type == "error" and "Opener-Policy" not in said.text else None
        ),
    )
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


def check(page, name):
    """Nothing overflows, axe finds nothing serious, the console is quiet."""
    folder = os.environ.get("SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}-{page.viewport_size['width']}.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [
        (one["id"], [node["html"][:140] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == [], name
    assert page.complaints == []


@pytest.mark.parametrize("width", [1440, 375])
def test_every_page_fits_and_reads(chromium, site, world, width):
    tag, people = world["tags"][2], world["people"]
    tree = tree_of(
        {
            "all": [
                {"field": "tag", "op": "any", "value": [tag.pk]},
                {"any": [{"field": "contact.name", "op": "contains", "value": "静"}]},
            ]
        }
    )
    segment = segments.save_segment(None, name="敏感肌客户", tree=tree, by=SYSTEM)
    segments.build_segment(segment)
    action = [{"kind": "tag", "add": [world["tags"][3].pk], "whose": "owner"}]
    rule = rules.save_rule(None, name="敏感肌关怀", tree=tree, rule_actions=action, by=SYSTEM)
    page = open_page(chromium, site, log_in("hq"), width)
    pages = {
        "tags": "/tags/",
        "segments": "/segments/",
        "segment": f"/segments/{segment.pk}/",
        "segment-why": f"/segments/{segment.pk}/why/{people[4].pk}/",
        "segment-new": "/segments/new/",
        "segment-edit": f"/segments/{segment.pk}/edit/",
        "rules": "/rules/",
        "rule": f"/rules/{rule.pk}/",
        "rule-edit": f"/rules/{rule.pk}/edit/",
        "rule-why": f"/rules/{rule.pk}/why/{people[4].pk}/",
        "contact": f"/contacts/{people[0].pk}/",
    }
    for name, path in pages.items():
        assert page.goto(site + path).status == 200, path
        check(page, name)
    page.context.close()


def test_a_segment_is_built_by_clicking_with_its_count_beside(chromium, site, world):
    page = open_page(chromium, site, log_in("hq"))
    page.goto(f"{site}/segments/new/")
    expect(page.locator("#audience-count strong")).to_have_text("6 人")
    page.get_by_text("有任一标签").click()
    page.get_by_text("敏感肌", exact=True).click()
    expect(page.locator("#audience-count strong")).not_to_have_text("6 人")
    page.get_by_role("button", name="高级").click()
    page.get_by_role("button", name="添加条件").click()
    row = page.locator(".condition-leaf").nth(1)
    row.get_by_role("button", name="字段: ").press("Enter")
    page.get_by_role("combobox", name="查找字段").fill("昵")
    page.keyboard.press("Enter")
    expect(row.get_by_label("怎样比较")).to_contain_text("包含")
    row.get_by_label("怎样比较").select_option("contains")
    row.get_by_label("内容").fill("王姐")
    expect(page.locator("#builder")).to_contain_text("昵称 包含 「王姐」")
    row.get_by_role("button", name="移动条件 2").press("Alt+ArrowUp")
    expect(page.locator("#row-r-0").get_by_label("内容")).to_have_value("王姐")
    expect(page.locator("#h-r-0")).to_be_focused()
    page.get_by_role("button", name="添加一组").last.click()
    expect(page.locator(".condition-group")).to_have_count(2)
    page.locator("#h-r-0").hover()
    page.mouse.down()
    page.locator("#row-r-2-0").hover(position={"x": 40, "y": 4})
    page.mouse.up()
    expect(page.locator("#row-r-1-0").get_by_label("内容")).to_have_value("王姐")
    page.get_by_role("button", name="撤销").click()
    expect(page.locator("#row-r-0").get_by_label("内容")).to_have_value("王姐")
    page.get_by_role("button", name="删除这组").click()
    expect(page.locator(".condition-group")).to_have_count(1)
    check(page, "segment-advanced")
    page.get_by_label("名称").fill("王姐们")
    page.get_by_role("button", name="保存").click()
    page.wait_for_url("**/segments/*/")
    assert [leaf["field"] for leaf in Segment.objects.get().tree["root"]["all"]] == ["contact.name", "tag"]
    page.context.close()


def test_a_rule_is_made_and_enabled_by_clicking(chromium, site, world):
    page = open_page(chromium, site, log_in("hq"))
    page.goto(f"{site}/rules/new/")
    page.get_by_label("名称").fill("油皮关怀")
    page.get_by_text("有任一标签").click()
    page.locator("#builder").get_by_text("油皮", exact=True).click()
    expect(page.locator("#builder")).to_contain_text("「油皮」")
    page.locator("details:has([name=tags_add]) > summary").click()
    page.get_by_role("group", name="打上标签").get_by_text("价格敏感").click()
    page.get_by_role("button", name="保存").click()
    page.get_by_role("button", name="启用").click()
    page.wait_for_load_state()
    assert Rule.objects.get().state == "on"
    page.context.close()


def test_a_guide_puts_a_tag_on_in_two_taps(chromium, site, world):
    client = log_in("guide")
    MemberAccount.objects.create(user=client.user, member=world["guide"])
    page = open_page(chromium, site, client, 375)
    person = world["people"][1]
    page.goto(f"{site}/contacts/{person.pk}/")
    page.locator("#person-tags summary").click()
    page.get_by_role("button", name="敏感肌").click()
    expect(page.locator("#person-tags")).to_contain_text("打标中")
    check(page, "guide-tagged")
    assert FollowTag.objects.get(contact=person).state == "adding"
    page.context.close()
