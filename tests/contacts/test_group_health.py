"""客户群: health, how people came, what happened, who is in several groups, and tags of our own."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts import grouphealth
from contacts.models import Contact, GroupChat, GroupMembership, GroupTag, Member
from contacts.services import grouptags
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tenants.ledger.models import AuditEntry
from tests.support.contacts import (
    at,
    event_fact,
    group_info,
    group_member,
    groups_batch,
    make_contact,
    make_follow,
    make_group,
    make_identity,
    make_member,
    make_store,
)
from wecom_bridge.contracts import EventFact, handlers_for

pytestmark = pytest.mark.django_db


def deliver(batch: Any) -> None:
    for handler in handlers_for("groups"):
        handler(batch)


def group_event(detail: str, minutes: int, **fields: str) -> EventFact:
    fact = event_fact("update", "", "", at(minutes), ChatId="wr1", UpdateDetail=detail, **fields)
    return EventFact(fact.event_id, "change_external_chat", "update", fact.occurred_at, fact.received_at, fact.fields)


def join(group: GroupChat, *people: Contact, days: float = 1, left_days: float | None = None) -> None:
    now = clock.now()
    for person in people:
        left_at = None if left_days is None else now - timedelta(days=left_days)
        group.memberships.create(
            kind=2, userid=f"wm{person.pk}", name=person.name, contact=person, joined_at=now - timedelta(days=days), left_at=left_at
        )  # fmt: skip


def friends(count: int) -> list[Contact]:
    lin = make_member(store=make_store())
    return [make_follow(make_contact(), lin).contact for _number in range(count)]


def page(client: Client, url: str, **query: Any) -> Any:
    response = client.get(url, query)
    assert response.status_code == 200
    return response


def shown(client: Client, **query: Any) -> set[str]:
    return {row["group"].name for row in page(client, "/groups/", **query).context["rows"]}


def test_health_says_who_came_and_went_and_who_is_a_friend(acme_client: Client) -> None:
    group = make_group("福利群", owner=make_member(store=make_store()))
    one, two, three = friends(3)
    stranger = make_contact("路人")
    join(group, one)
    join(group, stranger, days=20)
    join(group, two, days=60, left_days=2)
    join(group, three, days=25, left_days=10)
    group.memberships.create(kind=1, userid="guide", joined_at=clock.now())

    (row,) = page(acme_client, "/groups/").context["rows"]

    assert (row["joined_7"], row["left_7"], row["net_7"]) == (1, 1, 0)
    assert (row["joined_30"], row["left_30"], row["net_30"]) == (3, 2, 1)
    assert row["friends"] == 1


def test_groups_are_found_by_how_full_they_are_whether_they_shrink_and_by_tag(acme_client: Client) -> None:
    make_group("空", member_count=399)
    nearly = make_group("八成", member_count=400)
    full = make_group("满", member_count=475)
    join(nearly, *friends(2), days=40, left_days=1)
    join(full, *friends(1))
    tag = grouptags.add_tag(full, "新客群", by=SYSTEM)

    assert shown(acme_client) == {"空", "八成", "满"}
    assert shown(acme_client, health="nearly_full") == {"八成", "满"}
    assert shown(acme_client, health="full") == {"满"}
    assert shown(acme_client, health="shrinking") == {"八成"}
    assert shown(acme_client, health="growing") == {"满"}
    assert shown(acme_client, tag=tag.pk) == {"满"}
    for nonsense in ({"health": "x"}, {"tag": "x"}, {"store": "9" * 40}, {"tag": "9" * 18}):
        assert shown(acme_client, **nonsense) == set()
    assert [grouphealth.fullness(group) for group in GroupChat.objects.order_by("pk")] == ["", "warn", "bad"]


def test_lists_of_groups_cost_the_same_whatever_their_number(acme_client: Client) -> None:
    owner = make_member(store=make_store())
    people = friends(4)

    def fill(count: int) -> None:
        for _number in range(count):
            group = make_group(owner=owner)
            join(group, *people)
            grouptags.add_tag(group, "同一个", by=SYSTEM)

    def cost(url: str) -> int:
        page(acme_client, url)
        with CaptureQueriesContext(connection) as captured:
            page(acme_client, url)
        return len(captured)

    fill(2)
    urls = ("/groups/", "/groups/repeated/", "/groups/?health=growing")
    few = [cost(url) for url in urls]
    fill(15)
    assert [cost(url) for url in urls] == few
    assert max(few) <= 20


def test_a_groups_page_costs_the_same_whatever_its_people(acme_client: Client) -> None:
    group = make_group(owner=make_member(store=make_store()))
    join(group, *friends(2))

    def cost() -> int:
        page(acme_client, f"/groups/{group.pk}/")
        with CaptureQueriesContext(connection) as captured:
            page(acme_client, f"/groups/{group.pk}/")
        return len(captured)

    few = cost()
    join(group, *friends(30))
    assert cost() == few <= 24


def test_a_member_is_shown_with_how_she_came_who_asked_her_in_and_how_many_groups_she_is_in(
    acme_client: Client,
) -> None:
    make_member("群主陈婧", userid="chen", store=make_store())
    person = make_follow(make_contact("小圆子")).contact
    make_identity(person, value="wm1")
    came = group_member("wm1", at(1), join_scene=3, invitor_userid="chen", name="小圆子")
    deliver(groups_batch(group_info("wr1", "chen", [came]), read_at=at(10)))
    join(make_group("另一个群"), person)
    group = GroupChat.objects.get(chat_id="wr1")

    (row,) = page(acme_client, f"/groups/{group.pk}/").context["rows"]
    assert (row["scene"], row["invitor"], row["in_groups"]) == ("扫描群二维码", "群主陈婧", 2)

    left = group_event("del_member", 20, QuitScene="1", MemChangeList="wm1")
    deliver(groups_batch(group_info("wr1", "chen", []), read_at=at(25), events=[left]))
    (row,) = page(acme_client, f"/groups/{group.pk}/", tab="left").context["rows"]
    assert row["quit"] == "群主或管理员移出"


def test_joins_leaves_and_a_change_of_owner_stand_in_the_groups_history(acme_client: Client) -> None:
    make_member("群主陈婧", userid="chen")
    make_member("梅梅", userid="mei")
    person = make_follow(make_contact("小圆子")).contact
    make_identity(person, value="wm1")
    known, unknown = group_member("wm1", at(1)), group_member("wm2", at(2), name="路人")
    deliver(groups_batch(group_info("wr1", "chen", [known, unknown]), read_at=at(10)))
    deliver(groups_batch(group_info("wr1", "mei", [known], member_version="v2"), read_at=at(20)))
    group = GroupChat.objects.get()

    rows = page(acme_client, f"/groups/{group.pk}/", tab="history").context["events"]

    told = [(row["event"].kind, row["text"], row["contact_id"]) for row in rows]
    assert sorted(told[:2]) == [("group.left", "路人", None), ("group.owner_changed", "群主陈婧 → 梅梅", None)]
    assert told[2:] == [("group.joined", "路人", None), ("group.joined", "小圆子", person.pk)]


def test_a_long_history_is_paged_without_gap_or_repeat(acme_client: Client) -> None:
    make_member(userid="chen")
    people = [group_member(f"wm{n}", at(n // 4), name=f"客{n}") for n in range(120)]
    deliver(groups_batch(group_info("wr1", "chen", people), read_at=at(100)))
    group = GroupChat.objects.get()
    seen: list[int] = []
    url = "?tab=history"
    for _page in range(3):
        response = page(acme_client, f"/groups/{group.pk}/{url}")
        seen += [row["event"].pk for row in response.context["events"]]
        url = response.context["next_url"]
    assert len(seen) == len(set(seen)) == 120
    assert not url


def test_people_in_several_groups_are_listed_with_them_and_a_merged_one_counts_once(acme_client: Client) -> None:
    first, second, third = make_group("一群"), make_group("二群"), make_group("三群")
    one, two, twin = friends(3)
    join(first, one, two)
    join(second, one)
    join(third, twin)
    assert [row["person"] for row in page(acme_client, "/groups/repeated/").context["rows"]] == [one]

    Contact.objects.filter(pk=twin.pk).update(root=two)

    rows = page(acme_client, "/groups/repeated/").context["rows"]
    assert {row["person"].pk: {group.name for group in row["groups"]} for row in rows} == {
        one.pk: {"一群", "二群"},
        two.pk: {"一群", "三群"},
    }
    assert page(acme_client, "/groups/repeated/", least=3).context["total"] == 0
    GroupMembership.objects.filter(group=second).update(left_at=clock.now())
    assert page(acme_client, "/groups/repeated/").context["total"] == 1


def test_groups_outside_the_scope_are_neither_listed_nor_counted(make_user: Any, log_in: Any) -> None:
    jing = make_store("静安寺")
    user = make_user(role="guide")
    lin = make_member("林小雅", store=jing, user=user)
    person = make_follow(member=lin).contact
    hers, foreign = make_group("她的群", owner=lin), make_group("别人的群")
    join(hers, person)
    join(foreign, person)

    for client in (log_in(user), log_in("store", scope=jing)):
        assert shown(client) == {"她的群"}
        assert page(client, "/groups/repeated/").context["total"] == 0
        (row,) = page(client, f"/groups/{hers.pk}/").context["rows"]
        assert row["in_groups"] == 1
        assert client.post(f"/groups/{foreign.pk}/tags/", {"name": "新客群"}).status_code == 404
    assert log_in("content").get("/groups/repeated/").status_code == 403


def test_a_tag_is_put_on_once_taken_off_and_stays_in_the_dictionary(acme_client: Client) -> None:
    group, other = make_group(), make_group()
    for target in (group, group, other):
        assert acme_client.post(f"/groups/{target.pk}/tags/", {"name": "  新客  群 "}).status_code == 302
    tag = GroupTag.objects.get()
    assert (tag.name, tag.taggings.count()) == ("新客 群", 2)
    assert "新客 群" in page(acme_client, f"/groups/{group.pk}/").content.decode()

    acme_client.post(f"/groups/{group.pk}/tags/{tag.pk}/remove/")
    assert list(tag.groups.all()) == [other]
    for _twice in range(2):
        acme_client.post(f"/groups/{other.pk}/tags/{tag.pk}/remove/")
    assert GroupTag.objects.get() == tag and not tag.taggings.exists()
    assert AuditEntry.objects.filter(action="group.tagged").count() == 2
    assert AuditEntry.objects.filter(action="group.untagged").count() == 2


def test_a_tag_that_cannot_be_says_what_to_do(acme_client: Client) -> None:
    group = make_group()
    for name in ("", "   ", "长" * 31):
        response = acme_client.post(f"/groups/{group.pk}/tags/", {"name": name})
        assert response.status_code == 422
        assert "1 到 30 个字" in response.content.decode()
    for number in range(grouptags.MAX_PER_GROUP):
        grouptags.add_tag(group, f"标签{number}", by=SYSTEM)
    with pytest.raises(UserError, match="最多 10 个标签"):
        grouptags.add_tag(group, "多一个", by=SYSTEM)


def test_who_may_only_look_gets_no_buttons(log_in: Any) -> None:
    east = make_store("静安寺")
    owner: Member = make_member(store=east)
    group = make_group(owner=owner)
    grouptags.add_tag(group, "新客群", by=SYSTEM)
    client = log_in("growth")
    assert "新客群" in page(client, f"/groups/{group.pk}/").content.decode()
    assert f"/groups/{group.pk}/tags/" not in page(client, f"/groups/{group.pk}/").content.decode()
    assert client.post(f"/groups/{group.pk}/tags/", {"name": "x"}).status_code == 403
