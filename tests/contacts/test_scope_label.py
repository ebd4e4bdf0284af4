"""The header says whose data a page shows, counts the open stores of today, and asks the database once."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.scope import EVERYTHING, DataScope, scope_label
from contacts.models import Store
from scrm.lib import clock
from tests.support.contacts import make_dealer, make_region, make_store
from tests.support.core import grant, log_in, make_user

pytestmark = pytest.mark.django_db


def label(**reach: Any) -> str:
    return str(scope_label(DataScope(1, **{key: frozenset(ids) for key, ids in reach.items() if key != "own"}, own=reach.get("own", False))))  # fmt: skip


def test_it_names_the_places_and_counts_their_open_stores(acme: Any) -> None:
    east, chain = make_region("华东区"), make_dealer("华联")
    today = clock.local_day(clock.now(), "Asia/Shanghai")
    stores = [make_store(region=east, dealer=chain) for _number in range(3)] + [make_store(region=east)]
    make_store(region=east, is_open=False)
    make_store(region=east, archived_at=clock.now())
    make_store(region=east, opened_on=today + timedelta(days=1))
    make_store(region=east, closed_on=today)
    make_store(region=east, closed_on=today + timedelta(days=1), opened_on=today)

    assert label(region_ids=[east.pk]) == "仅华东区 5 店"
    assert label(dealer_ids=[chain.pk]) == "经销商 华联 3 店"
    Store.objects.filter(pk=stores[0].pk).update(name="静安寺店")
    assert label(store_ids=[stores[0].pk]) == "仅静安寺店"
    assert label(region_ids=[make_region("西北区").pk]) == "仅西北区 0 店"


def test_several_places_are_counted_together_and_each_store_once(acme: Any) -> None:
    east, south, chain = make_region("华东区"), make_region("华南区"), make_dealer("华联")
    make_store(region=east, dealer=chain)
    make_store(region=south)
    alone = make_store("拉萨店")
    assert label(region_ids=[east.pk, south.pk]) == "仅华东区、华南区 共 2 店"
    assert label(region_ids=[east.pk], dealer_ids=[chain.pk]) == "仅华东区、经销商 华联 共 1 店"
    every = label(region_ids=[east.pk, south.pk], dealer_ids=[chain.pk], store_ids=[alone.pk])
    assert every == "仅华东区、华南区、经销商 华联等 共 3 店"
    assert label(region_ids=[east.pk], own=True) == "仅华东区 1 店和本人客户"


def test_everything_a_guide_and_nothing_ask_for_little(acme: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert str(scope_label(EVERYTHING)) == "全部门店"
        assert label(own=True) == "仅本人客户"
        assert label() == "没有数据范围"


def test_a_page_asks_for_it_once(acme: Any) -> None:
    region = make_region("华东区")
    make_store(region=region)
    person = make_user("region", region)
    grant(person, person.grants.get().role, make_dealer("华联"))
    client = log_in(person)

    with CaptureQueriesContext(connection) as captured:
        page = client.get("/contacts/").content.decode()

    assert "仅华东区、经销商 华联 共 1 店" in page
    assert sum("open_together" in one["sql"] for one in captured) == 1
