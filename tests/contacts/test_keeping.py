"""What the database itself refuses about people and places: facts keep their place, spans follow each other."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from contacts.models import (
    FollowPeriod,
    GroupChat,
    Identity,
    Member,
    MemberPlacement,
    Stage,
    StageTransition,
    Store,
    StorePlacement,
    TimelineEvent,
)
from contacts.services import placements
from contacts.services.members import move_members
from contacts.timeline import NewEvent, record_events
from scrm.lib import privacy
from tests.support.contacts import (
    T0,
    at,
    make_contact,
    make_corp,
    make_follow,
    make_identity,
    make_member,
    make_region,
    make_stages,
    make_store,
)

pytestmark = pytest.mark.django_db


def refused(deed: Callable[[], Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        deed()


def bare_place() -> tuple[Store, Member]:
    """A store and a guide there, without placements, which would protect them too."""
    store = Store.objects.create(code="S-bare", name="店")
    return store, Member.objects.create(corp=make_corp(), userid="bare", store=None)


def test_a_fact_keeps_its_place_and_guide_from_deletion() -> None:
    store, member = bare_place()
    person, stage = make_contact(), make_stages()["new"]
    common: dict[str, Any] = {"source": "product", "recorded_at": T0, "occurred_at": T0, "kind": "follow.added"}
    TimelineEvent.objects.create(fact_key="x:1", contact=person, store=store, member=member, **common)
    for row in (store, member):
        with pytest.raises(ProtectedError):
            row.delete()
    TimelineEvent.objects.all().delete()

    StageTransition.objects.create(
        contact=person, to_stage=stage, changed_at=T0, source="manual", store=store, member=member
    )
    for row in (store, member):
        with pytest.raises(ProtectedError):
            row.delete()


def test_a_period_and_a_fact_keep_region_and_stage() -> None:
    region, stage = make_region(), Stage.objects.create(key="one", name="一", order=99)
    follow = make_follow()
    FollowPeriod.objects.update(region=region)
    with pytest.raises(ProtectedError):
        region.delete()
    record_events([NewEvent("follow.added", T0, "product", "x:2", contact_id=follow.contact_id)])
    TimelineEvent.objects.update(stage=stage)
    with pytest.raises(ProtectedError):
        stage.delete()


def test_a_placement_lasts_and_begins_once() -> None:
    member, store = make_member(store=make_store()), make_store()
    first = MemberPlacement.objects.get(member=member)
    MemberPlacement.objects.filter(pk=first.pk).update(placed_to=at(5))
    since = first.placed_from
    refused(lambda: MemberPlacement.objects.create(member=member, store=store, placed_from=since))
    refused(lambda: MemberPlacement.objects.create(member=member, store=store, placed_from=at(9), placed_to=at(9)))
    spot = StorePlacement.objects.get(store=store)
    refused(lambda: StorePlacement.objects.filter(pk=spot.pk).update(placed_to=spot.placed_from))
    StorePlacement.objects.filter(pk=spot.pk).update(placed_to=at(5))
    refused(lambda: StorePlacement.objects.create(store=store, placed_from=spot.placed_from))


def spans(member: Member) -> list[tuple[Any, Any, int]]:
    return list(member.placements.order_by("placed_from").values_list("placed_from", "placed_to", "store_id"))


def test_moves_of_one_instant_and_a_late_clock_never_overlap() -> None:
    home, second, third = make_store(), make_store(), make_store()
    member = make_member(store=home)
    began = spans(member)[0][0]
    move_members([(member, second.pk)], now=at(10))
    move_members([(member, third.pk)], now=at(10))  # the same instant: the second store never was
    assert spans(member) == [(began, at(10), home.pk), (at(10), None, third.pk)]

    move_members([(member, second.pk)], now=at(5))  # a clock behind: takes effect where the latest began
    assert spans(member) == [(began, at(10), home.pk), (at(10), None, second.pk)]

    move_members([(member, None)], now=at(10))
    assert spans(member) == [(began, at(10), home.pk)]
    move_members([(member, third.pk)], now=at(7))  # she stood at home until 10 already
    assert spans(member) == [(began, at(10), home.pk), (at(10), None, third.pk)]


def test_a_store_that_moves_twice_in_an_instant_stands_in_the_last_region() -> None:
    store, east, south = make_store(), make_region(), make_region()
    for region in (east, south):
        placements.write(StorePlacement, {store.pk: {"region_id": region.pk, "dealer_id": None}}, now=at(3))
    assert list(store.placements.order_by("placed_from").values_list("region_id", "placed_to")) == [
        (None, at(3)),
        (south.pk, None),
    ]


def test_a_period_ends_by_somebody_or_not_at_all() -> None:
    period = FollowPeriod.objects.get(follow=make_follow())
    rows = FollowPeriod.objects.filter(pk=period.pk)
    refused(lambda: rows.update(ended_by="customer"))
    refused(lambda: rows.update(ended_at=period.added_at + timedelta(days=1)))
    assert rows.update(ended_at=period.added_at + timedelta(days=1), ended_by="unknown") == 1


def test_ids_of_a_provider_stand_beside_plain_ones() -> None:
    corp, person = make_corp(), make_contact()
    member = make_member(userid="chen", corp=corp)
    assert member.id_space == "plain"
    identity = make_identity(person, value="wm1", corp=corp)
    GroupChat.objects.create(corp=corp, chat_id="wr1", created_at=T0)
    same = {"kind": identity.kind, "scope": identity.scope, "value": "wm1", "contact": person, "created_at": T0}
    refused(lambda: Member.objects.create(corp=corp, userid="chen"))
    refused(lambda: Identity.objects.create(**same))
    refused(lambda: GroupChat.objects.create(corp=corp, chat_id="wr1", created_at=T0))

    Member.objects.create(corp=corp, userid="chen", id_space="suite:1")
    Identity.objects.create(**same, id_space="suite:1")
    GroupChat.objects.create(corp=corp, chat_id="wr1", created_at=T0, id_space="suite:1")


def test_birthdays_genders_and_ids_in_groups_are_personal() -> None:
    from contacts.models import Contact, GroupMembership

    people, groups = privacy.classes_of(Contact), privacy.classes_of(GroupMembership)
    assert (people["birthday"], people["gender"]) == ("personal", "personal")
    assert (groups["userid"], groups["invitor_userid"]) == ("personal", "personal")


def _indexes(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = %s", [table]
        )
        return [row[0].split(" USING ")[1] for row in cursor.fetchall()]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("contacts_follow", "member_id"), ("contacts_follow", "contact_id"), ("contacts_follow", "identity_id"),
        ("contacts_followperiod", "follow_id"), ("contacts_contactphone", "contact_id"), ("contacts_member", "corp_id"),
        ("contacts_groupmembership", "group_id"), ("contacts_stagetransition", "contact_id"),
        ("contacts_ownershipchange", "contact_id"), ("contacts_storeplacement", "store_id"),
        ("contacts_memberplacement", "member_id"), ("commerce_orderline", "order_id"), ("commerce_storedailysales", "store_id"),
    ],
)  # fmt: skip
def test_a_key_that_a_wider_index_begins_with_has_no_index_of_its_own(table: str, column: str) -> None:
    indexes = _indexes(table)
    assert f"btree ({column})" not in indexes
    assert any(index.startswith(f"btree ({column},") and "WHERE" not in index for index in indexes)


def test_lists_by_owner_and_by_channel_have_their_index() -> None:
    assert any(
        "(owner_id, last_added_at DESC, id DESC) WHERE (root_id IS NULL)" in i for i in _indexes("contacts_contact")
    )
    assert any(index.startswith("btree (state) WHERE") for index in _indexes("contacts_followperiod"))
