"""A plain evaluator over each field's own reader: what a field's SQL finds must be what its reader says. The whole language, and the
readers too, are held to tests/reference, which shares nothing with the product."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from hashlib import md5
from typing import Any
from zoneinfo import ZoneInfo

from conditions import registry


class Facts:
    """What the readers say about some people, loaded once per field."""

    def __init__(self, root_ids: Iterable[int]) -> None:
        self.root_ids = list(root_ids)
        self._loaded: dict[str, Mapping[int, Any]] = {}
        self._kinds: dict[str, str] = {}

    def kind_of(self, field_key: str) -> str:
        """A field's type; fields that the tenant's data define are looked up once."""
        if field_key not in self._kinds:
            self._kinds[field_key] = registry.get(field_key).type.value
        return self._kinds[field_key]

    def of(self, field_key: str, root_id: int) -> Any:
        """A field's value for a person: one value or None; for SET and FACTS a list."""
        if field_key not in self._loaded:
            self._loaded[field_key] = registry.get(field_key).read(self.root_ids)
        return self._loaded[field_key].get(root_id)


def matching(tree: dict[str, Any], root_ids: Iterable[int], now: datetime, zone: str) -> set[int]:
    """The people, of those given, for whom the tree holds."""
    facts = Facts(root_ids)
    return {root_id for root_id in facts.root_ids if holds(tree["root"], root_id, facts, now, zone)}


def holds(node: dict[str, Any], root_id: int, facts: Facts, now: datetime, zone: str) -> bool:
    """Whether a node holds for a person at an instant. `zone`: the tenant's time zone, for calendar days."""
    if "all" in node:
        return all(holds(part, root_id, facts, now, zone) for part in node["all"])
    if "any" in node:
        return any(holds(part, root_id, facts, now, zone) for part in node["any"])
    if "at_least" in node:
        return sum(holds(part, root_id, facts, now, zone) for part in node["of"]) >= int(node["at_least"])
    if "not" in node:
        return not holds(node["not"], root_id, facts, now, zone)
    known = facts.of(node["field"], root_id)
    kind = facts.kind_of(node["field"])
    if kind == "set":
        return _set_holds(node, known or [], now, zone)
    if kind == "facts":
        return _facts_hold(node, known or [], now, zone)
    if kind == "sequence":
        return _in_order(node, known or [], now, zone) is (node["op"] == "in_order")
    if kind == "share":
        return _in_share(node["value"], root_id) is (node["op"] == "in_share")
    return _value_holds(node, known, kind, now, zone)


def _value_holds(node: dict[str, Any], known: Any, kind: str, now: datetime, zone: str) -> bool:
    op, wanted = node["op"], node.get("value")
    missing = known is None or (kind == "text" and known == "")
    if op == "empty":
        return missing
    if op == "not_empty":
        return not missing
    if op in ("is_not", "not_contains", "ne", "not_in", "not_within", "not_upcoming", "no"):
        opposite = {"is_not": "is", "not_contains": "contains", "ne": "eq", "not_in": "in", "no": "yes"}
        positive = opposite.get(op) or op.removeprefix("not_")
        return not _value_holds({**node, "op": positive}, known, kind, now, zone)
    if missing:
        return False
    return _positive(op, known, wanted, node.get("window"), now, zone)


def _positive(op: str, known: Any, wanted: Any, window: dict[str, Any] | None, now: datetime, zone: str) -> bool:
    """The positive statements, about a value that is there."""
    if op == "within":
        return _in_window(known, window, now, zone)
    if op == "older_than":
        return bool(known + timedelta(days=wanted) <= now)
    if op == "upcoming":
        return 0 <= _days_until(known, now, zone) <= int(wanted)
    plain = {
        "is": lambda: known == wanted,
        "eq": lambda: known == wanted,
        "contains": lambda: wanted in known,
        "starts_with": lambda: known.startswith(wanted),
        "gte": lambda: known >= wanted,
        "lte": lambda: known <= wanted,
        "between": lambda: wanted[0] <= known <= wanted[1],
        "in": lambda: known in wanted,
        "yes": lambda: known is True,
    }
    return bool(plain[op]())


def _days_until(birthday: date, now: datetime, zone: str) -> int:
    """Days from the local today to the next return of the date; born on 29 February: the 28th in common years."""
    today = now.astimezone(ZoneInfo(zone)).date()
    for year in (today.year, today.year + 1):
        try:
            returns = birthday.replace(year=year)
        except ValueError:
            returns = date(year, 2, 28)
        if returns >= today:
            return (returns - today).days
    raise AssertionError("a date returns every year")


def _in_window(at: datetime | None, window: dict[str, Any] | None, now: datetime, zone: str) -> bool:
    if window is None:
        return True
    if at is None:
        return False
    if "hours" in window:
        age = now - at
        return timedelta() <= age < timedelta(hours=window["hours"])
    if "days" in window:
        age = now - at
        return timedelta(days=window.get("skip_days", 0)) <= age < timedelta(days=window["days"])
    local = ZoneInfo(zone)
    if "from" in window and at < datetime.combine(date.fromisoformat(window["from"]), time.min, local):
        return False
    if "to" in window:
        day_after = date.fromisoformat(window["to"]) + timedelta(days=1)
        return at < datetime.combine(day_after, time.min, local)
    return True


def _set_holds(node: dict[str, Any], rows: list[tuple[Any, datetime | None]], now: datetime, zone: str) -> bool:
    present = {value for value, at in rows if _in_window(at, node.get("window"), now, zone)}
    wanted = set(node.get("value") or [])
    match node["op"]:
        case "any":
            return bool(present & wanted)
        case "none":
            return not present & wanted
        case "all":
            return wanted <= present
        case "empty":
            return not present
        case "not_empty":
            return bool(present)
    raise ValueError(node["op"])


def _in_order(node: dict[str, Any], rows: list[tuple[Any, datetime]], now: datetime, zone: str) -> bool:
    """Every event that may stand at a place, given those that may stand at the place before."""
    inside = [(kind, at) for kind, at in rows if _in_window(at, node.get("window"), now, zone)]
    gap = timedelta(days=node.get("gap") or 10_000)
    ends = [at for kind, at in inside if kind == node["value"][0]]
    for wanted in node["value"][1:]:
        ends = [at for kind, at in inside if kind == wanted and any(before < at <= before + gap for before in ends)]
    return bool(ends)


def _in_share(value: dict[str, Any], root_id: int) -> bool:
    place = Fraction(
        int(md5(f"{value['seed']}:{root_id}".encode(), usedforsecurity=False).hexdigest()[:8], 16) * 100, 2**32
    )
    return Fraction(str(value["from"])) <= place < Fraction(str(value["to"]))


def _facts_hold(node: dict[str, Any], rows: list[tuple[datetime, int]], now: datetime, zone: str) -> bool:
    wanted = node.get("value")
    if node["op"] == "last_older_than":
        return bool(rows) and max(at for at, _amount in rows) <= now - timedelta(days=wanted or 0)
    counted = [amount for at, amount in rows if _in_window(at, node.get("window"), now, zone)]
    match node["op"]:
        case "never":
            return not counted
        case "count_at_least":
            return len(counted) >= (wanted or 0)
        case "count_at_most":
            return len(counted) <= (wanted or 0)
        case "sum_at_least":
            return sum(counted) >= (wanted or 0)
        case "sum_at_most":
            return sum(counted) <= (wanted or 0)
    raise ValueError(node["op"])
