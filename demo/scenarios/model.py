"""The shape of a demo merchant: what her WeCom cannot know and her past. The people themselves come from the simulator."""

from dataclasses import dataclass, field
from typing import Any

POSTER = "poster_trial"  # the channel of a poster hung today: only a trial scan has come by it yet


@dataclass(frozen=True)
class StoreData:
    """A store and the WeCom department that stands for it."""

    department: int
    code: str
    name: str
    city: str
    region: str = ""
    dealer: str = ""
    phone: str = ""
    address: str = ""


@dataclass(frozen=True)
class UserData:
    """A log-in: its role preset and scope; userid makes it a member. `key` is the word of info.json, if it is listed."""

    username: str
    name: str
    role: str
    scope: str = "all"
    scope_name: str = ""
    userid: str = ""
    key: str = ""
    extra_roles: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class MonthSales:
    """Last calendar month: buyers, orders, net money in minor units, all-channel sales, and the orders nobody is bound to."""

    buyers: int
    orders: int
    net_minor: int
    all_channels_minor: int
    unbound_orders: int
    refunds: int


@dataclass(frozen=True)
class Outcome:
    """How the finished broadcast ended. excluded: reason → people."""

    excluded: dict[str, int]
    holdout: int
    guides: int
    confirmed_guides: int
    confirmed: int
    not_friend: int
    quota: int
    expired: int
    planned_buyers: int
    holdout_buyers: int

    @property
    def planned(self) -> int:
        return self.confirmed + self.expired

    @property
    def sent(self) -> int:
        return self.confirmed - self.not_friend - self.quota


@dataclass(frozen=True)
class Scenario:
    """One merchant."""

    slug: str
    name: str
    world: str  # the simulator's scenario
    stores: tuple[StoreData, ...]
    users: tuple[UserData, ...]
    stages: dict[str, int]  # stage key → people
    new_without_order: int  # added within 30 days, no order yet
    month: MonthSales
    products: tuple[tuple[str, str, str, int], ...]  # code, name, category, price in minor units
    exclusive_groups: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    dealers: tuple[str, ...] = ()
    gone: int = 0  # people whose every relation ended before the connection
    loyal_birthdays: int = 0
    repair: tuple[str, str, int] | None = None  # (tag, category, people who carry it and bought that within 90 days)
    broadcast: Outcome | None = None
    welcome: str = ""
    poster_tag: str = ""  # what the rule marks on those the trial poster brings
    sop_author: str = ""
    sop_approver: str = ""
    policy: dict[str, Any] = field(default_factory=dict)
