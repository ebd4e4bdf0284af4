"""Which acts of a corp's own life fall into a month, and when: a function of its seed, the month and the rates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.clock import SHANGHAI, local
from simulator.world.draw import draw

if TYPE_CHECKING:
    from datetime import datetime

    from simulator.corp import Corp
    from simulator.switches import Switches

OPENING, CLOSING = 10, 21
HOUR, DAY = 3600, 86_400
WHOLE = 2**64


@dataclass(frozen=True)
class Kind:
    """A kind of act: the switch that turns it on, the one that holds its rate, what the rate counts by, and whether it
    keeps to opening hours."""

    name: str
    on: str
    rate: str
    per: str
    by_day: bool = True


KINDS = (
    Kind("add", "life", "life_adds", "guide"),
    Kind("chat", "life", "life_chats", "customer"),
    Kind("note", "life", "life_notes", "customer"),
    Kind("tag", "life", "life_tags", "customer"),
    Kind("group_join", "life", "life_group_joins", "group"),
    Kind("group_leave", "life", "life_group_leaves", "group", by_day=False),
    Kind("joiner", "life", "life_joiners", "guide"),
    Kind("own_send", "hidden_facts", "hidden_sends", "sender"),
    Kind("guide_delete", "hidden_facts", "hidden_guide_deletes", "customer", by_day=False),
    Kind("customer_delete", "hidden_facts", "hidden_customer_deletes", "customer", by_day=False),
    Kind("leaver", "hidden_facts", "hidden_leavers", "guide", by_day=False),
    Kind("console", "hidden_facts", "hidden_console", "corp"),
)


@dataclass(frozen=True, order=True)
class Act:
    """The `number`-th act of its kind in its month."""

    at: int
    corp_id: str
    kind: str
    number: int


def month_of(instant: float) -> "datetime":
    """Midnight of the first of the month, China time."""
    return local(instant).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: "datetime") -> "datetime":
    """The month that follows."""
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1, tzinfo=SHANGHAI)


def rates(switches: "Switches") -> dict[str, float]:
    """The rate of every kind, 0 for those turned off."""
    return {k.name: getattr(switches, k.rate) if getattr(switches, k.on) else 0.0 for k in KINDS}


def plan(corp: "Corp", month: "datetime", at_rates: dict[str, float]) -> list[Act]:
    """Every act of the month in order. Counts follow from the scenario's sizes, so that nothing that happened matters."""
    found = [Act(_when(corp, month, k, n), corp.corp_id, k.name, n)
             for k in KINDS for n in range(_count(corp, month, k, at_rates[k.name]))]  # fmt: skip
    return sorted(found)


def _count(corp: "Corp", month: "datetime", kind: Kind, rate: float) -> int:
    """The rate times what it counts by; what is left over one half-finished act is drawn."""
    guides = len(corp.base.guides)
    if kind.per == "sender":
        return guides if rate > 0 else 0  # each guide once; the rate is the share of her customers
    groups = sum(owner.groups for owner in corp.scenario.owners)
    expected = rate * {"guide": guides, "customer": corp.base.active, "group": groups, "corp": 1}[kind.per]
    return int(expected) + (chance(corp, month, kind.name, "count") < expected % 1)


def _when(corp: "Corp", month: "datetime", kind: Kind, number: int) -> int:
    begin, end = int(month.timestamp()), int(month_after(month).timestamp())
    roll = draw(corp.key, "life", f"{month:%Y-%m}", kind.name, number, "when")
    if not kind.by_day:
        return begin + roll % (end - begin)
    day = roll % ((end - begin) // DAY)
    return begin + day * DAY + OPENING * HOUR + (roll >> 20) % ((CLOSING - OPENING) * HOUR)


def chance(corp: "Corp", month: "datetime", *purpose: object) -> float:
    """A number in [0, 1) of this corp, month and purpose."""
    return draw(corp.key, "life", f"{month:%Y-%m}", *purpose) / WHOLE
