"""Who goes to whom, as a pure function of people and successors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contacts.models import HandoverSplit


@dataclass(frozen=True)
class Person:
    """Somebody (or a group) to be taken over. friends: members she knows already, who have room for her in any case."""

    key: int
    store_id: int | None = None
    friends: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Successor:
    """room: how many more customers she may have."""

    pk: int
    store_id: int | None = None
    room: int = 0


def split(people: Sequence[Person], successors: Sequence[Successor], how: str) -> dict[int, int | None]:
    """Person → successor, None where nobody has room. The same people and successors give the same result.

    even: to whoever got fewest so far. store: first among the successors of the person's store of today, else evenly among all.
    known: first among those who are her friends, else evenly. Nobody gets more strangers than she has room for.
    """
    given: dict[int, int | None] = {}
    load = dict.fromkeys((one.pk for one in successors), 0)
    room = {one.pk: one.room for one in successors}
    for person in sorted(people, key=lambda one: one.key):
        able = [one for one in successors if one.pk in person.friends or room[one.pk] > 0]
        chosen = _least(_preferred(person, able, how), load) or _least(able, load)
        given[person.key] = chosen
        if chosen is not None:
            load[chosen] += 1
            room[chosen] -= chosen not in person.friends
    return given


def _preferred(person: Person, able: Sequence[Successor], how: str) -> list[Successor]:
    if how == HandoverSplit.STORE:
        return [one for one in able if one.store_id is not None and one.store_id == person.store_id]
    if how == HandoverSplit.KNOWN:
        return [one for one in able if one.pk in person.friends]
    return list(able)


def _least(successors: Iterable[Successor], load: dict[int, int]) -> int | None:
    return min((one.pk for one in successors), key=lambda pk: (load[pk], pk), default=None)
