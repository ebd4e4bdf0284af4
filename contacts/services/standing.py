"""What lists need of a person, kept on her root: friends now, first and last adding, owner and store of today."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from contacts import marks
from contacts.models import Contact, FactSource, Follow, FollowPeriod, Member, OwnershipChange, Relation
from contacts.policy import STORE, OwnerRule, people_policy
from contacts.services.crediting import Claim, Ties, claim_of, decide, purchases_of, stores_of
from contacts.timeline import NewEvent, record_events
from scrm.lib.db.bulk import insert_rows, update_rows


@dataclass
class _Person:
    """A root, and her follows and addings with all branches' ones."""

    root: Contact | None = None
    ties: Ties = field(default_factory=Ties)


def refresh_standing(
    contact_ids: Iterable[int],
    *,
    now: datetime,
    backfill: bool | None = None,
    reclaim: bool = False,
    thorough: bool = False,
) -> set[int]:
    """Compute counts, dates, owner and store of these people's roots; the roots whose owner changed. A constant number of statements.

    业绩归属 goes by the merchant's rule (contacts.policy) while nobody has decided otherwise (each OwnershipChange so far came from a
    rule). By the first adding, an earlier one that we learn of later takes over. reclaim: a later one too, as after an undone merge,
    whose earlier adding is another person's again. thorough: the rule is new, and is applied to people to whom nothing happened.
    """
    people = _load(contact_ids)
    if not people:
        return set()
    rule = people_policy().owner_rule
    claims = _claims({root: (one.ties, bool(one.root and one.root.owner_id)) for root, one in people.items()}, rule)
    moved = _claim_owners(people, claims, now, reclaim=reclaim, thorough=thorough, backfill=bool(backfill))
    stores = stores_of(set(moved.values()) | {p.root.owner_id for p in people.values() if p.root and p.root.owner_id})
    rows = []
    for root_id, person in people.items():
        row = _row(person, moved.get(root_id), stores)
        if row is not None:
            rows.append({"id": root_id, **row, "updated_at": now})
    update_rows(Contact, rows)
    marks.mark(moved, "contact.owner", "contact.store", backfill=backfill)
    # A first or last adding that another one took the place of; whoever had none before is marked by her new relation.
    redated = [row["id"] for row in rows if _is_redated(people[row["id"]].root, row)]
    marks.mark(redated, "contact.added_at", backfill=backfill)
    return set(moved)


def _is_redated(before: Contact | None, row: Mapping[str, Any]) -> bool:
    return before is not None and any(
        getattr(before, name) not in (None, row[name]) for name in ("first_added_at", "last_added_at")
    )


def foresee_owner(
    root: Contact, family: Collection[int], changes: Sequence[OwnershipChange], *, reclaim: bool = False
) -> int | None:
    """Who would own a person if these rows were she, and `root` and its changes stood as given. Nothing is locked or written."""
    person = _Person(root)
    _fill({root.pk: person}, dict.fromkeys(family, root.pk))
    claim = _claims({root.pk: (person.ties, bool(root.owner_id))}, people_policy().owner_rule).get(root.pk)
    if claim is None or decide(root.owner_id, changes, claim, reclaim=reclaim, thorough=False) == "keep":
        return root.owner_id
    return claim.member_id


def count_moves(contact_ids: Iterable[int]) -> int:
    """How many of these people the rule of today would give to somebody else. Nothing is locked or written."""
    people = _load(contact_ids, lock=False)
    claims = _claims(
        {root: (one.ties, bool(one.root and one.root.owner_id)) for root, one in people.items()}, people_policy().owner_rule
    )  # fmt: skip
    verdicts = _verdicts(people, claims, reclaim=False, thorough=True)
    return sum(verdict in ("fresh", "move") for verdict, _changes in verdicts.values())


def _load(contact_ids: Iterable[int], *, lock: bool = True) -> dict[int, _Person]:
    given = Contact.objects.filter(pk__any_of=set(contact_ids)).values_list("pk", "root_id")
    roots = {root_id or pk for pk, root_id in given}
    people: dict[int, _Person] = {root: _Person() for root in sorted(roots)}
    family: dict[int, int] = {}
    columns = ("pk", "root_id", "owner_id", "store_id", "active_follows", "first_added_at", "last_added_at")
    # Locked: whoever is given another owner meanwhile keeps her, and her store.
    found = Contact.objects.select_for_update(of=("self",), no_key=True) if lock else Contact.objects.all()
    rows = found.filter(Q(pk__any_of=roots) | Q(root_id__any_of=roots))
    for contact in rows.only(*columns).order_by("pk"):
        if contact.root_pk not in people:
            continue  # merged while we waited for her row: the merge itself computes what she is part of now
        family[contact.pk] = contact.root_pk
        if contact.root_id is None:
            people[contact.pk].root = contact
    _fill(people, family)
    return people


def _fill(people: Mapping[int, _Person], family: Mapping[int, int]) -> None:
    """family: contact id → the key of `people` that she counts as."""
    homes: dict[int, int] = {}
    follows = Follow.objects.filter(contact_id__any_of=set(family)).values_list(
        "pk", "contact_id", "member_id", "relation"
    )
    for pk, contact_id, member_id, relation in follows:
        homes[pk] = family[contact_id]
        people[homes[pk]].ties.follows[pk] = (member_id, relation)
    periods = FollowPeriod.objects.filter(follow_id__any_of=set(homes))
    for added_at, pk, follow_id, store_id in periods.values_list("added_at", "pk", "follow_id", "store_id"):
        people[homes[follow_id]].ties.addings.append((added_at, pk, follow_id, store_id))
    if people_policy().owner_rule.reads_purchases:
        for contact_id, bought in purchases_of(set(family)).items():
            people[family[contact_id]].ties.bought.extend(bought)


def _claims(given: Mapping[int, tuple[Ties, bool]], rule: OwnerRule) -> dict[int, Claim]:
    """Root → whom the rule names; given: root → (her ties, whether she has an owner)."""
    members = {member_id for ties, _owned in given.values() for member_id, _relation in ties.follows.values()}
    stores = stores_of(members) if rule.kind == STORE else {}
    found = {root: claim_of(ties, rule, stores, owned=owned) for root, (ties, owned) in given.items()}
    return {root: claim for root, claim in found.items() if claim is not None}


Verdicts = dict[int, tuple[str, list[OwnershipChange]]]


def _verdicts(people: Mapping[int, _Person], claims: Mapping[int, Claim], *, reclaim: bool, thorough: bool) -> Verdicts:
    """Root → (verdict, her changes so far), for those whose owner the claim questions. One query, none where it questions nobody."""
    asked = {
        root: known.owner_id
        for root, claim in claims.items()
        if (known := people[root].root) is not None and known.owner_id != claim.member_id
    }
    changes: dict[int, list[OwnershipChange]] = defaultdict(list)
    if asked:
        for change in OwnershipChange.objects.filter(contact_id__any_of=set(asked)).order_by("changed_at", "pk"):
            changes[change.contact_id].append(change)
    return {
        root: (decide(owner_id, changes[root], claims[root], reclaim=reclaim, thorough=thorough), changes[root])
        for root, owner_id in asked.items()
    }


def _claim_owners(
    people: dict[int, _Person], claims: dict[int, Claim], now: datetime, *, reclaim: bool, thorough: bool, backfill: bool
) -> dict[int, int]:  # fmt: skip
    """Write the ownership that the rule gives; root id → the member who owns her from now on, where that is news."""
    moved: dict[int, int] = {}
    fresh, corrected, given = [], [], []
    for root, (verdict, changes) in sorted(_verdicts(people, claims, reclaim=reclaim, thorough=thorough).items()):
        claim = claims[root]
        if verdict == "keep":
            continue
        moved[root] = claim.member_id
        row = {"contact_id": root, "from_member_id": None, "to_member_id": claim.member_id, "changed_at": claim.at,
               "reason": claim.reason, "actor_id": None}  # fmt: skip
        if verdict == "fresh":
            fresh.append(row)
        elif verdict == "correct":
            corrected.append({"id": changes[0].pk, "to_member_id": claim.member_id, "changed_at": claim.at})
        else:
            # Credit moves with the adding that moves it; what was learnt late, or applied afterwards, counts from now on.
            at = claim.at if not thorough and claim.at >= changes[-1].changed_at else now
            given.append(row | {"from_member_id": changes[-1].to_member_id, "changed_at": at})
    insert_rows(OwnershipChange, fresh)
    update_rows(OwnershipChange, corrected)
    _record(given, [pk for (pk,) in insert_rows(OwnershipChange, given)], backfill)
    return moved


def _record(given: Sequence[Mapping[str, Any]], ids: Sequence[int], backfill: bool) -> None:
    """Facts of people whom the rule gave to another guide."""
    if not given:
        return
    wanted = {row[key] for row in given for key in ("from_member_id", "to_member_id")}
    names = {member.pk: str(member) for member in Member.objects.filter(pk__in=wanted)}
    source = (FactSource.BACKFILL if backfill else FactSource.PRODUCT).value
    record_events([
        NewEvent(
            "owner.changed", row["changed_at"], source, f"owner:{pk}", contact_id=row["contact_id"], member_id=row["to_member_id"],
            actor="system", subject=f"member:{row['to_member_id']}",
            payload={"from": names.get(row["from_member_id"], ""), "to": names.get(row["to_member_id"], ""), "reason": row["reason"]},
        )
        for row, pk in zip(given, ids, strict=True)
    ])  # fmt: skip


def _row(person: _Person, new_owner: int | None, stores: Mapping[int, int | None]) -> dict[str, Any] | None:
    if person.root is None:
        return None
    owner_id = new_owner or person.root.owner_id
    dates = [adding[0] for adding in person.ties.addings]
    row: dict[str, Any] = {
        "active_follows": sum(relation == Relation.ACTIVE for _member, relation in person.ties.follows.values()),
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
