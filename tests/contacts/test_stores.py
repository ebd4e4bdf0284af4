"""Stores: code, place, coordinates, hours and dates as typed, what is refused and with which words."""

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts import hours
from contacts.models import Region, Store, StorePlacement
from contacts.services import organisation
from contacts.services.archiving import archive, restore
from contacts.storeforms import StoreForm
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.audit import SYSTEM
from tests.support.contacts import make_dealer, make_region, make_store


def sent(**typed: Any) -> dict[str, Any]:
    return {"code": "SH01", "name": "静安寺店", "coord_source": "gcj02", "is_open": "on", **typed}


def refusal(**typed: Any) -> dict[str, list[str]]:
    form = StoreForm(sent(**typed), instance=Store())
    assert not form.is_valid()
    return {field: list(errors) for field, errors in form.errors.items()}


def saved(store: Store | None = None, **typed: Any) -> Store:
    form = StoreForm(sent(**typed), instance=store or Store())
    assert form.is_valid(), form.errors
    return organisation.save_store(form.save(commit=False), by=SYSTEM)


# --- hours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "spans"),
    [
        ("", []),
        ("休息", []),
        ("全天", [["00:00", "24:00"]]),
        ("10:00-22:00", [["10:00", "22:00"]]),
        ("9:30 - 12:00,13\uff1a00至18:00", [["09:30", "12:00"], ["13:00", "18:00"]]),
        ("14:00\u201320:00、8:00~12:00", [["08:00", "12:00"], ["14:00", "20:00"]]),
        ("10:00-14:00;14:00-24:00", [["10:00", "14:00"], ["14:00", "24:00"]]),
    ],
)
def test_hours_are_read_as_people_type_them(typed: str, spans: Any) -> None:
    assert hours.parse_day(typed) == spans
    assert hours.parse_day(hours.say_day(spans)) == spans


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("10-22", "请写成 10:00-22:00"),
        ("10:00-25:00", "00:00 到 24:00"),
        ("10:70-12:00", "00:00 到 24:00"),
        ("22:00-02:00", "剩下的写在第二天"),
        ("10:00-10:00", "结束不晚于开始"),
        ("10:00-14:00,13:00-18:00", "重叠"),
        ("1:00-2:00,3:00-4:00,5:00-6:00,7:00-8:00,9:00-10:00", "最多写 4 段"),
    ],
)
def test_hours_that_cannot_be_say_what_to_write(typed: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        hours.parse_day(typed)


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("国庆休息", "第 1 行:看不懂日期"),
        ("2026-10-01 休息\n2026-13-01 休息", "第 2 行:看不懂日期"),
        ("2026-10-01", "第 1 行:.*后面请写营业时间"),
        ("2026-10-01 休息\n2026/10/1 10:00-12:00", "第 2 行:2026-10-01 写了两次"),
        ("2026-10-01 12:00", "第 1 行:看不懂"),
        ("\n".join(f"2026-{1 + n // 28:02d}-{1 + n % 28:02d} 休息" for n in range(61)), "最多 60 天"),
    ],
)
def test_special_days_that_cannot_be_name_their_line(typed: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        hours.parse_special(typed)


def test_a_special_day_comes_before_its_weekday_and_an_untold_day_is_unknown() -> None:
    week = [[["10:00", "22:00"]] for _day in range(6)] + [[]]
    kept = hours.build(week, hours.parse_special("2026年10月1日 休息\n2026-10-02 12:00-18:00"))
    assert hours.on_day(kept, date(2026, 10, 1)) == []
    assert hours.on_day(kept, date(2026, 10, 2)) == [["12:00", "18:00"]]
    assert hours.on_day(kept, date(2026, 10, 3)) == [["10:00", "22:00"]]
    assert hours.on_day(kept, date(2026, 10, 4)) == []  # a Sunday
    assert hours.build([[]] * 7, {}) == {} and hours.on_day({}, date(2026, 10, 3)) is None
    assert hours.parse_special(hours.typed_special(kept)) == kept["special"]


# --- the form -------------------------------------------------------------------------------------------------------

pages = pytest.mark.django_db


@pages
def test_coordinates_are_kept_as_gcj02_with_where_they_came_from(acme: Any) -> None:
    store = saved(latitude="31.1774276", longitude="121.5272106", coord_source="wgs84")
    store.refresh_from_db()
    assert (str(store.latitude), str(store.longitude), store.coord_source) == ("31.175304", "121.531542", "wgs84")
    form = StoreForm(instance=store)
    assert (str(form["latitude"].value()), str(form["longitude"].value())) == ("31.177428", "121.527211")

    typed = {name: form[name].value() for name in ("latitude", "longitude", "coord_source")}
    saved(store, **typed, name="新名字")
    store.refresh_from_db()
    assert (str(store.latitude), str(store.longitude)) == ("31.175304", "121.531542")  # saving again moves nothing

    saved(store, latitude="", longitude="")
    store.refresh_from_db()
    assert (store.latitude, store.longitude) == (None, None)


@pages
@pytest.mark.parametrize(
    ("typed", "field", "why"),
    [
        ({"latitude": "31.2"}, "longitude", "一起填"),
        ({"latitude": "121.5", "longitude": "31.2"}, "latitude", "填反了"),
        ({"latitude": "99", "longitude": "200"}, "latitude", "请核对"),
        ({"opened_on": "2026-05-01", "closed_on": "2026-05-01"}, "closed_on", "晚于开店日期"),
        ({"closed_on": "2020-05-01"}, "closed_on", "取消勾选"),
        ({"day_2": "10-22"}, "day_2", "请写成"),
        ({"special": "明天休息"}, "special", "第 1 行"),
        ({"region": "77"}, "region", "已归档或不存在"),
        ({"code": ""}, "code", "必填|required|字段"),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(acme: Any, typed: dict[str, str], field: str, why: str) -> None:
    errors = refusal(**typed)
    assert list(errors) == [field]
    assert re.search(why, errors[field][0])


@pages
def test_a_code_of_another_store_is_refused_by_name_even_in_the_last_moment(acme: Any) -> None:
    other = make_store("五角场店", code="SH01")
    assert "五角场店" in refusal()["code"][0]
    archive(other, by=SYSTEM)
    assert "已归档" in refusal()["code"][0]
    with pytest.raises(Conflict, match="SH01"):
        organisation.save_store(Store(code="SH01", name="x"), by=SYSTEM)
    assert saved(code=" SH02 ").code == "SH02"


@pages
def test_a_region_archived_while_the_form_stood_open_takes_no_store(acme: Any) -> None:
    region, dealer = make_region("华东"), make_dealer("锦禾")
    form = StoreForm(sent(region=region.pk, dealer=dealer.pk), instance=Store())
    assert form.is_valid()
    archive(region, by=SYSTEM)
    with pytest.raises(UserError, match=r"华东.*先恢复"):
        organisation.save_store(form.save(commit=False), by=SYSTEM)
    assert not Store.objects.exists()


@pages
def test_a_store_does_not_come_back_into_an_archived_region(acme: Any) -> None:
    region = make_region("华东")
    store = make_store(region=region)
    archive(store, by=SYSTEM)
    archive(region, by=SYSTEM)
    with pytest.raises(UserError, match="先恢复「华东」"):
        restore(store, by=SYSTEM)
    restore(region, by=SYSTEM)
    restore(store, by=SYSTEM)
    assert Region.objects.get().stores.get() == store


@pages
def test_the_page_saves_and_shows_where_the_store_belonged(acme_client: Client) -> None:
    east, south = make_region("华东"), make_region("华南")
    week = {f"day_{n}": "10:00-22:00" for n in range(6)}
    answer = acme_client.post("/org/stores/new/", sent(region=east.pk, special="2026-10-01 休息", **week))
    store = Store.objects.get()
    assert answer.status_code == 302 and store.opening_hours["week"][6] == []
    today = clock.local_day(clock.now(), "Asia/Shanghai")
    assert hours.say_day(hours.on_day(store.opening_hours, today) or []) in acme_client.get("/org/").content.decode()

    StorePlacement.objects.update(placed_from=clock.now() - timedelta(days=30))
    seen = acme_client.get(f"/org/stores/{store.pk}/").context["form"]["seen"].value()
    acme_client.post(f"/org/stores/{store.pk}/", sent(region=south.pk, day_0="9:00-18:00", seen=seen))
    second = acme_client.post(f"/org/stores/{store.pk}/", sent(region=east.pk, name="别名", seen=seen))
    assert second.status_code == 409 and "被同事改过" in second.content.decode()
    page = acme_client.get(f"/org/stores/{store.pk}/").content.decode()
    assert "华东 · 直营" in page and "华南 · 直营" in page and "09:00-18:00" in page
    old, new = StorePlacement.objects.order_by("placed_from")
    assert (old.region, new.region, old.placed_to) == (east, south, new.placed_from)

    answer = acme_client.post(f"/org/stores/{store.pk}/", sent(day_0="早上"))
    assert answer.status_code == 422 and "看不懂「早上」" in answer.content.decode()

    store.refresh_from_db()
    seen = store.digest
    archive(store, by=SYSTEM)
    assert acme_client.post(f"/org/stores/{store.pk}/", sent(seen=seen)).status_code == 409
    organisation.save_store(store, by=SYSTEM)  # read before it was archived
    assert Store.objects.get().archived_at is not None


@pages
def test_the_list_of_stores_costs_the_same_for_few_and_for_many(acme_client: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert acme_client.get("/org/").status_code == 200
        return len(captured)

    make_store(region=make_region())
    cost()  # the log-in is touched once
    few = cost()
    for _number in range(20):
        make_store(region=make_region(), dealer=make_dealer())
    assert cost() == few
