"""The board in a real browser: dragging at the desk, the card's menu on a phone, the pages of the stages at both widths."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from contacts.models import Contact, MemberAccount, Stage
from contacts.services import stage_rules
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support import contacts as people
from tests.support.browsing import check, open_page
from tests.support.core import log_in
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(acme):
    """A guide whose customers stand in three stages, one of them for too long."""
    stages = people.make_stages()
    Stage.objects.filter(key="new").update(max_days=7)
    Stage.objects.filter(key="first_order").update(needs_reason=True)
    tree = tree_of({"field": "contact.name", "op": "contains", "value": "静"})
    stage_rules.save_rule(stages["interested"].pk, tree=tree, leads_back=True, by=SYSTEM)
    guide = people.make_member("林小雅", store=people.make_store("静安寺店"))
    rows = [("王姐-敏感肌-静安", "new", 12), ("小圆子", "new", 2), ("🌸阿May", "interested", 5), ("李敏", "loyal", 90)]
    found = {
        name: people.make_follow(
            people.make_contact(name, stage=stages[key], stage_since=clock.now() - timedelta(days=days)), guide
        ).contact
        for name, key, days in rows
    }
    return {"stages": stages, "guide": guide, "people": found}


def stands(name):
    return Contact.objects.values_list("stage__key", flat=True).get(name=name)


@pytest.mark.parametrize("width", [1440, 375])
def test_every_page_of_the_stages_fits_and_reads(chromium, site, world, width):
    page = open_page(chromium, site, log_in("hq"), width)
    loyal, new = world["stages"]["loyal"].pk, world["stages"]["new"].pk
    pages = {
        "board": "/board/",
        "overdue": "/board/overdue/",
        "stages": "/stages/",
        "stage-new": "/stages/new/",
        "stage-edit": f"/stages/{new}/",
        "stage-archive": f"/stages/{loyal}/archive/",
        "stage-rule": f"/stages/{world['stages']['interested'].pk}/rule/",
        "contact-move": f"/contacts/{world['people']['小圆子'].pk}/move/",
    }
    for name, path in pages.items():
        assert page.goto(site + path).status == 200, path
        check(page, name)
    page.context.close()


def column(page, world, key):
    return page.locator(f"[data-board-stage='{world['stages'][key].pk}']")


def test_a_card_is_dragged_to_another_column_and_asked_for_a_reason_where_one_is_wanted(chromium, site, world):
    page = open_page(chromium, site, log_in("hq"))
    page.goto(f"{site}/board/")
    page.locator("[data-board-card]", has_text="小圆子").drag_to(column(page, world, "interested"))
    expect(column(page, world, "interested")).to_contain_text("小圆子")
    assert stands("小圆子") == "interested"

    page.locator("[data-board-card]", has_text="小圆子").drag_to(column(page, world, "first_order"))
    expect(page.get_by_role("alert")).to_contain_text("要写原因")
    page.get_by_label("原因", exact=True).fill("店里买的")
    page.get_by_role("button", name="移动").click()
    expect(column(page, world, "first_order")).to_contain_text("小圆子")
    assert stands("小圆子") == "first_order"
    page.context.close()


def test_the_second_of_two_operators_sees_who_was_first(chromium, site, world):
    first, second = (open_page(chromium, site, log_in("hq")) for _operator in range(2))
    for page in (first, second):
        page.goto(f"{site}/board/")
    first.locator("[data-board-card]", has_text="小圆子").drag_to(column(first, world, "interested"))
    expect(column(first, world, "interested")).to_contain_text("小圆子")
    second.locator("[data-board-card]", has_text="小圆子").drag_to(column(second, world, "repeat"))
    expect(second.get_by_role("alert")).to_contain_text("现在在「有意向」")
    assert stands("小圆子") == "interested"
    first.context.close()
    second.context.close()


def test_a_guide_moves_a_customer_by_the_cards_menu_on_the_phone(chromium, site, world):
    client = log_in("guide")
    MemberAccount.objects.create(user=client.user, member=world["guide"])
    page = open_page(chromium, site, client, 375)
    page.goto(f"{site}/board/")
    page.get_by_label("移动 小圆子").click()
    page.locator("details[open]").get_by_role("button", name="有意向").click()
    expect(page.locator("[role=status]", has_text="已移到")).to_be_visible()
    check(page, "guide-board")
    assert stands("小圆子") == "interested"
    page.context.close()
