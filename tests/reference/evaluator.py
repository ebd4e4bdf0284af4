"""The condition language in plain Python, person by person, from sections 1 to 5 and 8 of docs/conditions.md alone.

It shares nothing with the compiler, so that what both say is what the document says. Slow on purpose: no index, no cleverness.
"""

from calendar import isleap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import md5
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.facts import Facts, Person, Row, start_of

Json = dict[str, Any]

# Section 3: these are the complements of their positive ones.
COMPLEMENTS = {
    "is_not": "is", "not_contains": "contains", "ne": "eq", "not_in": "in", "none": "any", "no": "yes",
    "not_within": "within", "not_upcoming": "upcoming", "empty": "not_empty",
    "not_in_order": "in_order", "not_in_share": "in_share",
}  # fmt: skip

TYPES = {
    "contact.name": "text", "contact.gender": "choice", "contact.stage": "choice", "contact.stage_since": "moment",
    "contact.owner": "choice", "contact.owner_left": "flag", "contact.store": "choice", "contact.region": "choice",
    "contact.dealer": "choice", "contact.store_open": "flag", "contact.added_at": "moment",
    "contact.first_added_at": "moment", "contact.friends": "number", "contact.opt_out": "flag",
    "contact.has_phone": "flag", "birthday": "anniversary", "added_day": "anniversary", "share": "share",
    "follow.relation": "set", "follow.add_way": "set", "follow.state": "set", "follow.member": "set",
    "follow.remark": "flag", "follow.added": "facts", "follow.ended": "facts", "group": "set", "group.joined": "facts",
    "tag": "set", "tag.owner": "set", "segment": "set", "order": "facts", "order.line": "facts",
    "order.category": "set", "order.refund": "facts", "events": "sequence", "push": "facts", "sop": "set",
    "sop.entered": "facts",
}  # fmt: skip

CUSTOM_TYPES = {
    "text": "text", "long": "text", "phone": "text", "url": "text", "int": "number", "dec": "number", "date": "moment",
    "flag": "flag", "one": "choice", "many": "set",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Section 2: a statement is about a person, at an instant, in the tenant's time zone."""

    facts: Facts
    person: Person
    now: datetime
    zone: ZoneInfo


def holds(tree: Json, root_id: int, now: datetime, zone: str, facts: Facts) -> bool:
    """Whether the tree is true of the person."""
    return _node(tree["root"], Case(facts, facts.people[root_id], now, ZoneInfo(zone)))


def matching(tree: Json, now: datetime, zone: str, facts: Facts) -> set[int]:
    """Everybody of whom the tree is true."""
    return {pk for pk in facts.people if holds(tree, pk, now, zone, facts)}


def _node(node: Json, case: Case) -> bool:
    """Section 1, the table of nodes."""
    if "all" in node:
        return all(_node(part, case) for part in node["all"])
    if "any" in node:
        return any(_node(part, case) for part in node["any"])
    if "not" in node:
        return not _node(node["not"], case)
    if "at_least" in node:
        return sum(_node(part, case) for part in node["of"]) >= node["at_least"]
    return _leaf(node, case)


def _leaf(leaf: Json, case: Case) -> bool:
    """Section 3: true or false, never unknown; a negative operator is the complement of its positive one."""
    op = leaf["op"]
    if op in COMPLEMENTS:
        return not _leaf({**leaf, "op": COMPLEMENTS[op]}, case)
    if op == "never":
        return not _leaf({**leaf, "op": "count_at_least", "value": 1}, case)
    return _DECIDERS[type_of(leaf["field"], case.facts)](leaf, case)


def type_of(key: str, facts: Facts) -> str:
    """Section 8: the type of a field."""
    if key in facts.types:
        return facts.types[key]
    family, _, rest = key.partition(".")
    if family == "custom":
        return CUSTOM_TYPES[facts.custom[rest]]
    known = {"yearly": "anniversary", "consent": "choice", "event": "facts"}
    return known.get(family) or TYPES[key]


# --- One value (sections 3 and 4) ---------------------------------------------------------------------------------


def _one(decide: Callable[[str, Any, Any, Json, Case], bool]) -> Callable[[Json, Case], bool]:
    """Section 3: a positive statement about a missing value is false."""

    def of(leaf: Json, case: Case) -> bool:
        value = case.person.values.get(leaf["field"])
        if value is None:
            return False
        if leaf["op"] == "not_empty":
            return True
        return decide(leaf["op"], value, leaf.get("value"), leaf, case)

    return of


def _text(op: str, value: str, wanted: str, leaf: Json, case: Case) -> bool:
    if op == "is":
        return value == wanted
    if op == "contains":
        return wanted in value
    assert op == "starts_with", op
    return value.startswith(wanted)


def _number(op: str, value: Any, wanted: Any, leaf: Json, case: Case) -> bool:
    number = _exact(value)
    if op == "between":
        low, high = wanted
        return _exact(low) <= number <= _exact(high)
    return {"eq": number == _exact(wanted), "gte": number >= _exact(wanted), "lte": number <= _exact(wanted)}[op]


def _exact(number: int | float) -> Decimal:
    return Decimal(str(number))


def _choice(op: str, value: Any, wanted: list[Any], leaf: Json, case: Case) -> bool:
    assert op == "in", op
    return value in wanted


def _flag(leaf: Json, case: Case) -> bool:
    """For yes/no, missing counts as no."""
    assert leaf["op"] == "yes", leaf["op"]
    if leaf["field"] in case.person.values:
        return bool(case.person.values[leaf["field"]])
    if leaf["field"] == "contact.opt_out":
        return _opted_out(case)
    if leaf["field"] == "contact.store_open":
        return _has_open_store(case)
    return False


def _opted_out(case: Case) -> bool:
    """Section 8: 免打扰 began, and its end is missing or after now."""
    since, until = case.person.opt_out
    return since is not None and since <= case.now and (until is None or until > case.now)


def _has_open_store(case: Case) -> bool:
    """Section 8: she has a store and it is in use today: 营业中, not archived, opened by today and not closed by then."""
    store, today = case.person.store, case.now.astimezone(case.zone).date()
    return (
        store is not None
        and store.is_open
        and store.archived_at is None
        and (store.opened_on is None or store.opened_on <= today)
        and (store.closed_on is None or store.closed_on > today)
    )


def _moment(op: str, at: datetime, days: int, leaf: Json, case: Case) -> bool:
    if op == "within":
        return _inside(at, leaf["window"], case)
    assert op == "older_than", op
    return at + timedelta(days=days) <= case.now


def _anniversary(op: str, day: date, days: int, leaf: Json, case: Case) -> bool:
    """`upcoming`: the date returns within today and that many days ahead."""
    assert op == "upcoming", op
    today = case.now.astimezone(case.zone).date()
    return any(_returns_on(day, today + timedelta(days=ahead)) for ahead in range(days + 1))


def _returns_on(day: date, other: date) -> bool:
    """Born on 29 February: in common years the day is the 28th."""
    if (day.month, day.day) == (2, 29) and not isleap(other.year):
        return (other.month, other.day) == (2, 28)
    return (other.month, other.day) == (day.month, day.day)


def _share(leaf: Json, case: Case) -> bool:
    """Section 4, a share of people: from ≤ place < to, without rounding."""
    value = leaf["value"]
    digest = md5(f"{value['seed']}:{case.person.id}".encode()).hexdigest()
    place = Fraction(int(digest[:8], 16) * 100, 2**32)
    return Fraction(str(value["from"])) <= place < Fraction(str(value["to"]))


# --- Rows (sections 3 and 4) --------------------------------------------------------------------------------------


def _rows(leaf: Json, case: Case) -> list[Row]:
    """What is left of a field's rows after `where`, and after the window where there is one."""
    rows: Iterable[Row] = case.person.rows[leaf["field"]]
    if leaf["field"].startswith("custom."):
        rows = case.person.values.get(leaf["field"]) or ()
    rows = [row for row in rows if _kept(row, leaf.get("where", {}))]
    if "window" in leaf:
        rows = [row for row in rows if row.at is not None and _inside(row.at, leaf["window"], case)]
    return rows


def _kept(row: Row, where: dict[str, list[Any]]) -> bool:
    """Section 3: one of the listed, of each trait named."""
    return all(not row.traits[name].isdisjoint(listed) for name, listed in where.items())


def _set(leaf: Json, case: Case) -> bool:
    held = {row.value for row in _rows(leaf, case)}
    if leaf["op"] == "not_empty":
        return bool(held)
    wanted = set(leaf["value"])
    return wanted <= held if leaf["op"] == "all" else not wanted.isdisjoint(held)


def _facts(leaf: Json, case: Case) -> bool:
    """Section 3: a sum or count over no facts is 0."""
    rows, op, value = _rows(leaf, case), leaf["op"], leaf["value"]
    if op == "last_older_than":
        latest = max((row.at for row in rows if row.at), default=None)
        return latest is not None and latest + timedelta(days=value) <= case.now
    measured = sum(row.amount for row in rows) if op.startswith("sum_") else len(rows)
    return measured >= value if op.endswith("_at_least") else measured <= value


def _sequence(leaf: Json, case: Case) -> bool:
    """Section 4, order of events: one event for each place, each strictly later, in the window, at most `gap` × 24 h apart."""
    rows = _rows(leaf, case)
    most = timedelta(days=leaf["gap"]) if "gap" in leaf else None
    ends: list[datetime] | None = None  # where a chain over the places so far may end
    for kind in leaf["value"]:
        at_place = [row.at for row in rows if row.value == kind and row.at]
        ends = [at for at in at_place if ends is None or any(_follows(at, end, most) for end in ends)]
    return bool(ends)


def _follows(at: datetime, before: datetime, most: timedelta | None) -> bool:
    return before < at and (most is None or at - before <= most)


_DECIDERS: dict[str, Callable[[Json, Case], bool]] = {
    "text": _one(_text), "number": _one(_number), "choice": _one(_choice), "moment": _one(_moment),
    "anniversary": _one(_anniversary), "flag": _flag, "share": _share, "set": _set, "facts": _facts,
    "sequence": _sequence,
}  # fmt: skip


# --- Windows (section 5) ------------------------------------------------------------------------------------------


def _inside(at: datetime, window: Json, case: Case) -> bool:
    if "days" in window:
        ends = case.now - timedelta(days=window.get("skip_days", 0))
        return case.now - timedelta(days=window["days"]) < at <= ends
    if "hours" in window:
        return case.now - timedelta(hours=window["hours"]) < at <= case.now
    return _since(at, window.get("from"), case.zone) and _until(at, window.get("to"), case.zone)


def _since(at: datetime, day: str | None, zone: ZoneInfo) -> bool:
    return day is None or at >= start_of(date.fromisoformat(day), zone)


def _until(at: datetime, day: str | None, zone: ZoneInfo) -> bool:
    """To the end of the last day: before the next one begins."""
    return day is None or at < start_of(date.fromisoformat(day) + timedelta(days=1), zone)
