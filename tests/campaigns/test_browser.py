"""The pages in a real browser, under the product's own policy: the desk at 1440, the phone at 375, nothing serious for axe."""

import os
import threading
from collections.abc import Iterator
from datetime import time
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.db import transaction
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accounts.scope import EVERYTHING
from campaigns.models import Dispatch, WelcomeSend, WelcomeTemplate
from campaigns.services import results, sops
from contacts.models import MemberAccount
from scrm.lib import clock
from tagging.models import Segment, SegmentEntry
from tenants.context import current_tenant, tenant_scope
from tenants.models import Tenant
from tests.frontend.browser import ARGUMENTS, find_chromium
from tests.frontend.lints import ROOT
from tests.support import campaigns as make
from tests.support import contacts as people
from tests.support import core

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = ROOT / "frontend/node_modules/axe-core/axe.min.js"
# Set it to a folder to keep pictures of every page visited.
SHOTS = os.environ.get("CAMPAIGN_SHOTS", "")


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site(settings) -> Iterator[str]:
    """The product over HTTP; acme's clock shows MORNING."""
    settings.SECURE_CROSS_ORIGIN_OPENER_POLICY = None  # means something over HTTPS only, and the console says so
    offset = int((make.MORNING - clock.wall()).total_seconds())
    Tenant.objects.filter(slug="acme").update(clock_offset_seconds=offset, is_sandbox=True)
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.daemon_threads = True
    server.set_app(StaticFilesHandler(WSGIHandler()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://acme.testserver:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    rules = "--host-resolver-rules=MAP *.testserver 127.0.0.1"
    # The driver's event loop lives in this thread; the ORM must not mistake it for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*ARGUMENTS, rules])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Visitor:
    """A logged-in person at a screen of some width."""

    def __init__(self, chromium: Browser, site: str, client, width: int) -> None:
        self.site, self.width = site, width
        context = chromium.new_context(locale="zh-CN", viewport={"width": width, "height": 900})
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": cookie, "url": site}])
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda one: self.complaints.append(one.text) if one.type == "error" else None)

    def visit(self, path: str, name: str) -> Page:
        """Open a page: no console error, nothing wider than the screen, nothing serious for axe."""
        self.page.goto(self.site + path)
        self.look(name)
        return self.page

    def look(self, name: str) -> None:
        assert not self.complaints, self.complaints
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS) / f"{name}-{self.width}.png", full_page=True)
        self.page.wait_for_load_state()  # a click may still be leading elsewhere
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} px wider than {self.width}"
        found = self.page.evaluate(AXE.read_text(encoding="utf-8") + "\n;axe.run({resultTypes: ['violations']})")
        serious = [
            one["id"] + ": " + one["nodes"][0]["html"][:120]
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert not serious, (name, serious)


@pytest.fixture
def visitor(chromium, site, log_in):
    return lambda who, width=1440, **extra: Visitor(chromium, site, log_in(who, **extra), width)


@pytest.fixture
def world():
    """A released broadcast half done, one waiting, a SOP, welcomes: enough for every page to have something."""
    with make.at_time(make.MORNING), transaction.atomic():
        store = people.make_store("上海静安寺店", region=people.make_region("华东"))
        guide = people.make_member("林小雅", store=store)
        user = core.make_user(role="guide", display_name="林小雅")
        MemberAccount.objects.create(user=user, member=guide)
        mates = [people.make_member(name, store=store) for name in ("陈婧", "王悦")]
        customers = [one for member in (guide, *mates) for one in make.make_customers(4, member)]
        segment = Segment.objects.create(
            name="近30天新加未购", kind="static", size=12, state="fresh", created_at=clock.now()
        )
        SegmentEntry.objects.bulk_create(
            [SegmentEntry(segment=segment, contact=one, entered_at=clock.now()) for one in customers]
        )
        push = make.released([*customers, people.make_contact("陌生人")], name="周末到店·小样派送", holdout_percent=10)
        for unit in make.units(push)[1:]:
            make.agree(unit)
        done = make.units(push)[2]
        Dispatch.objects.filter(pk=done.pk).update(state="creating", claimed_at=make.MORNING)
        make.give_task(done)
        sent = int(make.MORNING.timestamp())
        results.record_task_state(done.pk, [{"userid": done.sender.userid, "status": 2, "send_time": sent}])
        waiting = make.make_draft(
            customers,
            name="樱花限定新品",
            text="立减 198 元",
            notify_at=make.local(10, day=1),
            confirm_by=make.local(20, day=1),
        )
        approval = make.submit(waiting)
        version = sops.create_sop("新客7天", sops.Plan(steps=[sops.Step(0, time(10), "欢迎来{门店名}"), sops.Step(3, time(10), "到店报我名字")], within=EVERYTHING), by=make.author())  # fmt: skip
        WelcomeTemplate.objects.create(
            name="默认", text="{客户昵称}您好", neutral_text="您好", is_default=True, created_at=clock.now()
        )
        WelcomeSend.objects.create(
            corp=people.make_corp(),
            code_digest="x",
            member_userid="a",
            external_userid="b",
            state="sent",
            latency_ms=800,
            received_at=clock.wall(),
        )
    return {"user": user, "push": push, "approval": approval, "sop": version.sop, "waiting": waiting}


def test_the_desk(world, visitor):
    hq = visitor("hq")
    detail = f"/broadcasts/{world['push'].broadcast.pk}/"
    hq.visit("/broadcasts/", "broadcasts")
    page = hq.visit(detail, "broadcast")
    expect(page.get_by_role("heading", name="周末到店·小样派送")).to_be_visible()
    hq.visit(f"{detail}people/?state=excluded", "broadcast-people")
    hq.visit("/broadcasts/new/", "broadcast-new")
    hq.visit(f"/broadcasts/{world['waiting'].pk}/audience/", "broadcast-audience")
    hq.visit(f"/broadcasts/{world['waiting'].pk}/preflight/", "broadcast-preflight")
    hq.visit(f"/broadcasts/{world['waiting'].pk}/", "broadcast-waiting")
    hq.visit("/sops/", "sops")
    hq.visit(f"/sops/{world['sop'].pk}/", "sop")
    hq.visit("/sops/new/", "sop-new")
    hq.visit("/welcomes/", "welcomes")
    hq.visit("/welcomes/new/", "welcome-new")


def test_the_composer_shows_the_message_as_it_is_typed(world, visitor):
    page = visitor("operator").visit("/broadcasts/new/", "composer")
    page.get_by_role("textbox", name="文字", exact=True).fill("周末到{门店名}领小样")
    expect(page.locator(".preview .bubble")).to_have_text("周末到静安寺店领小样")


def test_stopping_asks_with_the_exact_numbers(world, visitor):
    operator = visitor("operator")
    page = operator.visit(f"/broadcasts/{world['push'].broadcast.pk}/", "stop")
    page.get_by_role("button", name="停止").click()
    expect(page.get_by_role("dialog")).to_contain_text("不再发送")
    page.get_by_role("dialog").get_by_role("button", name="停止").click()
    expect(page.get_by_text("已停止。没有任务的立即停下")).to_be_visible()


def test_an_approver_on_a_phone(world, visitor):
    approver = visitor("approver", 375)
    approver.visit("/approvals/", "approvals")
    page = approver.visit(f"/approvals/{world['approval'].pk}/", "approval")
    page.get_by_role("button", name="通过", exact=True).click()
    expect(page.get_by_text("已通过。导购在今日能看到了")).to_be_visible()
    approver.look("approved")


def test_a_guide_on_a_phone(world, visitor):
    guide = visitor(world["user"], 375)
    page = guide.visit("/today/", "today")
    expect(page.locator("main")).to_contain_text("1 次「发送」")
    page.get_by_role("link", name="看客户 / 不发").click()
    guide.look("today-unit")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="不发给勾选的").click()
    page.get_by_role("dialog").get_by_role("button", name="不发给他们").click()
    expect(page.get_by_text("已排除 1 位")).to_be_visible()
    page.get_by_role("button", name="同意发给").click()
    expect(page.get_by_text("到通知时间后,到企业微信点「发送」").first).to_be_visible()
    guide.look("today-agreed")
    with tenant_scope(current_tenant()):
        assert Dispatch.objects.filter(agreed_by_id=world["user"].pk, state="agreed").count() == 1
