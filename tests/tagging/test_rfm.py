"""The RFM grid: its bands, that each cell opens into exactly its people, and the way to a segment."""

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.models import Role
from commerce.models import Order
from contacts import advanced
from contacts.models import Contact
from scrm.lib import clock
from tagging import rfm
from tagging.matching import matching_people
from tagging.models import RfmGrid
from tagging.services import rfm as stored_grid
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.contacts import make_store
from tests.support.core import grant, log_in, make_user

pytestmark = pytest.mark.django_db
NOW = tagging.NOW


def buy(person: Contact, days: float, times: int = 1, status: str = "paid", money: int = 10_000) -> None:
    """The last of `times` orders lies `days` back, the others each a day before it."""
    for index in range(times):
        when = NOW - timedelta(days=days + index)
        number = f"R{Order.objects.count()}"
        Order.objects.create(
            source="pos", number=number, status=status, currency="CNY", total_minor=money, ordered_at=when, contact=person,
            created_at=NOW, updated_at=NOW,
        )  # fmt: skip


@pytest.fixture
def buyers(acme: Any) -> list[Contact]:
    """Forty buyers of many kinds, and some who are none."""
    chance = random.Random(5)
    people = [tagging.make_person(f"客户{n}") for n in range(40)]
    for person in people:
        buy(person, chance.choice([0, 1, 7, 30, 30.5, 90, 200, 364.9]), chance.choice([1, 1, 1, 2, 3, 8]))
    buy(tagging.make_person("买得早"), 365)
    buy(tagging.make_person("已取消"), 3, status="cancelled")
    buy(tagging.make_person("没有了", erased_at=NOW), 3)
    buy(tagging.make_person("旧号", root=people[0]), 2)
    return people


def test_every_buyer_is_in_one_cell_and_each_cell_opens_into_its_people(buyers):
    grid = rfm.measure(NOW)
    assert grid.people == 40
    assert 1 <= len(grid.days) <= 4 and 1 <= len(grid.times) <= 4
    for r in range(len(grid.days) + 1):
        for f in range(len(grid.times) + 1):
            found = matching_people(rfm.tree_of(grid.days, grid.times, [(r, f)]), NOW).count()
            assert found == grid.cells.get((r, f), (0, 0, 0))[0], (r, f)
    everybody = [(r, f) for r in range(len(grid.days) + 1) for f in range(len(grid.times) + 1)]
    assert matching_people(rfm.tree_of(grid.days, grid.times, everybody), NOW).count() == 40


def test_money_is_net_of_refunds_and_branches_count_for_their_root(acme):
    kept = tagging.make_person("留下")
    buy(kept, 5, money=10_000)
    buy(tagging.make_person("并入", root=kept), 9, money=3_000)
    Order.objects.filter(total_minor=3_000).update(refunded_minor=1_000)
    assert list(rfm.measure(NOW).cells.values()) == [(1, 12_000, 2)]


def test_equal_quantiles_fall_together_and_nobody_at_all_is_no_grid(acme):
    assert rfm.measure(NOW).people == 0
    for number in range(6):
        buy(tagging.make_person(f"单客{number}"), 3)
    grid = rfm.measure(NOW)
    assert (grid.days, grid.times) == ((), ())
    assert grid.cells == {(0, 0): (6, 60_000, 6)}


def test_the_grid_is_asked_for_computed_once_and_again_a_day_later(buyers, at):
    stored_grid.request_grid(by=SYSTEM)
    stored_grid.request_grid(by=SYSTEM)
    assert stored_grid.drain(clock.wall() + timedelta(seconds=20)) is False
    row, grid = stored_grid.stored()
    assert grid == rfm.measure(NOW) and row.computed_at == NOW
    assert stored_grid.next_due() == NOW + timedelta(days=1)
    assert stored_grid.count_due() == 0
    at(NOW + timedelta(days=1))
    assert stored_grid.count_due() == 1


def test_a_grid_that_takes_too_long_is_stopped_and_tried_again_a_day_later(buyers, at, monkeypatch):
    stored_grid.request_grid(by=SYSTEM)
    with monkeypatch.context() as hurried:
        hurried.setattr(stored_grid, "PATIENCE", timedelta(milliseconds=50))
        hurried.setattr(stored_grid, "measure", slept)
        stored_grid.drain(clock.wall() + timedelta(seconds=20))
    assert stored_grid.stored()[1] is None and stored_grid.next_due() == NOW + timedelta(days=1)

    at(NOW + timedelta(days=1))
    stored_grid.drain(clock.wall() + timedelta(seconds=20))

    assert stored_grid.stored()[1] == rfm.measure(clock.now())


def slept(_now):
    """A statement of five seconds, in the room that sweeps have."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)
        cursor.execute("SELECT pg_sleep(5)")


def test_chosen_cells_open_the_builder_and_the_page_says_what_each_holds(acme_client, buyers, at):
    empty = acme_client.get("/segments/rfm/").content.decode()
    assert "还没有算过" in empty
    assert acme_client.post("/segments/rfm/compute/").status_code == 302
    stored_grid.drain(clock.wall() + timedelta(seconds=20))
    page = acme_client.get("/segments/rfm/").content.decode()
    assert "各格合计 40 人" in page and "天内" in page and "¥" in page
    row = RfmGrid.objects.get()
    (r, f), *_rest = [(r, f) for r, f, *_values in row.cells]
    answer = acme_client.get("/segments/rfm/segment/", {"cell": [f"{r}-{f}"]})
    assert answer.status_code == 302
    builder = acme_client.get(answer.url)
    assert builder.context["tree"] == rfm.tree_of(row.days, row.times, [(r, f)])
    assert json.dumps(builder.context["tree"]) in json.dumps(advanced.unpack(answer.url.partition("where=")[2]))


@pytest.mark.parametrize("cells", [[], ["9-9"], ["x-1"], ["0-0-0"], ["99999999-1"]])
def test_a_choice_that_is_none_is_refused_with_what_to_do(acme_client, buyers, cells):
    stored_grid.request_grid(by=SYSTEM)
    stored_grid.drain(clock.wall() + timedelta(seconds=20))
    answer = acme_client.get("/segments/rfm/segment/", {"cell": cells})
    assert answer.status_code in (400, 422) and "勾选至少一格" in answer.content.decode()


def test_who_may_not_see_orders_may_not_see_the_grid(acme):
    client = log_in(make_user(permissions=["segments.view", "segments.edit"]))
    for method, path in (("get", ""), ("get", "segment/"), ("post", "compute/")):
        answer = getattr(client, method)(f"/segments/rfm/{path}")
        assert answer.status_code == 403 and "查看订单" in answer.content.decode()


def test_money_is_shown_only_where_the_orders_of_all_are_seen(acme, buyers):
    stored_grid.request_grid(by=SYSTEM)
    stored_grid.drain(clock.wall() + timedelta(seconds=20))
    user = make_user(permissions=["segments.view"])
    grant(user, Role.objects.create(name="订单", permissions=["orders.view"]), make_store())
    page = log_in(user).get("/segments/rfm/")
    assert page.status_code == 200 and not page.context["sees_money"]
