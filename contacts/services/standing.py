"""What lists need of a person, kept on her root: friends now, first and last adding, owner and store of today."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from contacts import marks
from contacts.models import Contact, Follow, FollowPeriod, Member, OwnershipChange, Relation
from scrm.lib.db.bulk import insert_rows, update_rows

FIRST_ADD = "first_add"


@dataclass
class _Person:
    """A root, and her follows and addings with all branches' ones."""

    root: Contact | None = None
    follows: dict[int, tuple[int, str]] = field(default_factory=dict)  # follow id → (member, relation)
    addings: list[tuple[datetime, int, int]] = field(default_factory=list)  # (added_at, period id, follow id)


def refresh_standing(
    contact_ids: Iterable[int], *, now: datetime, backfill: bool | None = None, reclaim: bool = False
) -> None:
    """Compute counts, dates, owner and store of these people's roots. A constant number of statements.

    业绩归属: the guide of the first adding owns by default. An earlier adding that we learn of later takes over only
    while nobody has decided otherwise (each OwnershipChange so far came from a first adding). reclaim: a later one too, as
    after an undone merge, whose earlier adding is another person's again.
    """
    people = _load(contact_ids)
    if not people:
        return
    claims = {root_id: owner for root_id, person in people.items() if (owner := _first_member(person))}
    moved = _claim_owners(people, claims, reclaim)
    stores = dict(
        Member.objects.filter(pk__in=set(moved.values()) | {p.root.owner_id for p in people.values() if p.root and p.root.owner_id})
        .values_list("pk", "store_id")
    )  # fmt: skip
    rows = []
    for root_id, person in people.items():
        row = _row(person, moved.get(root_id), stores)
        if row is not None:
            rows.append({"id": root_id, **row, "updated_at": now})
    update_rows(Contact, rows)
    marks.mark(moved, "contact.owner", "contact.store", backfill=backfill)


def _load(contact_ids: Iterable[int]) -> dict[int, _Person]:
    given = Contact.objects.filter(pk__any_of=set(contact_ids)).values_list("pk", "root_id")
    roots = {root_id or pk for pk, root_id in given}
    people: dict[int, _Person] = {root: _Person() for root in sorted(roots)}
    family: dict[int, int] = {}
    columns = ("pk", "root_id", "owner_id", "store_id", "active_follows", "first_added_at", "last_added_at")
    # Locked: whoever is given another owner meanwhile keeps her, and her store.
    rows = Contact.objects.select_for_update(of=("self",)).filter(Q(pk__any_of=roots) | Q(root_id__any_of=roots))
    for contact in rows.only(*columns).order_by("pk"):
        family[contact.pk] = contact.root_pk
        if contact.root_id is None:
            people[contact.pk].root = contact
    homes: dict[int, int] = {}
    follows = Follow.objects.filter(contact_id__any_of=set(family)).values_list(
        "pk", "contact_id", "member_id", "relation"
    )
    for pk, contact_id, member_id, relation in follows:
        homes[pk] = family[contact_id]
        people[homes[pk]].follows[pk] = (member_id, relation)
    periods = FollowPeriod.objects.filter(follow_id__any_of=set(homes)).values_list("added_at", "pk", "follow_id")
    for added_at, pk, follow_id in periods:
        people[homes[follow_id]].addings.append((added_at, pk, follow_id))
    return people


def _first_member(person: _Person) -> tuple[int, datetime] | None:
    """(member, when) of the first adding; of one second, the smaller member."""
    if not person.addings:
        return None
    at, member_id = min((at, person.follows[follow_id][0]) for at, _pk, follow_id in person.addings)
    return member_id, at


def _claim_owners(people: dict[int, _Person], claims: dict[int, tuple[int, datetime]], reclaim: bool) -> dict[int, int]:
    """Write first-add ownership; root id → the member who owns her from now on, where that is news."""
    open_ = {root for root in claims if (known := people[root].root) and known.owner_id is None}
    differing = {
        root for root in claims if root not in open_ and (k := people[root].root) and k.owner_id != claims[root][0]
    }
    decided: dict[int, list[OwnershipChange]] = defaultdict(list)
    if differing or open_:
        for change in OwnershipChange.objects.filter(contact_id__any_of=differing | open_):
            decided[change.contact_id].append(change)
    moved: dict[int, int] = {}
    fresh, corrected = [], []
    for root in sorted(open_ | differing):
        member_id, at = claims[root]
        changes = decided[root]
        if not changes:
            if root not in open_:
                continue
            fresh.append({"contact_id": root, "from_member_id": None, "to_member_id": member_id, "changed_at": at,
                          "reason": FIRST_ADD, "actor_id": None})  # fmt: skip
        elif (
            len(changes) == 1
            and changes[0].reason == FIRST_ADD
            and root in differing
            and (reclaim or at < changes[0].changed_at)
        ):
            corrected.append({"id": changes[0].pk, "to_member_id": member_id, "changed_at": at})
        else:
            continue
        moved[root] = member_id
    insert_rows(OwnershipChange, fresh)
    update_rows(OwnershipChange, corrected)
    return moved


def _row(person: _Person, new_owner: int | None, stores: Mapping[int, int | None]) -> dict[str, Any] | None:
    if person.root is None:
        return None
    owner_id = new_owner or person.root.owner_id
    dates = [at for at, _pk, _follow in person.addings]
    row: dict[str, Any] = {
        "active_follows": sum(relation == Relation.ACTIVE for _member, relation in person.follows.values()),
        "first_added_at": min(dates, default=None),
        "last_added_at": max(dates, default=None),
        "owner_id": owner_id,
        "store_id": _store(person.root, new_owner, stores),
    }
    return row if any(getattr(person.root, name) != value for name, value in row.items()) else None


def _store(root: Contact, new_owner: int | None, stores: Mapping[int, int | None]) -> int | None:
    """A new owner's store. With the owner she had, she stays where a move of that guide left her."""
    owner_id = new_owner or root.owner_id
    if owner_id is None or (new_owner is None and root.store_id is not None):
        return root.store_id
    return stores.get(owner_id)
