"""Files of 门店 and 成员门店: new, changed, moved from a day on, and taken back without touching history."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contacts.models import Contact, Member, MemberPlacement, Store, StorePlacement
from contacts.services import archiving
from contacts.services.imports import running, staffing
from contacts.services.organisation import move_member
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support.contacts import make_dealer, make_follow, make_member, make_region, make_store
from tests.support.imports import brought_in, figures, problems, taken_back, tried, work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def test_stores_are_new_changed_or_as_they_were() -> None:
    east, dealer = make_region("华东"), make_dealer("海纳")
    make_store("旧名", code="S1", region=east)
    same = make_store("五角场", code="S2", city="上海")
    text = (
        "门店编码,门店名,大区,经销商,城市,营业状态,开店日期\n"
        "S1,静安寺,,海纳,上海,关店,2020-01-02\n"
        "S2,五角场,,,上海,营业中,\n"
        "S3,徐家汇,华东,,上海,,\n"
        "S4,,华东,,,,\n"
        "S5,某店,华西,,,,\n"
        "S3,再来,,,,,\n"
        "S6,某店,,,,不知道,\n"
    )
    trial = tried(text, "stores")
    assert figures(trial) == (1, 1, 1, 4)
    assert Store.objects.count() == 2
    run = brought_in(text, "stores")
    assert figures(run) == (1, 1, 1, 4)
    first, third = Store.objects.get(code="S1"), Store.objects.get(code="S3")
    assert (first.name, first.region, first.dealer, first.is_open, first.opened_on) == (
        "静安寺",
        east,
        dealer,
        False,
        date(2020, 1, 2),
    )
    assert (third.name, third.region, third.is_open) == ("徐家汇", east, True)
    assert StorePlacement.objects.get(store=third).region == east
    assert ["新门店要写门店名" in problems(run)[5], "华西" in problems(run)[6], "同一家门店" in problems(run)[7]] == [
        True
    ] * 3

    Store.objects.filter(pk=first.pk).update(city="苏州")
    taken_back(run)
    first.refresh_from_db()
    third.refresh_from_db()
    same.refresh_from_db()
    assert (run.rows_undone, run.rows_kept) == (1, 1)
    assert (first.name, first.dealer, first.is_open, first.opened_on, first.city) == ("旧名", None, True, None, "苏州")
    assert third.archived_at is not None
    assert same.archived_at is None


def test_an_archived_store_comes_back_by_file() -> None:
    store = make_store("静安寺", code="S1")
    archiving.archive(store, by=SYSTEM)
    run = brought_in("门店编码,城市\nS1,上海\n", "stores")
    store.refresh_from_db()
    assert (figures(run), store.archived_at, store.city) == ((0, 1, 0, 0), None, "上海")


def test_coordinates_are_kept_as_gcj02_with_their_system() -> None:
    run = brought_in(
        "门店编码,门店名,纬度,经度,坐标系\nS1,甲,31.2304,121.4737,GPS\nS2,乙,31.2304,121.4737,\nS3,丙,31.2,,\n",
        "stores",
    )
    first, second = Store.objects.order_by("code")
    assert (second.latitude, second.longitude, second.coord_source) == (
        Decimal("31.230400"),
        Decimal("121.473700"),
        "gcj02",
    )
    assert first.coord_source == "wgs84"
    assert first.latitude and 0.001 < abs(first.latitude - Decimal("31.2304")) < 0.01
    assert "一起写" in problems(run)[4]
    again = brought_in("门店编码,纬度,经度,坐标系\nS1,31.2304,121.4737,WGS-84\n", "stores")
    assert figures(again) == (0, 0, 1, 0)


def test_members_move_from_a_day_on_with_their_customers() -> None:
    old, new = make_store(code="S1"), make_store(code="S2")
    lin, mei = make_member("林小雅", userid="lin", store=old), make_member("梅梅", userid="mei")
    person = make_follow(member=lin).contact
    day = (clock.now() - timedelta(days=3)).date()
    run = brought_in(f"userid,门店编码,生效日期\nlin,S2,{day}\nmei,S1,\nlin,S1,\nnobody,S1,\nmei,S9,\n", "staffing")
    assert figures(run) == (0, 2, 0, 3)
    for row in (lin, mei, person):
        row.refresh_from_db()
    assert (lin.store, mei.store, person.store) == (new, old, new)
    before, after = MemberPlacement.objects.filter(member=lin).order_by("placed_from")
    assert before.placed_to == after.placed_from
    assert after.placed_from.date() in (day, day - timedelta(days=1))  # its midnight in the merchant's zone

    taken_back(run)
    for row in (lin, mei, person):
        row.refresh_from_db()
    assert (run.rows_undone, lin.store, mei.store, person.store) == (2, old, None, old)
    spans = MemberPlacement.objects.filter(member=lin).values_list("store", "placed_to")
    assert list(spans) == [(old.pk, None)]
    assert not MemberPlacement.objects.filter(member=mei).exists()


def test_few_members_with_many_customers_make_a_slice_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = make_store(code="S1"), make_store(code="S2")
    for userid, customers in (("a", 3), ("b", 1), ("c", 1), ("d", 0), ("e", 1)):
        member = make_member(userid=userid, store=old)
        for _number in range(customers):
            make_follow(member=member)
    monkeypatch.setattr(staffing, "CUSTOMERS", 2)
    moved: list[int] = []
    move = staffing.move_members

    def listening(moves: Any, **rest: Any) -> None:
        moved.append(len(moves))
        move(moves, **rest)

    monkeypatch.setattr(staffing, "move_members", listening)
    run = brought_in("userid,门店编码\na,S2\nb,S2\nc,S2\nd,S2\ne,S2\n", "staffing")
    assert (moved, figures(run)) == ([1, 3, 1], (0, 5, 0, 0))
    assert set(Contact.objects.values_list("store", flat=True)) == {new.pk}
    taken_back(run)
    assert (moved[3:], run.rows_undone) == ([1, 3, 1], 5)
    assert set(Contact.objects.values_list("store", flat=True)) == {old.pk}


def test_history_is_not_rewritten_and_a_later_move_is_kept() -> None:
    old, new, third = make_store(code="S1"), make_store(code="S2"), make_store(code="S3")
    lin = make_member("林小雅", userid="lin", store=old)
    start = MemberPlacement.objects.get(member=lin).placed_from.date()
    assert (
        "历史不改写"
        in problems(tried(f"userid,门店编码,生效日期\nlin,S2,{start - timedelta(days=9)}\n", "staffing"))[2]
    )
    assert "合理范围" in problems(tried("userid,门店编码,生效日期\nlin,S2,2099-01-01\n", "staffing"))[2]
    trial = tried("userid,门店编码\nlin,S2\n", "staffing")
    archiving.archive(new, by=SYSTEM)
    running.start(trial.pk, acts=False, by=SYSTEM)
    work()
    trial.refresh_from_db()
    assert figures(trial) == (0, 0, 0, 1) and "已归档" in problems(trial)[2]
    archiving.restore(new, by=SYSTEM)
    run = brought_in("userid,门店编码\nlin,S2\n", "staffing")
    move_member(lin.pk, third, by=SYSTEM)
    taken_back(run)
    assert (run.rows_undone, run.rows_kept) == (0, 1)
    assert Member.objects.get(pk=lin.pk).store == third
    assert new.pk != third.pk
