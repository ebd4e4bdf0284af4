"""Whom the merchant's rule of 业绩归属 names for a person, and whether that changes who owns her.

The rule decides only while nobody else has: a person whose latest OwnershipChange was made by hand, by a hand-over or by a merge keeps
her owner. Stores are the guides' of today.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contacts.models import Member, OwnershipChange, Relation
from contacts.policy import FIRST, LATEST, STORE, OwnerRule

FIRST_ADD = "first_add"
REASONS = {FIRST: FIRST_ADD, LATEST: "latest_add", STORE: "store_rule"}
AUTOMATIC = frozenset(REASONS.values())

# Contact ids → for each, when and in which store she bought, in any order.
Purchases = Callable[[Collection[int]], Mapping[int, Sequence[tuple[datetime, int]]]]
_purchases: list[Purchases] = []


def register_purchases(find: Purchases) -> None:
    """The app of orders tells where people bought."""
    if find not in _purchases:
        _purchases.append(find)


def purchases_of(contact_ids: Collection[int]) -> dict[int, list[tuple[datetime, int]]]:
    """What the registered apps know."""
    found: dict[int, list[tuple[datetime, int]]] = {}
    for find in _purchases:
        for contact_id, bought in find(contact_ids).items():
            found.setdefault(contact_id, []).extend(bought)
    return found


@dataclass
class Ties:
    """What a rule looks at of one person: her follows and addings with all branches' ones, and where she bought."""

    follows: dict[int, tuple[int, str]] = field(default_factory=dict)  # follow id → (member, relation)
    addings: list[tuple[datetime, int, int, int | None]] = field(
        default_factory=list
    )  # (added_at, period id, follow id, store of then)
    bought: list[tuple[datetime, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Claim:
    """The guide a rule names, since when she is the one, and why."""

    member_id: int
    at: datetime
    reason: str


def claim_of(ties: Ties, rule: OwnerRule, stores: Mapping[int, int | None], *, owned: bool) -> Claim | None:
    """stores: member → her store, asked by STORE alone. owned: she has an owner, who stays when the rule finds no friend."""
    every = [(at, ties.follows[follow_id][0]) for at, _pk, follow_id, _store in ties.addings]
    if not every:
        return None
    if rule.kind == FIRST:
        return _claim(min(every), rule)
    friends = {member_id for member_id, relation in ties.follows.values() if relation == Relation.ACTIVE}
    standing = [one for one in every if one[1] in friends]
    if not standing and owned:
        return None
    among = standing or every
    if rule.kind == LATEST:
        return _claim(max(among, key=lambda one: (one[0], -one[1])), rule)
    home = _home(ties, rule)
    there = [one for one in among if home is not None and stores.get(one[1]) == home]
    return _claim(min(there or among), rule)


def _claim(adding: tuple[datetime, int], rule: OwnerRule) -> Claim:
    at, member_id = adding
    return Claim(member_id, at, REASONS[rule.kind])


def _home(ties: Ties, rule: OwnerRule) -> int | None:
    """Her store, as the basis says."""
    added = [(at, store) for at, _pk, _follow, store in ties.addings if store is not None]
    if rule.reads_purchases and ties.bought:
        return (min if rule.basis == "bought_first" else max)(ties.bought)[1]
    if not added:
        return None
    return (max if rule.basis == "added_last" else min)(added)[1]


def first_sight(addings: Sequence[tuple[datetime, int]], rule: OwnerRule) -> Claim:
    """The claim of somebody met for the first time, every one of whose guides is a friend; of her store, the first one's is taken."""
    if takes_latest(rule):
        return _claim(max(addings, key=lambda one: (one[0], -one[1])), rule)
    return _claim(min(addings), rule)


def takes_latest(rule: OwnerRule) -> bool:
    """Of somebody who bought nothing yet, all of whose guides are friends: the latest adding counts, not the first."""
    return rule.kind == LATEST or (rule.kind == STORE and rule.basis == "added_last")


Verdict = Literal["keep", "fresh", "correct", "move"]


def decide(
    owner_id: int | None, changes: Sequence[OwnershipChange], claim: Claim, *, reclaim: bool, thorough: bool
) -> Verdict:
    """changes: those of her root, in order. correct: what was taken for the first adding was not, and is put right in its place."""
    if owner_id is None:
        return "keep" if changes else "fresh"
    if owner_id == claim.member_id or not changes or changes[-1].reason not in AUTOMATIC:
        return "keep"
    if claim.reason == FIRST_ADD and len(changes) == 1 and changes[0].reason == FIRST_ADD:
        if reclaim or claim.at < changes[0].changed_at:
            return "correct"
        return "move" if thorough else "keep"
    return "move"


def stores_of(member_ids: Collection[int]) -> dict[int, int | None]:
    """Member → store of today. One query."""
    return dict(Member.objects.filter(pk__in=member_ids).values_list("pk", "store_id"))
