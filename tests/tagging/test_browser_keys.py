"""The builder and the order of rules, worked without a mouse."""

import pytest
from playwright.sync_api import expect

from tagging.models import Rule
from tagging.services import rules
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.browsing import open_page
from tests.support.core import log_in
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SAID = "() => { const one = document.activeElement; return one.getAttribute('aria-label') || one.textContent.trim() }"


def go(page, name, key="Tab"):
    """Tab, or back, to the control of this name."""
    passed = []
    while len(passed) < 60:
        page.keyboard.press(key)
        passed.append(page.evaluate(SAID))
        if passed[-1].startswith(name):
            return
    raise AssertionError(f"{name} is not reached by keys, only {passed}")


def press(page, name, key="Tab"):
    go(page, name, key)
    page.keyboard.press("Enter")


def test_conditions_are_added_moved_copied_nested_deleted_and_brought_back_by_keys(chromium, site, acme):
    tagging.make_person("王姐")
    page = open_page(chromium, site, log_in("hq"))
    page.goto(f"{site}/segments/new/?mode=tree")
    rows, groups = page.locator(".condition-leaf"), page.locator(".condition-group")
    press(page, "添加条件")
    expect(rows).to_have_count(1)
    press(page, "添加条件")
    expect(rows).to_have_count(2)
    go(page, "移动条件 2", "Shift+Tab")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#h-r-0")).to_be_focused()
    press(page, "复制这个条件")
    expect(rows).to_have_count(3)
    press(page, "移动这个条件")
    press(page, "包成一组")
    expect(groups).to_have_count(2)
    press(page, "删除这组", "Shift+Tab")
    expect(groups).to_have_count(1)
    expect(rows).to_have_count(2)
    press(page, "撤销", "Shift+Tab")
    expect(groups).to_have_count(2)
    expect(rows).to_have_count(3)
    page.context.close()


def test_rules_are_put_in_order_by_keys_and_the_focus_stays(chromium, site, acme):
    tag = tagging.make_tag("敏感肌")
    act = [{"kind": "tag", "add": [tag.pk], "whose": "all"}]
    for name in ("甲", "乙", "丙"):
        rules.save_rule(
            None, name=name, tree=tree_of({"field": "contact.stage", "op": "empty"}), rule_actions=act, by=SYSTEM
        )
    page = open_page(chromium, site, log_in("hq"))
    page.goto(f"{site}/rules/")
    names = page.locator("#rules td.lead")
    go(page, "「丙」上移")
    for order in ("甲丙乙", "丙甲乙"):
        page.keyboard.press("Enter")
        expect(names).to_have_text(list(order))
        expect(page.locator(f"#earlier-{Rule.objects.get(name='丙').pk}")).to_be_focused()
    press(page, "「丙」下移")
    expect(names).to_have_text(list("甲丙乙"))
    assert list(Rule.objects.order_by("position").values_list("name", flat=True)) == ["甲", "丙", "乙"]
    page.context.close()
