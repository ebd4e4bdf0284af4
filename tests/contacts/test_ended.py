"""已删除与回流: the tabs, what is shown to whom, whom to win back, and the alarm on a guide who deletes."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, DeletionAlarm, FollowPeriod, TimelineEvent
from contacts.services.alarms import bound_of
from contacts.services.opt_out import set_opt_out
from contacts.timeline import Restated, restate_events
from scrm.lib import clock
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.contacts import (
    event_fact,
    follow_info,
    make_alarm,
    make_follow,
    make_member,
    make_store,
    people_batch,
    person_row,
)
from tests.support.endings import added, ago, deleted_by, deliver, left, noon

pytestmark = pytest.mark.django_db
TABS = ("customer", "guide", "transfer", "lost", "returned", "win_back")


def page(client: Client, **query: Any) -> Any:
    response = client.get("/ended/", query)
    assert response.status_code == 200
    return response


def names(client: Client, **query: Any) -> list[str]:
    return [row["person"].name for row in page(client, **query).context["rows"]]


def counts(client: Client, **query: Any) -> dict[str, int]:
    tabs = page(client, **query).context["tabs"]
    return dict(zip((*TABS, "alarms"), (tab["count"] for tab in tabs), strict=True))


def test_each_way_of_ending_has_its_own_tab_and_a_transfer_is_no_loss(acme_client: Client) -> None:
    lin = make_member("林小雅", store=make_store())
    for external in ("a", "b", "c", "d"):
        added(lin, external, ago(40))
    left(lin, "a", ago(3))
    left(lin, "b", ago(2), by="guide")
    left(lin, "c", ago(1), by="transfer")

    assert [names(acme_client, tab=tab) for tab in TABS] == [["客a"], ["客b"], ["客c"], [], [], ["客b", "客a"]]
    assert counts(acme_client) == {
        "customer": 1, "guide": 1, "transfer": 1, "lost": 0, "returned": 0, "win_back": 2, "alarms": 0,
    }  # fmt: skip


def test_a_new_period_after_an_ended_one_is_a_return_and_needs_no_winning_back(acme_client: Client) -> None:
    lin = make_member("林小雅", store=make_store())
    added(lin, "a", ago(40))
    left(lin, "a", ago(5))
    added(lin, "a", ago(2))
    added(lin, "b", ago(2))

    assert names(acme_client, tab="returned") == ["客a"]
    assert names(acme_client, tab="customer") == ["客a"]
    assert names(acme_client, tab="win_back") == []
    assert FollowPeriod.objects.filter(ended_at__isnull=True).count() == 2


def test_a_pair_that_ended_twice_is_to_be_won_back_once(acme_client: Client) -> None:
    lin = make_member("林小雅", store=make_store())
    added(lin, "a", ago(40))
    left(lin, "a", ago(6))
    added(lin, "a", ago(5))
    left(lin, "a", ago(4))
    assert names(acme_client, tab="customer") == ["客a", "客a"]
    assert names(acme_client, tab="win_back") == ["客a"]


def test_the_list_names_another_guide_who_is_still_a_friend_and_the_wish_to_be_left_alone(acme_client: Client) -> None:
    lin, mei = make_member("林小雅", store=make_store()), make_member("梅梅", store=make_store("五角场"))
    added(lin, "a", ago(40))
    row = person_row("a", follow_info(lin.userid, ago(40)), follow_info(mei.userid, ago(20)), name="客a")
    deliver(people_batch(row, read_at=ago(20)))
    left(lin, "a", ago(3))
    set_opt_out(Contact.objects.get().pk, "forever", by=SYSTEM, at=ago(1))

    (shown,) = page(acme_client, tab="win_back").context["rows"]
    assert (shown["friend"].member, shown["is_opted_out"]) == (mei, True)
    assert any(cell["column"].key == "spent" for cell in shown["cells"])


def test_filters_narrow_the_rows_and_every_count(acme_client: Client) -> None:
    jing, wu = make_store("静安寺"), make_store("五角场")
    lin = make_member("林小雅", store=jing, search_text="林小雅 linxiaoya")
    mei = make_member("梅梅", store=wu, search_text="梅梅 meimei")
    added(lin, "a", ago(60))
    added(mei, "b", ago(60))
    left(lin, "a", ago(3))
    left(mei, "b", ago(20))

    assert names(acme_client) == ["客a", "客b"]
    assert names(acme_client, days=7) == ["客a"]
    assert names(acme_client, store=wu.pk) == ["客b"]
    assert names(acme_client, guide="linxia") == ["客a"]
    assert names(acme_client, member=mei.pk) == ["客b"]
    assert counts(acme_client, store=wu.pk)["win_back"] == 1
    for nonsense in (
        {"store": "x"},
        {"member": "9" * 30},
        {"day": "gestern"},
        {"day": "9999-12-31"},
        {"day": "0001-01-01"},
    ):
        assert names(acme_client, **nonsense) == []
    assert acme_client.get("/ended/", {"tab": "nonsense"}).status_code == 404


def test_pages_follow_each_other_and_cost_the_same(acme_client: Client) -> None:
    lin = make_member("林小雅", store=make_store())

    def go(stem: str, count: int) -> None:
        rows = [person_row(f"{stem}{n}", follow_info(lin.userid, ago(50)), name=f"{stem}{n}") for n in range(count)]
        deliver(people_batch(*rows, read_at=ago(49)))
        gone = [event_fact("del_follow_user", f"{stem}{n}", lin.userid, ago(2, n // 3)) for n in range(count)]
        deliver(people_batch(read_at=ago(1), events=gone))

    def cost(tab: str) -> int:
        page(acme_client, tab=tab)
        with CaptureQueriesContext(connection) as captured:
            page(acme_client, tab=tab)
        return len(captured)

    go("少", 2)
    few = {tab: cost(tab) for tab in TABS}
    go("多", 118)
    assert {tab: cost(tab) for tab in TABS} == few
    assert max(few.values()) <= 25
    seen, url = [], "/ended/"
    for _page in range(3):
        response = acme_client.get(url)
        seen += [row["person"].name for row in response.context["rows"]]
        url = "/ended/" + response.context["next_url"]
    assert len(seen) == len(set(seen)) == 120


def test_a_store_manager_and_a_guide_see_the_people_of_their_scope(make_user: Any, log_in: Any) -> None:
    jing = make_store("静安寺")
    user = make_user(role="guide")
    lin = make_member("林小雅", store=jing, user=user)
    mei = make_member("梅梅", store=make_store("五角场"))
    added(lin, "a", ago(40))
    added(mei, "b", ago(40))
    left(lin, "a", ago(3))
    left(mei, "b", ago(3))

    assert names(log_in("store", scope=jing)) == ["客a"]
    assert names(log_in(user)) == ["客a"]
    assert counts(log_in(user))["customer"] == 1
    assert log_in("content").get("/ended/").status_code == 403


def test_an_ending_found_by_a_sync_says_that_its_cause_is_unknown(acme_client: Client) -> None:
    lin = make_member("林小雅", store=make_store())
    added(lin, "a", ago(40))
    deliver(people_batch(read_at=ago(1), gone=[("a", lin.userid)]))
    assert names(acme_client, tab="lost") == ["客a"]
    assert names(acme_client, tab="win_back") == []


def test_the_bound_is_five_or_three_standard_deviations_days_without_deletions_included() -> None:
    assert bound_of([0] * 30) == 5
    assert bound_of([10] * 30) == 5  # steady: no deviation
    assert bound_of([30] + [0] * 29) == pytest.approx(3 * 30 * (29**0.5) / 30)


def test_more_than_five_deletions_a_day_raise_one_alarm_for_guide_and_day(acme_client: Client) -> None:
    lin, mei = make_member("林小雅", store=make_store()), make_member("梅梅", store=make_store())
    deleted_by(mei, "m", 5, noon(1))
    assert not DeletionAlarm.objects.exists()

    deleted_by(lin, "l", 6, noon(1))
    deleted_by(lin, "k", 2, noon(1) + timedelta(hours=1))

    alarm = DeletionAlarm.objects.get()
    assert (alarm.member, alarm.deleted, alarm.bound) == (lin, 8, 5.0)
    assert counts(acme_client)["alarms"] == 1
    assert len(names(acme_client, tab="guide", member=lin.pk, day=alarm.day.isoformat())) == 8


def test_a_guide_used_to_deleting_raises_no_alarm_by_what_is_usual_for_her() -> None:
    lin = make_member("林小雅", store=make_store())
    for back in range(2, 12):
        deleted_by(lin, f"d{back}x", 12 if back % 2 else 4, noon(back))
    DeletionAlarm.objects.all().delete()

    deleted_by(lin, "today", 12, noon(1))  # 3σ of her thirty days is above twelve

    assert not DeletionAlarm.objects.exists()


def test_transfers_and_customers_who_had_gone_already_are_no_deletions_of_hers() -> None:
    lin = make_member("林小雅", store=make_store())
    for n in range(7):
        added(lin, f"a{n}", ago(40))
        left(lin, f"a{n}", noon(1) + timedelta(minutes=n), by="transfer")
        added(lin, f"b{n}", ago(40))
        left(lin, f"b{n}", noon(2))
        left(lin, f"b{n}", noon(1) + timedelta(minutes=n), by="guide")
    assert not DeletionAlarm.objects.exists()


def test_an_alarm_goes_when_the_facts_behind_it_are_put_right_unless_somebody_handled_it() -> None:
    lin = make_member("林小雅", store=make_store())
    deleted_by(lin, "l", 6, noon(1))
    event = TimelineEvent.objects.filter(kind="follow.deleted_by_guide").earliest("pk")
    DeletionAlarm.objects.update(handled_at=clock.now())
    restate_events([Restated(event.fact_key, "follow.deleted_by_customer", event.occurred_at)])
    assert DeletionAlarm.objects.exists()

    DeletionAlarm.objects.update(handled_at=None)
    restate_events([Restated(event.fact_key, "follow.deleted_by_guide", event.occurred_at)])
    restate_events([Restated(event.fact_key, "follow.deleted_by_customer", event.occurred_at)])
    assert not DeletionAlarm.objects.exists()


def test_her_manager_handles_an_alarm_once_and_it_is_on_record(log_in: Any) -> None:
    jing = make_store("静安寺")
    alarm, foreign = make_alarm(make_member("林小雅", store=jing)), make_alarm()
    client = log_in("store", scope=jing)
    assert [row.pk for row in page(client, tab="alarms").context["rows"]] == [alarm.pk]

    assert client.post(f"/ended/alarms/{alarm.pk}/handled/").status_code == 302
    assert client.post(f"/ended/alarms/{alarm.pk}/handled/").status_code == 409
    assert client.post(f"/ended/alarms/{foreign.pk}/handled/").status_code == 404

    alarm.refresh_from_db()
    assert alarm.handled_by_id == client.user.pk
    assert AuditEntry.objects.filter(action="deletion_alarm.handled", subject_id=str(alarm.pk)).count() == 1


def test_nobody_sees_or_handles_an_alarm_about_herself(make_user: Any, log_in: Any) -> None:
    user = make_user(role="guide")
    alarm = make_alarm(make_member("林小雅", store=make_store(), user=user))
    client = log_in(user)
    assert list(page(client, tab="alarms").context["rows"]) == []
    assert client.post(f"/ended/alarms/{alarm.pk}/handled/").status_code == 404


def test_open_alarms_of_the_week_stand_on_the_home_page(acme_client: Client) -> None:
    lin = make_member("林小雅", store=make_store())
    make_follow(member=lin)
    assert "导购异常删除客户" not in acme_client.get("/").content.decode()
    make_alarm(lin, raised_at=clock.now())
    assert "导购异常删除客户" in acme_client.get("/").content.decode()
    DeletionAlarm.objects.update(handled_at=clock.now())
    assert "导购异常删除客户" not in acme_client.get("/").content.decode()


def test_deletions_cost_a_constant_number_of_queries_more() -> None:
    lin = make_member("林小雅", store=make_store())

    def cost(stem: str, count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            deleted_by(lin, stem, count, noon(1))
        return len(captured)

    cost("warm", 7)
    assert cost("few", 7) == cost("many", 40)
