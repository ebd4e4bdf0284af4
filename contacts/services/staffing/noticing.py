"""Finding what is to be decided: after each reading of the directory, and after the departments were mapped anew.

Only a newcomer whose department stands for one store, who never stood anywhere and owns nobody, is placed by itself: there is
nothing to decide, and what she does today belongs to her store. Everything else waits for a person.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from contacts.models import Contact, Follow, GroupChat, Member, MemberPlacement, Relation, StaffChange, Todo
from contacts.services.members import department_stores, move_members
from scrm.lib.db.bulk import insert_rows, update_rows
from wecom_bridge.models import Corp

Kind, State = StaffChange.Kind, StaffChange.State
Key = tuple[int, str]
# A leaver of longer ago cannot be inherited from any more (customer-contact reference 9): there is nothing left to plan.
LONG_GONE = timedelta(days=365)


@dataclass(frozen=True)
class _Wanted:
    """What should stand open for a member."""

    from_store: int | None
    to_store: int | None


def notice(corp: Corp, *, now: datetime) -> None:
    """Place plain newcomers, open what is to be decided, close what is no more. The caller holds the lock of people.

    A constant number of statements.
    """
    stores = department_stores(corp)
    members = list(
        Member.objects.filter(corp=corp, archived_at__isnull=True)
        .exclude(status=Member.Status.LEFT)
        .only("pk", "department_ids", "store_id", "status", "has_customer_contact")
    )
    told = {one.pk: list(dict.fromkeys(stores[pk] for pk in one.department_ids if pk in stores)) for one in members}
    placed = _place_newcomers([one for one in members if one.store_id is None], told, now)
    wanted: dict[Key, _Wanted] = {}
    for one in members:
        if one.pk in placed:
            continue
        choices = told[one.pk]
        if one.store_id is None and stores and one.status == Member.Status.ACTIVE and one.has_customer_contact:
            wanted[one.pk, Kind.JOINED.value] = _Wanted(None, choices[0] if choices else None)
        elif one.store_id is not None and choices and one.store_id not in choices:
            wanted[one.pk, Kind.MOVED.value] = _Wanted(one.store_id, choices[0])
    for pk, store_id in _leavers(corp, now).values_list("pk", "store_id"):
        wanted[pk, Kind.LEFT.value] = _Wanted(store_id, None)
    _write(corp, wanted, now)


def _place_newcomers(members: list[Member], told: dict[int, list[int]], now: datetime) -> set[int]:
    sure = {one.pk: one for one in members if len(told[one.pk]) == 1}
    if not sure:
        return set()
    stood = set(MemberPlacement.objects.filter(member_id__in=sure).values_list("member_id", flat=True))
    owning = set(Contact.objects.filter(owner_id__in=sure, root__isnull=True).values_list("owner_id", flat=True))
    going = [one for pk, one in sure.items() if pk not in stood | owning]
    move_members([(one, told[one.pk][0]) for one in going], now=now)
    return {one.pk for one in going}


def _leavers(corp: Corp, now: datetime) -> QuerySet[Member]:
    """Who left within the year and still holds customers, groups or to-dos."""
    mine = OuterRef("pk")
    holding = (
        Exists(Follow.objects.filter(member=mine, relation=Relation.ACTIVE))
        | Exists(GroupChat.objects.filter(owner=mine, dismissed_at__isnull=True))
        | Exists(Todo.objects.filter(member=mine, done_at__isnull=True))
    )
    gone = Member.objects.filter(corp=corp, status=Member.Status.LEFT, archived_at__isnull=True)
    return gone.filter(Q(holding), left_at__gt=now - LONG_GONE)


def _write(corp: Corp, wanted: dict[Key, _Wanted], now: datetime) -> None:
    open_ = {(row.member_id, row.kind): row for row in StaffChange.objects.filter(member__corp=corp, state=State.OPEN)}
    gone = [row.pk for key, row in open_.items() if key not in wanted]
    StaffChange.objects.filter(pk__in=gone).update(state=State.VOID, settled_at=now)
    update_rows(StaffChange, [
        {"id": row.pk, "from_store_id": wanted[key].from_store, "to_store_id": wanted[key].to_store}
        for key, row in open_.items()
        if key in wanted and (row.from_store_id, row.to_store_id) != (wanted[key].from_store, wanted[key].to_store)
    ])  # fmt: skip
    fresh = {key: one for key, one in wanted.items() if key not in open_}
    decided = _decided(fresh)
    insert_rows(StaffChange, [
        {"member_id": member_id, "kind": kind, "state": State.OPEN.value, "from_store_id": one.from_store,
         "to_store_id": one.to_store, "customers": "", "found_at": now}
        for (member_id, kind), one in sorted(fresh.items())
        if not _is_settled(decided.get((member_id, kind)), kind, one)
    ], ignore_conflicts=True)  # fmt: skip


def _decided(keys: Iterable[Key]) -> dict[Key, Any]:
    """The latest row of each member and kind, with the instant the member left."""
    rows = StaffChange.objects.filter(member_id__in={member for member, _kind in keys}).select_related("member")
    latest = rows.order_by("member_id", "kind", "-pk").distinct("member_id", "kind")
    return {(row.member_id, row.kind): row for row in latest}


def _is_settled(row: StaffChange | None, kind: str, one: _Wanted) -> bool:
    """Whether somebody decided this very thing already: asked once, a person is not asked again."""
    if row is None or row.state not in (State.DONE, State.KEPT):
        return False
    if kind == Kind.LEFT:
        return row.member.left_at is not None and row.found_at >= row.member.left_at
    return (row.to_store_id, row.store_id) == (one.to_store, one.from_store)
