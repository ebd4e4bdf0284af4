"""The report pages: who may see them, what they cost, and that every number opens into as many rows."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from analytics.services import buckets
from contacts.services.stages import change_stage
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support import campaigns as reach
from tests.support import contacts as people
from tests.support.commerce import make_order
from tests.support.core import log_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def region():
    return people.make_region("华东")


@pytest.fixture
def store(region):
    return people.make_store("静安寺店", region=region)


@pytest.fixture
def push(store):
    with reach.at_time(reach.MORNING):
        push = reach.released(reach.make_customers(4, people.make_member("林小雅", store=store)))
        buckets.mark("push", keys=[push.pk])
        buckets.recompute_some(clock.wall() + timedelta(seconds=10))
        yield push


def links(html: str) -> list[str]:
    return [match.replace("&amp;", "&") for match in re.findall(r'href="(/reports/[^"]*rows[^"]*)"', html)]


def test_every_number_of_the_funnel_opens_into_as_many_rows(acme_client: Client, push):
    page = acme_client.get("/reports/funnel/", {"push": push.pk, "by": "guide"}).content.decode()
    cells = re.findall(r'<a href="(/reports/funnel/rows/[^"]+)">([\d,]+)</a>', page)
    assert cells
    for url, number in cells:
        rows = acme_client.get(url.replace("&amp;", "&"))
        assert rows.context["page"].paginator.count == int(number.replace(",", ""))


def test_orders_and_revenue_of_the_funnel_open_into_the_orders(acme_client: Client, store):
    with reach.at_time(reach.MORNING):
        push = reach.released(reach.make_customers(2, people.make_member("林小雅", store=store)))
        contacts = [row.contact for row in push.deliveries.all()]
        push.deliveries.update(state="sent", sent_at=clock.now())
        for contact, total in ((contacts[0], 12_300), (contacts[0], 700), (contacts[1], 1_000)):
            make_order(contact, ordered_at=clock.now() + timedelta(hours=1), total_minor=total)
        buckets.mark("push", keys=[push.pk])
        buckets.recompute_some(clock.wall() + timedelta(seconds=10))
        page = acme_client.get("/reports/funnel/", {"push": push.pk}).content.decode()
        url = re.search(r'href="(/reports/funnel/rows/orders/[^"]*)">\s*3 单 · 成交额 ¥140', page)
        assert url
        rows = acme_client.get(url[1].replace("&amp;", "&"))
        elsewhere = acme_client.get(url[1].replace("&amp;", "&") + "&store=none")

    assert rows.context["page"].paginator.count == 3
    assert sum(order.net_minor for _delivery, order in rows.context["rows"]) == 14_000
    assert elsewhere.context["page"].paginator.count == 0


def test_every_number_of_the_lifecycle_opens_into_as_many_rows(acme_client: Client, store):
    stages = people.make_stages()
    guide = people.make_member(store=store)
    contacts = [people.make_follow(member=guide).contact for _ in range(3)]
    change_stage([contacts[0].pk], stages["new"], source="manual", by=SYSTEM, at=clock.now())
    page = acme_client.get("/reports/lifecycle/", {"by": "store"}).content.decode()
    cells = re.findall(r'<a href="(/reports/lifecycle/rows/[^"]*)">([\d,]+)</a>', page)
    assert {int(number) for _url, number in cells} >= {1, 2, 3}
    for url, number in cells:
        rows = acme_client.get(url.replace("&amp;", "&"))
        assert rows.context["page"].paginator.count == int(number.replace(",", "")), url


def test_a_region_manager_sees_her_region_only(push, store, region):
    other = people.make_store(region=people.make_region("华南"))
    people.make_follow(member=people.make_member(store=other))
    client = log_in("region", scope=region)
    page = client.get("/reports/lifecycle/", {"by": "region"})
    assert page.context["people"] == 4
    assert list(client.get("/reports/funnel/").context["form"].fields["region"].queryset) == [region]


def test_a_guide_has_no_reports_and_starts_at_today():
    client = log_in("guide")
    assert client.get("/reports/funnel/").status_code == 403
    answer = client.get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/today/")


def test_an_unknown_metric_is_not_found(acme_client: Client):
    assert acme_client.get("/reports/funnel/rows/nonsense/").status_code == 404


def test_bad_choices_are_refused_in_words_and_the_page_still_shows(acme_client: Client, push):
    page = acme_client.get("/reports/funnel/", {"region": "x", "window": "9999", "by": "weather"})
    assert page.status_code == 200
    assert page.context["form"].errors.keys() >= {"region", "window", "by"}


def test_the_pages_cost_a_constant_number_of_queries(acme_client: Client, push, store, django_assert_max_num_queries):
    people.make_stages()
    for path in ("/reports/funnel/?by=guide", "/reports/lifecycle/?by=guide", "/reports/funnel/rows/targeted/"):
        with django_assert_max_num_queries(25):
            assert acme_client.get(path).status_code == 200


def test_an_empty_merchant_sees_no_zero_charts(acme_client: Client):
    for path in ("/reports/funnel/", "/reports/lifecycle/"):
        assert "data-chart" not in acme_client.get(path).content.decode()


def test_the_week_on_the_home_page_opens_into_as_many_rows(acme_client: Client, store):
    guide = people.make_member(store=store)
    contact = people.make_follow(member=guide).contact
    for _ in range(3):
        make_order(contact, ordered_at=clock.now() - timedelta(days=1), total_minor=12_300)
    for _ in range(5):
        make_order(contact, ordered_at=clock.now(), total_minor=100)
    buckets.recompute_some(clock.wall() + timedelta(seconds=10))
    page = acme_client.get("/").content.decode()
    assert "今天已有 5" in page, "a day that is not over is told apart"
    assert "前 7 天为 0" in page, "what was counted as none is not called unknown"
    url = re.search(r'href="(/reports/days/orders/[^"]+)">3</a>', page)
    assert url
    rows = acme_client.get(url[1].replace("&amp;", "&"))
    assert rows.context["page"].paginator.count == 3
    revenue = acme_client.get(url[1].replace("&amp;", "&").replace("orders", "revenue"))
    assert revenue.context["sum"] == 36_900


def test_a_week_like_the_one_before_is_called_level(acme_client: Client, store):
    contact = people.make_follow(member=people.make_member(store=store)).contact
    for days in (2, 9):
        make_order(contact, ordered_at=clock.now() - timedelta(days=days), total_minor=12_300)
    buckets.recompute_some(clock.wall() + timedelta(seconds=10))
    page = acme_client.get("/").content.decode()
    assert page.count("与前 7 天持平") == 2 and "0.0%" not in page


def test_an_impossible_span_is_refused_and_shows_the_last_week(acme_client: Client):
    page = acme_client.get("/reports/days/added/", {"start": "2026-03-05", "end": "2026-03-01"})
    assert page.status_code == 200
    assert "end" in page.context["form"].errors


def test_a_new_merchant_is_shown_her_first_steps(acme_client: Client):
    assert [step["label"] for step in acme_client.get("/").context["steps"]]


def test_a_funnel_that_is_being_counted_does_not_say_there_is_nothing(acme_client: Client):
    url = "/reports/funnel/"
    assert "还没有群发数据" in acme_client.get(url).content.decode()
    contact = people.make_follow(member=people.make_member()).contact
    make_order(contact, ordered_at=clock.now(), total_minor=100)
    page = acme_client.get(url)
    assert page.context["pending"] and "数据正在重算" in page.content.decode()
    assert "还没有群发数据" not in page.content.decode()
