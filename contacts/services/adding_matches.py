"""批量加好友: who of those phones became a friend, whichever guide added her. Found by phone alone: WeCom says of a search by
phone (add_way 2) that it was one, never which."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from contacts.arrivals import NewKey
from contacts.models import ContactPhone, FactSource, Follow, PhoneToAdd, Relation
from contacts.queries import family_of
from contacts.services.adding import OPEN, State, save
from contacts.timeline import Fact, roots_of
from scrm.lib import clock


def on_new_keys(keys: Sequence[NewKey]) -> None:
    """Listener of arrivals: a phone appeared on somebody, noted by a guide or known from an order. One query where none is to be added."""
    found: dict[str, set[int]] = defaultdict(set)
    for key in keys:
        if key.kind == "phone":
            found[key.value].add(key.contact_id)
    if found:
        _match(found)


def on_added(facts: Sequence[Fact]) -> None:
    """Listener of the timeline: somebody whose phone is known was added. A first sync tells of phones by itself."""
    added = {
        fact.contact_id
        for fact in facts
        if fact.kind == "follow.added" and fact.source != FactSource.BACKFILL and fact.contact_id
    }
    if not added or not PhoneToAdd.objects.filter(state__in=OPEN).exists():
        return
    family = family_of(roots_of(added).values())
    found: dict[str, set[int]] = defaultdict(set)
    for phone, contact_id in ContactPhone.objects.filter(contact_id__in=family).values_list("phone", "contact_id"):
        found[phone].add(contact_id)
    if found:
        _match(found)


def _match(found: dict[str, set[int]]) -> None:
    """Phone → people who have it. Those who are somebody's friend are 已添加."""
    waiting = PhoneToAdd.objects.filter(phone__any_of=set(found), state__in=OPEN)
    phones = list(waiting.select_for_update(of=("self",)).order_by("pk"))
    if not phones:
        return
    people = {contact_id for phone in phones for contact_id in found[phone.phone]}
    roots = roots_of(people)
    friends = _friends(set(roots.values()))
    now, settled = clock.now(), []
    for phone in phones:
        follows = [one for contact_id in found[phone.phone] for one in friends.get(roots[contact_id], ())]
        if follows:
            _settle(phone, follows)
            phone.state_at = now
            settled.append(phone)
    save(settled)


def _friends(root_ids: Collection[int]) -> dict[int, list[Follow]]:
    """Person → her friends among the guides, the latest added last."""
    family = family_of(root_ids)
    found: dict[int, list[Follow]] = defaultdict(list)
    for follow in Follow.objects.filter(contact_id__any_of=set(family), relation=Relation.ACTIVE).order_by(
        "added_at", "pk"
    ):
        follow.contact_id = family[follow.contact_id]
        found[follow.contact_id].append(follow)
    return found


def _settle(phone: PhoneToAdd, follows: Sequence[Follow]) -> None:
    """Added: by the guide whose work it was if she is among them, else by the latest."""
    follow = next((one for one in follows if one.member_id == phone.member_id), follows[-1])
    phone.state, phone.reason, phone.recycle_at = State.ADDED, "", None
    phone.contact_id, phone.added_by_id, phone.add_way = follow.contact_id, follow.member_id, follow.add_way
