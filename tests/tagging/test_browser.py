"""The builder, rules and the tag panel in a real browser, desk and phone."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from contacts.models import MemberAccount, Stage
from scrm.lib import clock
from tagging.models import FollowTag, Rule, Segment, TagGroup
from tests.support import tagging
from tests.support.browsing import check, open_page
from tests.support.core import log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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
    dialog = page.locator("#confirm-dialog")
    expect(dialog).to_contain_text("就:打标签「价格敏感」")
    dialog.get_by_role("button", name="启用").click()
    expect(page.get_by_text("已启用", exact=True)).to_be_visible()
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
