"""The customer page in a real browser: on a guide's phone with one hand, and at a desk."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from contacts.models import Note, Todo
from contacts.services import notes, todos
from contacts.services.remarks import Remark, edit_remark, wished
from scrm.lib import clock
from tests.support.browsing import check, open_page
from tests.support.contacts import make_contact, make_follow, make_group, make_member, make_stages, make_store
from tests.support.core import actor_of, log_in, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def person(acme: Any) -> Any:
    """A customer with some past, and the guide who knows her."""
    shop, user = make_store("静安寺"), make_user(role="guide", display_name="林小雅")
    lin = make_member("林小雅", store=shop, user=user)
    stages = make_stages()
    contact = make_contact("王姐", stage=stages["repeat"], stage_since=clock.now())
    follow = make_follow(
        contact, lin, remark="王姐-敏感肌-静安", description="爱喝茶,周末来店", remark_mobiles=["13812345678"]
    )
    make_follow(contact, make_member("梅梅", store=make_store("五角场")), relation="by_customer")
    make_group("静安寺福利群", owner=lin).memberships.create(
        kind=2, userid="wm1", name="王姐", contact=contact, joined_at=clock.now() - timedelta(days=1)
    )
    by, now = actor_of(user), clock.now()
    notes.write_note(
        contact.pk, "换季泛红,想要修护小样,问了三次价格,下次带她试用装。", by=by, at=now - timedelta(hours=2)
    )
    todos.add_todo(
        contact.pk,
        member=lin,
        text="带修护小样",
        due_at=now - timedelta(hours=1),
        remind=True,
        by=by,
        at=now - timedelta(days=1),
    )
    standing = wished(follow, [])
    edit_remark(follow.pk, Remark("王姐-敏感肌", *standing[1:]), seen=standing.digest, by=by, at=now)
    return contact


@pytest.mark.parametrize("width", [375, 1440])
def test_a_guide_works_on_the_page(chromium: Any, site: str, person: Any, width: int) -> None:
    user = person.owner.account.user
    page = open_page(chromium, site, log_in(user), width)
    page.goto(f"{site}/contacts/{person.pk}/")
    expect(page.locator("main").get_by_text("同步中")).to_be_visible()
    page.locator("#person-todos summary.btn").click()
    check(page, "customer")

    page.get_by_text("改期", exact=True).click()
    page.get_by_role("button", name="一周后").click()
    expect(page.locator("#person-todos")).not_to_contain_text("已逾期")

    page.get_by_label("写一条跟进记录").fill("约了周六下午三点")
    page.get_by_role("button", name="记下").click()
    expect(page.locator("#person-notes")).to_contain_text("约了周六下午三点")
    assert Note.objects.count() == 2

    page.locator("#person-todos summary.btn").click()
    page.get_by_label("要做什么").fill("周五提醒她带会员卡")
    page.locator("label.chip-pick", has_text="3 天后").click()
    page.get_by_role("button", name="加入待办").click()
    expect(page.locator("#person-todos")).to_contain_text("周五提醒她带会员卡")
    page.get_by_role("button", name="完成:带修护小样").click()
    expect(page.locator("#person-todos")).to_contain_text("已完成")
    assert Todo.objects.filter(done_at__isnull=False).count() == 1
    assert Todo.objects.get(done_at__isnull=True).due_at > clock.now() + timedelta(days=2)

    page.reload()
    page.get_by_label("类型").select_option("note.written")
    expect(page.locator("#timeline ol")).to_contain_text("约了周六下午三点")
    expect(page.locator("#timeline ol")).not_to_contain_text("周五提醒她带会员卡")
    page.get_by_label("谁", exact=True).select_option(f"user:{user.pk}")
    expect(page.locator("#timeline ol")).to_contain_text("操作:林小雅")

    page.goto(f"{site}/contacts/{person.pk}/follows/{person.follows.get(member=person.owner).pk}/remark/")
    check(page, "remark")
    page.goto(f"{site}/today/")
    check(page, "today-todos")


def test_the_same_page_at_a_desk(chromium: Any, site: str, person: Any) -> None:
    for width in (1440, 375):
        page = open_page(chromium, site, log_in("hq"), width)
        page.goto(f"{site}/contacts/{person.pk}/")
        check(page, "customer-desk")
