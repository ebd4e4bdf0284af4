"""The customer list in a real browser at both widths: narrowed by a condition, saved as a view, seen with other columns."""

import pytest
from playwright.sync_api import expect

from tests.support import contacts as people
from tests.support.browsing import check, open_page
from tests.support.core import log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1440, 375])
def test_a_look_is_made_saved_and_found_again(chromium, site, acme, width):
    stages, lin = people.make_stages(), people.make_member("林小雅", store=people.make_store("静安寺店"))
    for name, stage in (("王姐-敏感肌", "new"), ("小圆子", "new"), ("🌸阿May", "loyal")):
        people.make_follow(people.make_contact(name, stage=stages[stage]), lin)
    page = open_page(chromium, site, log_in("hq"), width)

    page.goto(f"{site}/contacts/")
    page.get_by_role("link", name="高级筛选").click()
    page.get_by_label("新添加", exact=True).check(force=True)
    expect(page.locator("#builder")).to_contain_text("2 人")
    check(page, "list-where")
    page.get_by_role("button", name="查看这些客户").click()
    expect(page.locator("main")).to_contain_text("共 2 位客户")
    expect(page.locator("main")).not_to_contain_text("阿May")

    page.get_by_role("link", name="列", exact=True).click()
    drawer = page.locator("#columns")
    drawer.get_by_label("阶段停留", exact=True).check()
    drawer.get_by_label("「阶段停留」排在第几").fill("1")
    check(page, "list-columns")
    drawer.get_by_role("button", name="应用").click()
    expect(page.locator("#rows th").nth(2)).to_have_text("阶段停留")

    page.get_by_role("link", name="存为视图").click()
    check(page, "list-save")
    page.get_by_label("名称").fill("新客跟进")
    page.get_by_role("button", name="保存").click()
    expect(page.locator("[role=status]", has_text="已保存")).to_be_visible()

    page.goto(f"{site}/contacts/")
    page.locator("main summary", has_text="全部客户").click()
    page.get_by_role("link", name="新客跟进").click()
    expect(page.locator("main")).to_contain_text("共 2 位客户")
    check(page, "list-view")
    page.goto(f"{site}/contacts/views/")
    check(page, "list-views")
    page.context.close()
