"""The shape of a scenario: what a world is made of, before any seed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Department:
    """A node of the directory; the root has id 1 and parent 0."""

    id: int
    name: str
    parent: int


@dataclass(frozen=True)
class Person:
    """A member. Names left empty are drawn from the seed; `customers` fixes how many she has as first follower."""

    department: int
    name: str = ""
    userid: str = ""
    position: str = "导购"
    leader: bool = False
    contact: bool = True
    customers: int | None = None


@dataclass(frozen=True)
class Tag:
    """A corp tag and how many customers carry it in the beginning."""

    name: str
    customers: int = 0


@dataclass(frozen=True)
class TagGroup:
    """A corp tag group; of an exclusive one a customer carries one tag at most. `by` is who made it: app or console."""

    name: str
    tags: tuple[Tag, ...]
    exclusive: bool = False
    by: str = "app"


@dataclass(frozen=True)
class Channel:
    """A way in: the state of its code, add_way, adds within the last 30 days, and its weight before that."""

    state: str
    add_way: int
    recent: int = 0
    weight: int = 0


@dataclass(frozen=True)
class Owner:
    """How many customer groups a member owns; an empty userid stands for any guide not named."""

    groups: int
    userid: str = ""


@dataclass(frozen=True)
class Scenario:
    """A whole corp.

    `active` customers have at least one follower, `relations` counts (customer, member) pairs, `ever` adds those who
    left. `growth` is a list of (days before the start, customers existing then), oldest first.
    """

    name: str
    corp_name: str
    departments: tuple[Department, ...]
    people: tuple[Person, ...]
    active: int = 0
    ever: int = 0
    relations: int = 0
    growth: tuple[tuple[int, int], ...] = ((396, 0), (0, 0))
    tag_groups: tuple[TagGroup, ...] = ()
    channels: tuple[Channel, ...] = ()
    owners: tuple[Owner, ...] = ()
    group_names: tuple[str, ...] = ("{store}福利群", "{store}会员群", "{store}老友群", "{store}新品群", "{store}答疑群")
    group_size: tuple[int, int] = (48, 168)
    remark_notes: tuple[str, ...] = ("老客", "活动", "加群")
    unionid: bool = False
