"""撞单: what is one and what is not, who is told and when, who sees it and deals with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from contacts.models import Clash, Contact, Member
from contacts.services import clashes
from contacts.services.merging import merge_roots
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants.audit import SYSTEM, Actor
from tenants.context import current_tenant
from tenants.ledger.models import AuditEntry
from tests.support import wecom
from tests.support.contacts import (
    event_fact,
    follow_info,
    make_clash,
    make_corp,
    make_duplicate,
    make_follow,
    make_member,
    make_store,
    people_batch,
    person_row,
)
from tests.support.core import log_in, make_user
from wecom_bridge.contracts import Refusal, handlers_for
from wecom_bridge.models import OutboundCommand

pytestmark = pytest.mark.django_db
# Wednesday, 10:00 in Shanghai.
MORNING = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


def minutes(number: float) -> datetime:
    return MORNING + timedelta(minutes=number)


def added(
    member: Member, when: datetime, *others: tuple[Member, datetime], source: str = "callback", **info: Any
) -> None:
    """The customer 客a adds a guide; WeCom shows the others, too."""
    follows = [follow_info(one.userid, at) for one, at in others] + [follow_info(member.userid, when, **info)]
    for handler in handlers_for("people"):
        handler(people_batch(person_row("a", *follows, name="客a"), corp=member.corp, source=source, read_at=when))


@pytest.fixture
def pair() -> tuple[Member, Member]:
    corp = wecom.make_corp()
    return (
        make_member("林小雅", store=make_store("静安寺"), corp=corp),
        make_member("梅梅", store=make_store("五角场"), corp=corp),
    )


def told() -> list[str]:
    """To whom the messages go."""
    return [userid for command in OutboundCommand.objects.order_by("pk") for userid in command.payload["touser"]]


@time_machine.travel(MORNING, tick=False)
def test_a_second_guide_is_noticed_once_and_both_and_the_manager_are_told(pair: Any) -> None:
    lin, mei = pair
    boss = make_user(role="store", scope=mei.store)
    manager = make_member("陈婧", store=mei.store, corp=mei.corp, user=boss)
    make_member("别店店长", corp=mei.corp, user=make_user(role="store", scope=make_store()))
    added(lin, minutes(-3000))
    for _ in range(2):  # a replay tells the same fact
        added(mei, minutes(-1), (lin, minutes(-3000)))
    clash = Clash.objects.get()
    assert (clash.contact, clash.member, clash.other, clash.told) == (Contact.objects.get(), mei, lin, "waiting")
    assert clashes.NOTICE.count_due() == 1
    clashes.NOTICE.drain(clock.wall() + timedelta(seconds=20))
    clash.refresh_from_db()
    assert (clash.told, clash.tell_at, sorted(told())) == (
        "sending",
        None,
        sorted([lin.userid, mei.userid, manager.userid]),
    )
    assert OutboundCommand.objects.get(payload__touser=[manager.userid]).payload["content"]["url"].endswith("/clashes/")
    command = OutboundCommand.objects.get(payload__touser__contains=lin.userid)
    assert "客a" in command.payload["content"]["description"]
    assert command.payload["content"]["url"].endswith(f"/contacts/{clash.contact_id}/")
    clashes.NOTICE.kind().on_result(command, {})
    assert Clash.objects.get().told == "sent"
    clashes.NOTICE.kind().on_refused(command, Refusal(81013, "x"))
    clashes.NOTICE.kind().on_result(command, {})  # the other message's success covers nothing
    assert Clash.objects.get().told_error.startswith("导购不在应用的可见范围里")
    assert clashes.NOTICE.kind().build(command) is not None
    clashes.handle(Clash.objects.all(), clash.pk, by=Actor("user", boss.pk))
    assert clashes.NOTICE.kind().build(command) is None  # settled before it went


@pytest.mark.parametrize("how", ["backfill", "assigned", "ended", "oneself", "only_friend"])
@time_machine.travel(MORNING, tick=False)
def test_what_is_no_clash(pair: Any, how: str) -> None:
    lin, mei = pair
    if how == "oneself":
        user = make_user(role="guide")
        lin, mei = (make_member(corp=lin.corp, user=user) for _ in range(2))
    if how != "only_friend":
        added(lin, minutes(-3000))
    if how == "ended":
        event = event_fact("del_external_contact", "a", lin.userid, minutes(-9), Source="DELETE_BY_TRANSFER")
        for handler in handlers_for("people"):
            handler(people_batch(corp=lin.corp, read_at=minutes(-9), events=[event]))
    others = [] if how in ("ended", "only_friend") else [(lin, minutes(-3000))]
    source = "backfill" if how == "backfill" else "callback"
    added(mei, minutes(-1), *others, source=source, add_way=202 if how == "assigned" else 1)
    assert not Clash.objects.exists()


@time_machine.travel(MORNING, tick=False)
def test_what_is_found_late_is_listed_and_tells_nobody(pair: Any) -> None:
    lin, mei = pair
    added(lin, minutes(-9000))
    added(mei, minutes(-3000), (lin, minutes(-9000)), source="reconcile")
    assert (Clash.objects.get().told, clashes.NOTICE.count_due()) == ("not", 0)


@time_machine.travel(MORNING + timedelta(hours=13), tick=False)  # 23:00
def test_at_night_the_message_waits_for_the_morning(pair: Any) -> None:
    lin, mei = pair
    added(lin, minutes(-3000))
    added(mei, clock.now(), (lin, minutes(-3000)))
    opens = datetime(2026, 3, 5, 1, 0, tzinfo=UTC)
    assert (Clash.objects.get().tell_at, clashes.NOTICE.next_due(), clashes.NOTICE.count_due()) == (opens, opens, 0)
    Clash.objects.update(tell_at=clock.now())  # was due by day
    clashes.NOTICE.drain(clock.wall() + timedelta(seconds=20))
    assert Clash.objects.get().tell_at == opens and not OutboundCommand.objects.exists()


@time_machine.travel(MORNING, tick=False)
def test_the_merchant_may_turn_the_message_off_and_a_corp_without_an_app_says_so(pair: Any, monkeypatch: Any) -> None:
    lin, mei = pair
    added(lin, minutes(-3000))
    with monkeypatch.context() as patch:
        patch.setattr(current_tenant(), "policy", {"contacts": {"tells_clashes": False}})
        added(mei, minutes(-1), (lin, minutes(-3000)))
    assert (Clash.objects.get().told, clashes.NOTICE.count_due()) == ("not", 0)

    bare = make_clash(
        make_follow(member=make_member(corp=make_corp(corp_id="ww-bare"))).contact, told="waiting", tell_at=clock.now()
    )
    Clash.objects.filter(pk=bare.pk).update(member=make_member(corp=bare.other.corp))
    clashes.NOTICE.drain(clock.wall() + timedelta(seconds=20))
    bare.refresh_from_db()
    assert (bare.told, "AgentId" in bare.told_error) == ("failed", True)


def test_the_list_shows_who_is_still_a_friend_and_is_dealt_with_once(acme_client: Client) -> None:
    person = make_follow().contact
    mei = make_member("梅梅", store=make_store())
    make_follow(person, mei)
    both = make_clash(person, member=mei)
    gone = make_clash()
    response = acme_client.get("/clashes/")
    assert {row["clash"].pk: row["both"] for row in response.context["rows"]} == {both.pk: True, gone.pk: False}
    assert response.context["tabs"][0]["count"] == response.context["total"].number == 2
    assert acme_client.post(f"/clashes/{both.pk}/handled/").status_code == 302
    with pytest.raises(Conflict):
        clashes.handle(Clash.objects.all(), both.pk, by=SYSTEM)
    (row,) = acme_client.get("/clashes/", {"state": "handled"}).context["rows"]
    assert row["who"] == acme_client.user
    assert AuditEntry.objects.filter(action="clash.handled").count() == 1


def test_each_sees_her_own_and_a_guide_decides_nothing() -> None:
    store = make_store()
    user = make_user(role="guide")
    lin = make_member("林小雅", store=store, user=user)
    mine, other = make_clash(make_follow(member=lin).contact), make_clash()
    guide, boss = log_in(user), log_in("store", scope=store)
    for client in (guide, boss):
        assert [row["clash"] for row in client.get("/clashes/").context["rows"]] == [mine]
        assert client.post(f"/clashes/{other.pk}/handled/").status_code == 404
    assert guide.post(f"/clashes/{mine.pk}/handled/").status_code == 404
    assert boss.post(f"/clashes/{mine.pk}/handled/").status_code == 302
    assert log_in(make_user(permissions=["orders.view"])).get("/clashes/").status_code == 403


def test_a_manager_sees_a_clash_of_her_guide_about_another_stores_customer_without_the_customers_page() -> None:
    here = make_store()
    mei = make_member("梅梅", store=here)
    clash = make_clash(make_follow(member=make_member(store=make_store())).contact, member=mei)
    (row,) = log_in("store", scope=here).get("/clashes/").context["rows"]
    assert (row["clash"], row["is_visible"]) == (clash, False)


def test_the_home_page_shows_whoever_decides_what_is_open() -> None:
    store = make_store()
    clash = make_clash(make_follow(member=make_member("林小雅", store=store)).contact, member=make_member("梅梅"))
    boss = log_in("store", scope=store)
    assert "又添加了 梅梅" in boss.get("/").content.decode()
    assert "又添加了" not in log_in("store", scope=make_store()).get("/").content.decode()
    clashes.handle(Clash.objects.all(), clash.pk, by=SYSTEM)
    assert "又添加了" not in boss.get("/").content.decode()


@pytest.mark.parametrize("maker", [make_clash, make_duplicate])
def test_the_database_keeps_one_row_for_each(maker: Any) -> None:
    row = maker()
    kept = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key}
    with pytest.raises(IntegrityError), transaction.atomic():
        type(row).objects.create(**kept)


def test_today_names_the_colleague_until_it_is_dealt_with() -> None:
    user = make_user(role="guide")
    lin = make_member("林小雅", store=make_store(), user=user)
    mei = make_member("梅梅", store=make_store())
    person = make_follow(member=lin).contact
    clash = make_clash(person, member=mei, other=lin)
    page = log_in(user).get(reverse("campaigns:today")).content.decode()
    assert "又添加了 梅梅" in page
    merge_roots([(make_follow().contact.pk, person.pk)], now=clock.now(), source="manual")
    assert (
        f"/contacts/{Contact.objects.get(pk=person.pk).root_pk}/"
        in log_in(user).get(reverse("campaigns:today")).content.decode()
    )
    Clash.objects.filter(pk=clash.pk).update(handled_at=clock.now())
    assert "又添加了" not in log_in(user).get(reverse("campaigns:today")).content.decode()


def test_the_list_costs_the_same_with_many(acme_client: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as spent:
            assert acme_client.get("/clashes/").status_code == 200
        return len(spent)

    make_clash()
    cost()
    few = cost()
    for _ in range(6):
        make_clash()
    assert cost() == few <= 18
