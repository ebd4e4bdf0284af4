"""When an answer may change of itself: every instant at which sections 4, 5 and 8 of docs/conditions.md let time decide."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.evaluator import holds, type_of
from tests.reference.facts import Facts, Person, start_of

Json = dict[str, Any]
AHEAD = timedelta(days=400)  # how far we look
INSTANT = timedelta(microseconds=1)


def leaves(node: Json) -> Iterator[Json]:
    """The statements of a tree."""
    if "field" in node:
        yield node
    parts = [part for name in ("all", "any", "of") for part in node.get(name, ())]
    for part in [*parts, *([node["not"]] if "not" in node else ())]:
        yield from leaves(part)


def first_change(tree: Json, root_id: int, now: datetime, zone: str, facts: Facts) -> datetime | None:
    """The first instant after now at which the person is told of otherwise, as far ahead as we look."""
    before = holds(tree, root_id, now, zone, facts)
    for at in sorted(_candidates(tree, facts.people[root_id], now, ZoneInfo(zone), facts)):
        if holds(tree, root_id, at, zone, facts) != before:
            return at
    return None


def _candidates(tree: Json, person: Person, now: datetime, zone: ZoneInfo, facts: Facts) -> set[datetime]:
    """A microsecond about each instant that may matter, too: an interval may be open at either end."""
    found = {at for leaf in leaves(tree["root"]) for at in _of_leaf(leaf, person, now, zone, facts)}
    return {near for at in found for near in (at - INSTANT, at, at + INSTANT) if now < near <= now + AHEAD}


def _of_leaf(leaf: Json, person: Person, now: datetime, zone: ZoneInfo, facts: Facts) -> Iterator[datetime]:
    key = leaf["field"]
    if key == "contact.opt_out":
        yield from (at for at in person.opt_out if at)
    elif key == "contact.store_open" and person.store:
        yield from _midnights((person.store.opened_on, person.store.closed_on), zone)
    elif type_of(key, facts) == "anniversary":
        yield from _anniversaries(person.values.get(key), leaf.get("value") or 0, now, zone)
    else:
        for at in _dated(key, person):
            yield from (at + delay for delay in _delays(leaf))


def _dated(key: str, person: Person) -> list[datetime]:
    """The instants of a field."""
    value = person.values.get(key)
    if isinstance(value, datetime):
        return [value]
    return [row.at for row in person.rows.get(key, ()) if row.at]


def _delays(leaf: Json) -> list[timedelta]:
    """How long after a fact it enters or leaves what the statement speaks of."""
    window = leaf.get("window", {})
    days = [window.get("days", 0), window.get("skip_days", 0)]
    if leaf["op"] in ("older_than", "last_older_than"):
        days.append(leaf["value"])
    return [timedelta(), timedelta(hours=window.get("hours", 0)), *(timedelta(days=one) for one in days)]


def _midnights(days: tuple[date | None, ...], zone: ZoneInfo) -> Iterator[datetime]:
    for day in days:
        if day:
            yield from (start_of(day + timedelta(days=more), zone) for more in (0, 1))


def _anniversaries(day: date | None, ahead: int, now: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The midnights about the days on which she comes to be, and ceases to be, `ahead` days before a return."""
    if day is None:
        return
    for year in (now.year - 1, now.year, now.year + 1, now.year + 2):
        last = date(year, 2, 28) if (day.month, day.day) == (2, 29) else date(year, day.month, day.day)
        for around in (last - timedelta(days=ahead), last):
            yield from (start_of(around + timedelta(days=more), zone) for more in (-1, 0, 1, 2))
