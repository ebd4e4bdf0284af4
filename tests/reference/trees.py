"""Random trees over every field, operator, window and trait of docs/conditions.md, which is written out here once more.

A tree names only what the world has, and values at which its instants lie. Depth at most 4.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference.chance import DAYS, GAPS, HOURS, KINDS, NAMES, World

Json = dict[str, Any]
DEPTH = 4
GROUPS = ("all", "any", "not", "at_least")


@dataclass(frozen=True)
class Spec:
    """A row of the tables of section 8. pool: what of the world its options are. timed: its rows lie in time."""

    key: str
    type: str
    pool: str = ""
    traits: dict[str, str] = field(default_factory=dict)  # trait → pool
    timed: bool = True
    money: bool = False
    only: tuple[str, ...] = ()

    @property
    def operators(self) -> tuple[str, ...]:
        """What may be asked: of facts without money no sum."""
        return self.only or tuple(op for op in OPERATORS[self.type] if self.money or not op.startswith("sum_"))

    @property
    def family(self) -> str:
        """Fields that are one row of the tables: contact.name, but custom, event, consent, yearly."""
        head = self.key.partition(".")[0]
        return head if head in ("custom", "event", "consent", "yearly") else self.key


PERSON = (
    Spec("contact.name", "text"),
    Spec("contact.gender", "choice", "gender"),
    Spec("contact.stage", "choice", "stage"),
    Spec("contact.stage_since", "moment"),
    Spec("contact.owner", "choice", "member"),
    Spec("contact.owner_left", "flag"),
    Spec("contact.store", "choice", "store"),
    Spec("contact.region", "choice", "region"),
    Spec("contact.dealer", "choice", "dealer"),
    Spec("contact.store_open", "flag"),
    Spec("contact.added_at", "moment"),
    Spec("contact.first_added_at", "moment"),
    Spec("contact.friends", "number"),
    Spec("contact.opt_out", "flag"),
    Spec("contact.has_phone", "flag"),
    Spec("birthday", "anniversary"),
    Spec("added_day", "anniversary"),
    Spec("consent.messages", "choice", "consent"),
    Spec("consent.profile", "choice", "consent"),
    Spec("consent.sharing", "choice", "consent"),
    Spec("share", "share"),
)
ROWS = (
    Spec("follow.relation", "set", "relation"),
    Spec("follow.add_way", "set", "way"),
    Spec("follow.state", "set", "state"),
    Spec("follow.member", "set", "member"),
    Spec("follow.remark", "flag"),
    Spec("follow.added", "facts", traits={"member": "member", "store": "store", "way": "way", "state": "state"}),
    Spec("follow.ended", "facts", traits={"member": "member", "store": "store", "by": "by"}),
    Spec("group", "set", "chat"),
    Spec("group.joined", "facts", traits={"group": "chat", "tag": "chat_tag"}),
    Spec("tag", "set", "tag", traits={"origin": "origin", "group": "tag_group", "member": "member"}),
    Spec("tag.owner", "set", "tag", traits={"origin": "origin", "group": "tag_group"}),
    Spec("segment", "set", "segment", only=("any", "all", "none")),
    Spec("order", "facts", traits={"store": "store", "member": "member", "source": "source"}, money=True),
    Spec(
        "order.line",
        "facts",
        traits={"product": "product", "category": "category", "store": "store", "source": "source"},
        money=True,
    ),
    Spec("order.category", "set", "category"),
    Spec("order.refund", "facts", traits={"source": "source"}, money=True),
    *(Spec(f"event.{kind}", "facts", traits={"member": "member", "store": "store"}) for kind in KINDS),
    Spec("events", "sequence"),
    Spec(
        "push",
        "facts",
        traits={"outcome": "outcome", "reason": "reason", "kind": "push_kind", "broadcast": "broadcast"},
    ),
    Spec("sop", "set", "sop"),
    Spec("sop.entered", "facts", traits={"sop": "sop", "outcome": "enrolment"}),
)
CUSTOM = (
    Spec("custom.c_text", "text"),
    Spec("custom.c_long", "text"),
    Spec("custom.c_int", "number"),
    Spec("custom.c_dec", "number"),
    Spec("custom.c_date", "moment"),
    Spec("custom.c_flag", "flag"),
    Spec("custom.c_one", "choice", "option"),
    Spec("custom.c_many", "set", "option", timed=False),
    Spec("custom.c_phone", "text"),
    Spec("custom.c_url", "text"),
    Spec("yearly.c_date", "anniversary"),
)
FIELDS = (*PERSON, *ROWS, *CUSTOM)

OPERATORS = {
    "text": ("is", "is_not", "contains", "not_contains", "starts_with", "empty", "not_empty"),
    "number": ("eq", "ne", "gte", "lte", "between", "empty", "not_empty"),
    "choice": ("in", "not_in", "empty", "not_empty"),
    "flag": ("yes", "no"),
    "moment": ("within", "not_within", "older_than", "empty", "not_empty"),
    "anniversary": ("upcoming", "not_upcoming", "empty", "not_empty"),
    "set": ("any", "all", "none", "empty", "not_empty"),
    "facts": ("count_at_least", "count_at_most", "never", "sum_at_least", "sum_at_most", "last_older_than"),
    "sequence": ("in_order", "not_in_order"),
    "share": ("in_share", "not_in_share"),
}
NUMBERS: dict[str, tuple[Any, ...]] = {
    "contact.friends": (0, 1, 2, 3),
    "custom.c_int": (0, 1, -1, 5, 6, 5.5, 10**14),
    "custom.c_dec": (0, 0.1, 0.3, 5.5, 5, -2.25, 99999999999.9999),
}
TEXTS: dict[str, tuple[str, ...]] = {
    "contact.name": (*(name for name in NAMES if name), "%", "_", "\\", "王", "W", "w", "小"),
    "custom.c_text": (*(name for name in NAMES if name), "%", "_", "5", "true", "王"),
    "custom.c_long": ("一行\n两行", "\n", "x", "xx"),
    "custom.c_phone": ("+8613800000000", "138", "+"),
    "custom.c_url": ("https://a.example/", "https://", "?y"),
}


def leaf(r: Random, world: World, spec: Spec, op: str) -> Json:
    """A statement with this operator."""
    said: Json = {"field": spec.key, "op": op}
    value = _value(r, world, spec, op)
    if value is not None:
        said["value"] = value
    if _takes_window(spec, op) and (op in ("within", "not_within") or r.random() < 0.5):
        said["window"] = window(r, world)
    if op in ("in_order", "not_in_order") and r.random() < 0.5:
        said["gap"] = r.choice(GAPS)
    if spec.traits and r.random() < 0.4:
        named = r.sample(sorted(spec.traits), r.choice((1, 1, min(2, len(spec.traits)))))
        said["where"] = {trait: some(r, world.pools[spec.traits[trait]]) for trait in named}
    return said


def _takes_window(spec: Spec, op: str) -> bool:
    """Sections 4 and 5: moments need one; sets, facts and sequences may have one, the latest fact not."""
    if spec.type in ("set", "facts", "sequence"):
        return spec.timed and op != "last_older_than"
    return op in ("within", "not_within")


def _value(r: Random, world: World, spec: Spec, op: str) -> Any:
    if op in ("empty", "not_empty", "yes", "no", "within", "not_within", "never"):
        return None
    if op in ("older_than", "last_older_than"):
        return r.choice(DAYS)
    return _VALUES[spec.type](r, world, spec, op)


def _number(r: Random, world: World, spec: Spec, op: str) -> Any:
    numbers = NUMBERS[spec.key]
    return sorted(r.choices(numbers, k=2)) if op == "between" else r.choice(numbers)


def _count(r: Random, world: World, spec: Spec, op: str) -> int:
    if op.startswith("sum_"):
        return r.choice((0, 1, 500, 1000, 1500, 100_000))
    return r.choice((0, 1, 2, 3)) if op.endswith("_at_most") else r.choice((1, 2, 3))


def _places(r: Random, world: World, spec: Spec, op: str) -> Json:
    bounds = r.choice(((0, 10), (10, 20), (0, 100), (33.33, 66.67), (50, 100), (0.01, 99.99), (12.5, 12.51)))
    return {"seed": r.choice(("春节A组", "a", "b:1")), "from": bounds[0], "to": bounds[1]}


_VALUES: dict[str, Callable[[Random, World, Spec, str], Any]] = {
    "text": lambda r, world, spec, op: r.choice(TEXTS[spec.key]),
    "number": _number,
    "choice": lambda r, world, spec, op: some(r, world.pools[spec.pool]),
    "anniversary": lambda r, world, spec, op: r.choice((0, 1, 2, 7, 30, 31, 180)),
    "set": lambda r, world, spec, op: some(r, world.pools[spec.pool]),
    "facts": _count,
    "sequence": lambda r, world, spec, op: r.choices(KINDS, k=r.choice((2, 2, 3, 4, 5))),
    "share": _places,
}


def some(r: Random, pool: list[Any]) -> list[Any]:
    """One to three of a pool."""
    return r.sample(pool, min(len(pool), r.choice((1, 1, 2, 3))))


def window(r: Random, world: World) -> Json:
    """Any of section 5."""
    chance = r.random()
    if chance < 0.35:
        return {"days": r.choice(DAYS)}
    if chance < 0.55:
        days = r.choice(DAYS[1:])
        return {"days": days, "skip_days": r.choice([0, *(skipped for skipped in DAYS if skipped < days)])}
    if chance < 0.7:
        return {"hours": r.choice(HOURS)}
    today = world.now.astimezone(ZoneInfo(world.zone)).date()
    first, last = sorted(today - timedelta(days=r.choice((-1, 0, 0, 1, 2, 7, 8, 30, 31))) for _ in range(2))
    both = {"from": first.isoformat(), "to": last.isoformat()}
    return r.choice((both, both, {"from": both["from"]}, {"to": both["to"]}))


def tree(r: Random, pick: Callable[[], Json], groups: Sequence[str] = GROUPS) -> Json:
    """A tree of these groups, whose statements `pick` makes."""
    if r.random() < 0.01:
        return {"version": 1, "root": {"all": []}}
    return {"version": 1, "root": _node(r, pick, groups, r.choice((0, 1, 1, 2, 2, 3, DEPTH)))}


def _node(r: Random, pick: Callable[[], Json], groups: Sequence[str], depth: int) -> Json:
    if depth == 0 or r.random() < 0.2:
        return pick()
    kind = r.choice(groups)
    if kind == "not":
        return {"not": _node(r, pick, groups, depth - 1)}
    parts = [_node(r, pick, groups, depth - 1) for _ in range(r.choice((1, 2, 2, 3)))]
    return {"at_least": r.randint(1, len(parts)), "of": parts} if kind == "at_least" else {kind: parts}


# --- Shrinking ----------------------------------------------------------------------------------------------------


def smaller(node: Json) -> Iterator[Json]:
    """Nodes that say less: a part of a group, a group without a part, a statement without what narrows it."""
    if "field" in node:
        yield from _less_said(node)
        return
    if "not" in node:
        yield node["not"]
        yield from ({"not": part} for part in smaller(node["not"]))
        return
    name = next(name for name in ("all", "any", "of") if name in node)
    parts = node[name]
    yield from parts
    for place in range(len(parts)):
        if len(parts) > max(1, node.get("at_least", 1)):
            yield {**node, name: parts[:place] + parts[place + 1 :]}
        for part in smaller(parts[place]):
            yield {**node, name: [*parts[:place], part, *parts[place + 1 :]]}


def _less_said(said: Json) -> Iterator[Json]:
    for name in ("where", "gap", "window"):
        if name in said and not (name == "window" and said["op"] in ("within", "not_within")):
            yield {key: value for key, value in said.items() if key != name}
    for trait, listed in said.get("where", {}).items():
        if len(said["where"]) > 1:
            yield {**said, "where": {name: kept for name, kept in said["where"].items() if name != trait}}
        for one in listed if len(listed) > 1 else ():
            yield {**said, "where": {**said["where"], trait: [one]}}
    value, least = said.get("value"), 2 if said["op"] in ("in_order", "not_in_order", "between") else 1
    if isinstance(value, list) and len(value) > least:
        yield from ({**said, "value": value[:place] + value[place + 1 :]} for place in range(len(value)))


def shrunk(given: Json, differs: Callable[[Json], bool]) -> Json:
    """The smallest tree found that still differs."""
    for root in smaller(given["root"]):
        less = {**given, "root": root}
        if differs(less):
            return shrunk(less, differs)
    return given
