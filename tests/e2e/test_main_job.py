"""The main job in a real browser: a rule tags, an author writes, an approver releases, a guide agrees, customers receive, HQ reads.

People act through pages; customers and guides' WeCom clients through the simulator, whose inboxes are the truth.
"""

import re
from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.e2e.desks import PHONE
from tests.e2e.stack import wait_until

pytestmark = pytest.mark.browser
ZONE = ZoneInfo("Asia/Shanghai")
TAG = "试吃会"
GUIDE, OWNER = "wutong", "fangxiaoman"


def local(instant: datetime) -> str:
    """As a datetime-local field takes it."""
    return instant.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")


def received(stack, external_userid: str, marker: str) -> int:
    """How often a message with these words lies in a customer's inbox."""
    messages = stack.wecom.ask(f"customers/{external_userid}/inbox")["messages"]
    return sum(marker in str(row["content"]) for row in messages)


def tags_of(stack, external_userid: str) -> Counter:
    """WeCom's truth about a customer's tags, as ids."""
    follows = stack.wecom.ask(f"customers/{external_userid}")["follows"]
    return Counter(tag["tag_id"] if isinstance(tag, dict) else tag for follow in follows for tag in follow["tags"])


def make_rule(hq, tag: str) -> None:
    """HQ: whoever was added within a day gets the tag; those of before are left alone."""
    hq.open("/rules/new/")
    hq.page.get_by_label("名称").fill("新客进试吃会")
    hq.page.get_by_label("添加时间在近").fill("1")
    hq.page.get_by_label("添加时间在近").blur()
    expect(hq.page.locator("#builder")).to_contain_text("最近添加时间")
    hq.page.locator("details:has([name=tags_add]) > summary").click()
    hq.page.get_by_role("group", name="打上标签").get_by_text(tag, exact=True).click()
    hq.press("保存")
    hq.press("启用")
    hq.press("启用", within=hq.page.locator("#confirm-dialog"))
    hq.see("已启用")


def make_segment(hq, name: str, tag: str, size: int) -> None:
    """HQ: the people with the tag."""
    hq.open("/segments/new/")
    hq.page.get_by_label("名称").fill(name)
    hq.page.get_by_text("有任一标签").click()
    hq.page.locator("#builder").get_by_text(tag, exact=True).click()
    expect(hq.page.locator("#builder")).to_contain_text(f"{size} 人")
    hq.press("保存")
    address = hq.page.url
    for _second in range(30):  # a worker computes it
        if hq.page.get_by_role("heading", level=1).get_by_text("已更新").count():
            break
        hq.page.wait_for_timeout(1000)
        hq.open(address)
    expect(hq.page.locator(".stat", has_text="人数").locator(".stat-value")).to_have_text(str(size))


def write_broadcast(author, name: str, text: str, segment: str, notify: datetime, until: datetime, people: int) -> str:
    """The author: 内容 → 人群 → 体检 → 提交. The broadcast's id."""
    author.open("/broadcasts/new/")
    author.page.get_by_label("名称").fill(name)
    author.page.get_by_label("消息类别").select_option(label="服务")
    author.page.get_by_label("文字", exact=True).fill(text)
    author.press("下一步:选人群")
    choices = author.page.get_by_label("发给哪个人群")
    wanted = choices.locator("option", has_text=segment).first.get_attribute("value")
    choices.select_option(value=wanted)
    author.page.get_by_label("通知时间").fill(local(notify))
    author.page.get_by_label("确认截止时间").fill(local(until))
    author.press("下一步:体检")
    planned = author.page.locator(".stat", has_text="预计发给").locator(".stat-value")
    for _second in range(30):  # WeCom's ledger of mass sends may still be read: until then quota is unknown
        if planned.inner_text() == str(people):
            break
        author.page.wait_for_timeout(1000)
        author.page.reload()
    expect(planned).to_have_text(str(people))
    author.press("提交审批")
    found = re.search(r"/broadcasts/(\d+)/", author.page.url)
    assert found, author.page.url
    return found[1]


def approve(approver, name: str) -> None:
    """The approver, on a phone or a desk."""
    approver.open("/approvals/")
    approver.page.get_by_role("link", name=re.compile(name)).first.click()
    approver.press("通过")


def agree(guide, name: str) -> None:
    """The guide agrees in 今日."""
    guide.open("/today/")
    card = guide.page.locator("article", has_text=name)
    guide.press("同意", within=card)
    expect(guide.page.locator("article", has_text=name)).to_contain_text("已同意")


def numbers(page) -> dict[str, tuple[str, int]]:
    """The funnel's totals: column → (address of the rows, number)."""
    table = page.locator("table:has(tfoot)")
    names = [text.split("\n")[0].strip() for text in table.locator("thead th").all_inner_texts()][1:]
    found = {}
    for name, cell in zip(names, table.locator("tfoot td").all(), strict=True):
        link = cell.locator("a")
        url = link.get_attribute("href") if link.count() else ""
        found[name] = (url, int(cell.inner_text().replace(",", "")))
    return found


def test_the_main_job(stack, desk):
    wecom, driver = stack.wecom, stack.driver()
    tag_id = wecom.hand("console_tags", group="活动", names=[TAG])["tags"][TAG]
    stack.inside("welcome_everybody", text="欢迎来到{门店名},我是{导购名}。")
    wait_until("the new tag", lambda: stack.value("SELECT count(*) FROM tagging_tag WHERE wecom_tag_id = %s", tag_id))

    hq = desk("hq")
    hq.open("/")
    hq.fits()
    hq.picture("home-1440")
    hq.open("/contacts/")
    hq.see(f"共 {stack.value('SELECT count(*) FROM contacts_contact WHERE root_id IS NULL')} 位客户")
    hq.fits()
    hq.picture("contacts-1440")
    make_rule(hq, TAG)

    people = {}
    for number, userid in enumerate((GUIDE, GUIDE, GUIDE, OWNER), start=1):
        name = f"试吃来客{number}号"
        people[name] = wecom.hand("add", userid=userid, name=name)["external_userid"]
    for name, external in people.items():
        wait_until(f"the welcome of {name}", lambda external=external: received(stack, external, "欢迎来到"), 20)
        wait_until(f"the tag of {name}", lambda external=external: tags_of(stack, external)[tag_id], 60)
    assert received(stack, people["试吃来客1号"], "我是吴桐") == 1
    driver.settle()
    hq.open("/contacts/?q=试吃来客")
    hq.see("共 4 位客户")
    expect(hq.page.locator("tbody tr", has_text="试吃来客1号")).to_contain_text(TAG)
    make_segment(hq, "试吃会来客", TAG, 4)

    now = driver.now()
    notify, until = now + timedelta(minutes=30), now + timedelta(hours=8)
    text = "周六下午试吃新品,到{门店名}报暗号「可颂」。"
    broadcast = write_broadcast(desk("author"), "周六试吃", text, "试吃会来客", notify, until, people=4)
    approve(desk("approver", PHONE), "周六试吃")

    guide = desk("guide", PHONE)
    guide.open("/today/")
    guide.fits()
    guide.picture("today-375")
    agree(guide, "周六试吃")
    assert wecom.hand("tasks")["tasks"] == [], "no task before 通知时间"

    driver.move_to(notify + timedelta(minutes=1))
    tasks = wait_until("the guide's task", lambda: wecom.hand("tasks")["tasks"])
    assert [task["userid"] for task in tasks] == [GUIDE], "the owner has not agreed"
    wecom.hand("confirm_all", userid=GUIDE)
    driver.advance(timedelta(minutes=5))
    inboxes = {name: received(stack, external, "可颂") for name, external in people.items()}
    assert inboxes == {"试吃来客1号": 1, "试吃来客2号": 1, "试吃来客3号": 1, "试吃来客4号": 0}

    order = {
        "number": "E2E-1", "total_minor": 5_600, "ordered_at": driver.now().isoformat(),
        "external_userid": people["试吃来客2号"],
    }  # fmt: skip
    stack.visitor().api("POST", "/api/v1/orders/", {"source": "pos", "orders": [order]})
    driver.settle()
    buyer = "SELECT contact_id FROM contacts_identity WHERE value = %s"
    guide.open(f"/contacts/{stack.value(buyer, people['试吃来客2号'])}/")
    guide.see("E2E-1")
    guide.fits()
    guide.picture("customer-375")

    driver.move_to(until + timedelta(minutes=5))
    hq.open(f"/broadcasts/{broadcast}/")
    hq.see("已结束")
    hq.see("超时未确认")
    hq.fits()
    hq.picture("broadcast-1440")

    hq.open("/reports/funnel/")
    option = hq.page.locator("select[name=push] option", has_text="周六试吃").first.get_attribute("value")
    hq.open(f"/reports/funnel/?push={option}&by=guide&window=7")
    found = numbers(hq.page)
    seen = {name: number for name, (_url, number) in found.items()}
    assert {name: seen[name] for name in ("圈选", "已同意", "已确认发送", "发送成功", "下单人数")} == {
        "圈选": 4, "已同意": 3, "已确认发送": 3, "发送成功": 3, "下单人数": 1,
    }, seen  # fmt: skip
    hq.picture("funnel-1440")
    for name, (url, number) in found.items():
        if number:
            hq.open(url)
            assert hq.page.locator("table tbody tr").count() == number, name


def test_a_group_broadcast(stack, desk):
    """The author chooses one group; its owner agrees and confirms; that group receives it once, the others nothing."""
    wecom, driver = stack.wecom, stack.driver()
    groups = wecom.ask("groups")["groups"]
    chosen = groups[0]
    now = next_morning(driver)
    author = desk("author")
    author.open("/broadcasts/new/?target=groups")
    author.page.get_by_label("名称").fill("群里说一声")
    author.page.get_by_label("消息类别").select_option(label="服务")
    author.page.get_by_label("文字", exact=True).fill("明早第一炉8点出炉,想留的接龙。")
    author.press("下一步:选人群")
    author.page.get_by_label(re.compile(re.escape(chosen["name"]))).first.check()
    author.page.get_by_label("通知时间").fill(local(now + timedelta(minutes=30)))
    author.page.get_by_label("确认截止时间").fill(local(now + timedelta(hours=8)))
    author.press("下一步:体检")
    author.press("提交审批")
    approve(desk("approver"), "群里说一声")

    owner = {"fangxiaoman": "hq", "wutong": "guide"}[chosen["owner"]]
    agree(desk(owner, PHONE), "群里说一声")
    driver.move_to(now + timedelta(minutes=31))
    wait_until("the owner's task", lambda: wecom.hand("tasks", userid=chosen["owner"])["tasks"])
    wecom.hand("confirm_all", userid=chosen["owner"])
    driver.advance(timedelta(minutes=5))

    counts = {group["chat_id"]: in_group(stack, group["chat_id"], "第一炉") for group in groups}
    assert counts == {group["chat_id"]: int(group is chosen) for group in groups}
    author.open("/broadcasts/")
    expect(author.page.locator("tr", has_text="群里说一声")).to_contain_text("已结束")


def test_a_sop_of_two_steps(stack, desk):
    """Day 0 at the next slot, day 3 at its slot: each customer who came gets each step once, after her guide agreed and confirmed."""
    wecom, driver = stack.wecom, stack.driver()
    next_morning(driver)
    author = desk("author")
    author.open("/sops/new/")
    author.page.get_by_label("名称").fill("新客三天")
    for index, (day, text) in enumerate(((0, "欢迎来,出炉时间8点和15点。"), (3, "尝过可颂了吗?这周有新口味。"))):
        step = author.page.get_by_role("region", name=f"第 {index + 1} 步")
        step.get_by_label("第几天").fill(str(day))
        step.get_by_label("发送时段").select_option("15:00")
        step.get_by_label("文字").fill(text)
    author.press("保存")
    author.press("提交审批")
    approve(desk("approver"), "新客三天")

    people = [wecom.hand("add", userid=GUIDE, name=f"三天来客{n}号")["external_userid"] for n in (1, 2)]
    for external in people:
        wait_until("the newcomer in our rows", lambda external=external: stack.value(
            "SELECT count(*) FROM campaigns_enrollment e JOIN contacts_identity i ON i.contact_id = e.contact_id WHERE i.value = %s",
            external,
        ))  # fmt: skip
    guide = desk("guide", PHONE)
    for days, marker in ((0, "出炉时间"), (3, "新口味")):
        at_slot(driver, days)
        agree(guide, "新客三天")
        driver.advance(timedelta(minutes=2))
        wait_until("the guide's task", lambda: wecom.hand("tasks", userid=GUIDE)["tasks"])
        wecom.hand("confirm_all", userid=GUIDE)
        driver.advance(timedelta(minutes=5))
        assert [received(stack, external, marker) for external in people] == [1, 1]
    assert [received(stack, external, "出炉时间") for external in people] == [1, 1], "the first step is not repeated"


def in_group(stack, chat_id: str, marker: str) -> int:
    """How often a message with these words lies in a group."""
    messages = stack.wecom.ask(f"groups/{chat_id}/inbox")["messages"]
    return sum(marker in str(row["content"]) for row in messages)


def next_morning(driver) -> datetime:
    """9:20 of the next day in the shop, both clocks there."""
    now = driver.now().astimezone(ZONE)
    morning = now.replace(hour=9, minute=20, second=0, microsecond=0) + timedelta(days=1)
    driver.move_to(morning)
    return morning


def at_slot(driver, days: int) -> None:
    """15:01 of today, or of the day that lies `days` ahead; the mornings between are lived through."""
    for _day in range(days):
        next_morning(driver)
    driver.move_to(driver.now().astimezone(ZONE).replace(hour=15, minute=1, second=0, microsecond=0))
