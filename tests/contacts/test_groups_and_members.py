"""Groups and the directory, through the registered handlers."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conditions.models import DirtyMark
from contacts.models import Department, GroupChat, GroupMembership, Member, MemberPlacement, StaffChange, TimelineEvent
from contacts.services.organisation import map_departments
from contacts.services.staffing import deciding
from scrm.lib import clock
from tenants.audit import SYSTEM
from tests.support.contacts import (
    at,
    event_fact,
    follow_info,
    group_info,
    group_member,
    groups_batch,
    make_contact,
    make_follow,
    make_identity,
    make_member,
    make_store,
    members_batch,
    people_batch,
    person_row,
)
from tests.support.core import log_in
from wecom_bridge.contracts import DepartmentInfo, EventFact, MemberInfo, RemovalsBatch, handlers_for

pytestmark = pytest.mark.django_db


def deliver(kind: Any, batch: Any) -> None:
    for handler in handlers_for(kind):
        handler(batch)


def group_event(detail: str, minutes: int, **fields: str) -> EventFact:
    fact = event_fact("update", "", "", at(minutes), ChatId="wr1", UpdateDetail=detail, **fields)
    return EventFact(fact.event_id, "change_external_chat", "update", fact.occurred_at, fact.received_at, fact.fields)


def kinds() -> list[str]:
    return list(
        TimelineEvent.objects.filter(kind__startswith="group.")
        .order_by("occurred_at", "id")
        .values_list("kind", flat=True)
    )


def test_a_group_comes_with_owner_counts_and_known_people() -> None:
    owner = make_member(userid="chen", store=make_store())
    person = make_contact()
    make_identity(person, value="wm1")
    members = [group_member("chen", at(0), kind=1), group_member("wm1", at(1)), group_member("wm2", at(2))]
    deliver("groups", groups_batch(group_info("wr1", "chen", members), read_at=at(10)))

    group = GroupChat.objects.get()
    assert (group.owner, group.store, group.member_count, group.customer_count) == (owner, owner.store, 3, 2)
    assert GroupMembership.objects.get(userid="wm1").contact == person
    assert GroupMembership.objects.get(userid="wm2").contact is None
    assert kinds() == ["group.joined", "group.joined"]  # the owner is no customer


def test_who_left_left_when_the_event_says_and_a_return_is_a_new_row() -> None:
    make_member(userid="chen")
    wm1 = group_member("wm1", at(1))
    deliver("groups", groups_batch(group_info("wr1", "chen", [wm1]), read_at=at(10)))
    left = group_event("del_member", 20, QuitScene="1", MemChangeList="wm1")
    deliver("groups", groups_batch(group_info("wr1", "chen", []), read_at=at(25), events=[left]))
    row = GroupMembership.objects.get()
    assert (row.left_at, row.quit_scene) == (at(20), 1)

    deliver("groups", groups_batch(group_info("wr1", "chen", [group_member("wm1", at(40))]), read_at=at(41)))

    assert GroupMembership.objects.filter(left_at__isnull=True).get().joined_at == at(40)
    assert kinds() == ["group.joined", "group.left", "group.joined"]


def test_a_replayed_leaving_does_not_date_a_later_one() -> None:
    make_member(userid="chen")
    first, again = group_member("wm1", at(1)), group_member("wm1", at(40))
    deliver("groups", groups_batch(group_info("wr1", "chen", [first]), read_at=at(10)))
    left = group_event("del_member", 20, QuitScene="1", MemChangeList="wm1")
    deliver("groups", groups_batch(group_info("wr1", "chen", []), read_at=at(25), events=[left]))
    deliver("groups", groups_batch(group_info("wr1", "chen", [again]), read_at=at(41)))

    deliver("groups", groups_batch(group_info("wr1", "chen", []), read_at=at(60), events=[left]))

    rows = GroupMembership.objects.order_by("joined_at").values_list("left_at", "quit_scene")
    assert list(rows) == [(at(20), 1), (at(60), None)]


def test_the_same_or_an_older_read_changes_nothing() -> None:
    make_member(userid="chen")
    both = [group_member("wm1", at(1)), group_member("wm2", at(2))]
    deliver("groups", groups_batch(group_info("wr1", "chen", both), read_at=at(10)))
    facts = list(TimelineEvent.objects.values())
    deliver("groups", groups_batch(group_info("wr1", "chen", both), read_at=at(11)))
    deliver("groups", groups_batch(group_info("wr1", "chen", both[:1], name="旧"), read_at=at(5)))
    assert list(TimelineEvent.objects.values()) == facts
    assert GroupMembership.objects.filter(left_at__isnull=True).count() == 2
    assert GroupChat.objects.get().name != "旧"


def test_an_owner_change_and_a_dismissal_are_facts() -> None:
    make_member(userid="chen")
    mei = make_member(userid="mei")
    wm1 = group_member("wm1", at(1))
    deliver("groups", groups_batch(group_info("wr1", "chen", [wm1]), read_at=at(10)))
    deliver(
        "groups",
        groups_batch(
            group_info("wr1", "mei", [wm1], member_version="v2"),
            read_at=at(20),
            events=[group_event("change_owner", 15)],
        ),
    )
    assert GroupChat.objects.get().owner == mei
    deliver("removals", RemovalsBatch(GroupChat.objects.get().corp, "reconcile", at(90), groups=["wr1"]))

    group = GroupChat.objects.get()
    assert (group.dismissed_at, group.member_count) == (at(90), 0)
    assert GroupMembership.objects.get().left_at == at(90)
    assert kinds() == ["group.joined", "group.owner_changed", "group.dismissed", "group.left"]


def test_a_person_who_becomes_known_later_is_found_in_her_groups() -> None:
    make_member(userid="chen")
    deliver("groups", groups_batch(group_info("wr1", "chen", [group_member("wm1", at(1))]), read_at=at(10)))
    deliver("people", people_batch(person_row("wm1", follow_info("chen", at(20))), read_at=at(21)))
    membership = GroupMembership.objects.get()
    assert membership.contact is not None
    assert TimelineEvent.objects.get(kind="group.joined").contact_id == membership.contact_id


def test_many_groups_cost_as_many_statements_as_few() -> None:
    make_member(userid="chen")

    def cost(prefix: str, size: int) -> int:
        groups = [group_info(f"{prefix}{n}", "chen", [group_member(f"{prefix}wm{n}", at(n))]) for n in range(size)]
        with CaptureQueriesContext(connection) as captured:
            deliver("groups", groups_batch(*groups, read_at=at(999)))
        return len(captured)

    assert cost("a", 60) == cost("b", 120)


def info(userid: str, *departments: int, **overrides: Any) -> MemberInfo:
    return MemberInfo(userid, overrides.pop("name", "林小雅"), departments, "active", True, **overrides)


def test_the_directory_places_members_by_their_departments() -> None:
    store = make_store()
    root = DepartmentInfo(1, "总部", 0, 1)
    east, counter = DepartmentInfo(2, "静安寺店", 1, 1), DepartmentInfo(3, "收银", 2, 1)
    deliver("members", members_batch(info("lin", 3), departments=[root, east, counter], is_full=True, read_at=at(0)))
    assert Member.objects.get().store is None

    map_departments({Department.objects.get(department_id=2).pk: store.pk}, by=SYSTEM)

    member = Member.objects.get()
    assert member.store == store
    assert MemberPlacement.objects.get(member=member).placed_to is None
    assert "linxiaoya" in member.search_text


def test_a_move_ends_the_old_placement_and_history_stays() -> None:
    first, second = make_store(), make_store()
    member = make_member(userid="lin", store=first)
    person = make_follow(member=member).contact
    Department.objects.create(corp=member.corp, department_id=9, name="新店", store=second)
    deliver("members", members_batch(info("lin", 9), read_at=clock.now()))
    change = StaffChange.objects.get()
    deciding.move(change.pk, deciding.Move(second, "follow"), seen=change.digest, by=SYSTEM)
    old, new = MemberPlacement.objects.filter(member=member).order_by("pk")
    assert (old.store, new.store, old.placed_to) == (first, second, new.placed_from)
    person.refresh_from_db()
    assert person.store == second
    assert person.follows.get().periods.get().store == first


def test_who_left_is_left_and_may_come_back() -> None:
    deliver("members", members_batch(info("lin", 1), read_at=at(0)))
    deliver("members", members_batch(left_userids=["lin"], read_at=at(10)))
    assert (Member.objects.get().status, Member.objects.get().left_at) == ("left", at(10))
    deliver("members", members_batch(info("lin", 1), read_at=at(20)))
    assert (Member.objects.get().status, Member.objects.get().left_at) == ("active", None)


def test_a_leaving_that_was_none_leaves_no_fact_and_marks_her_again() -> None:
    make_member(userid="chen")
    person = make_contact()
    make_identity(person, value="wm1")
    inside = group_info("wr1", "chen", [group_member("wm1", at(1))])
    deliver("groups", groups_batch(inside, read_at=at(10)))
    deliver("groups", groups_batch(group_info("wr1", "chen", []), read_at=at(20)))
    assert "group.left" in kinds()
    DirtyMark.objects.all().delete()

    deliver("groups", groups_batch(inside, read_at=at(30)))

    assert "group.left" not in kinds() and GroupMembership.objects.get().left_at is None
    assert DirtyMark.objects.filter(contact_id=person.pk, field_key="group").exists()


def test_what_the_first_sync_tells_of_groups_is_no_news_for_rules() -> None:
    make_member(userid="chen")
    person = make_contact()
    make_identity(person, value="wm1")
    inside = group_info("wr1", "chen", [group_member("wm1", at(1))])

    deliver("groups", groups_batch(inside, read_at=at(10), source="backfill"))

    assert set(DirtyMark.objects.values_list("field_key", "is_backfill")) == {
        ("group", True),
        ("event.group.joined", True),
    }


# --- Callbacks that were lost, by the versions of the list of members ----------------------------------------------------


def inside(*userids: str, version: str, read_at: int, events: Any = (), **overrides: Any) -> None:
    """The group as read, everybody in since her number's minute."""
    members = [group_member(userid, at(int(userid[2:]))) for userid in userids]
    info_ = group_info("wr1", "chen", members, member_version=version)
    deliver("groups", groups_batch(info_, read_at=at(read_at), events=list(events), **overrides))


def sources() -> dict[str, str]:
    """userid with + or - → how we learned of the coming or going."""
    rows = TimelineEvent.objects.filter(kind__in=("group.joined", "group.left")).values_list(
        "kind", "payload", "source"
    )
    return {("+" if kind == "group.joined" else "-") + payload["userid"]: source for kind, payload, source in rows}


def joined(minutes: int, last: str, current: str, *userids: str) -> EventFact:
    return group_event("add_member", minutes, LastMemVer=last, CurMemVer=current, MemChangeList=",".join(userids))


def test_a_lost_callback_is_counted_and_what_it_would_have_told_is_reconciled() -> None:
    make_member(userid="chen")
    inside("wm1", "wm2", version="v1", read_at=10)
    # v1 → v2 (wm2 left, wm3 came) was lost; v2 → v3 says that wm20 came.
    inside("wm1", "wm3", "wm20", version="v3", read_at=21, events=[joined(20, "v2", "v3", "wm20")])

    group = GroupChat.objects.get()
    assert (group.version_gaps, group.version_gap_at, group.member_version) == (1, at(21), "v3")
    assert sources() == {
        "+wm1": "callback",
        "+wm2": "callback",
        "-wm2": "reconcile",
        "+wm3": "reconcile",
        "+wm20": "callback",
    }


def test_a_chain_without_a_gap_counts_none_in_whatever_order_it_came() -> None:
    make_member(userid="chen")
    inside("wm1", version="v1", read_at=10)
    inside(
        "wm1",
        "wm11",
        "wm12",
        version="v3",
        read_at=13,
        events=[joined(12, "v2", "v3", "wm12"), joined(11, "v1", "v2", "wm11")],
    )
    assert GroupChat.objects.get().version_gaps == 0 and set(sources().values()) == {"callback"}


def test_events_that_our_read_was_ahead_of_are_no_gap() -> None:
    make_member(userid="chen")
    inside("wm1", version="v1", read_at=10)
    inside("wm1", "wm11", "wm12", version="v3", read_at=13, events=[joined(11, "v1", "v2", "wm11")])
    inside("wm1", "wm11", "wm12", version="v3", read_at=15, events=[joined(12, "v2", "v3", "wm12")])
    # The clocks differ: the event of a change that we have read seems to be younger than the reading.
    inside("wm1", "wm11", "wm12", version="v3", read_at=18, events=[joined(16, "v2", "v3", "wm12")])
    assert GroupChat.objects.get().version_gaps == 0


def test_a_group_page_says_how_often_a_change_was_missed() -> None:
    make_member(userid="chen")
    inside("wm1", version="v1", read_at=10)
    inside("wm1", version="v3", read_at=21, events=[joined(20, "v2", "v3", "wm20")])
    page = log_in("hq").get(f"/groups/{GroupChat.objects.get().pk}/").content.decode()
    assert "漏收的成员变更" in page


def test_older_callbacks_without_a_list_and_lists_with_commas_name_who_left() -> None:
    make_member(userid="chen")
    inside("wm1", "wm2", version="", read_at=10)
    inside("wm1", version="", read_at=21, events=[group_event("del_member", 20, QuitScene="0")])
    left = group_event("del_member", 30, QuitScene="²", MemChangeList="wm9, wm1")
    inside(version="", read_at=31, events=[left])
    rows = dict(GroupMembership.objects.values_list("userid", "left_at"))
    assert rows == {"wm1": at(30), "wm2": at(20)}
    assert GroupMembership.objects.get(userid="wm1").quit_scene is None
