"""The unchanged world: who follows whom, since when and how, as a pure function of scenario, seed and start.

Customers are numbers. Each guide is first follower of one contiguous block of them, guides of one store stand side by
side, so a store's customers are contiguous as well. Second followers are two small arrays.
"""

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise

from simulator.scenarios.model import Person, Scenario
from simulator.world.draw import Shuffle, apportion, draw
from simulator.world.names import staff_name

DAY = 86_400
CHINA = 8 * 3600
OPENING, OPEN_FOR = 10 * 3600, 41_000


@dataclass(frozen=True)
class Staff:
    """A member of the scenario with the names the seed gave."""

    userid: str
    name: str
    department: int
    position: str
    leader: bool
    contact: bool


class BaseWorld:
    """Answers for members, relations and times; holds a few integers per member and per second relation."""

    def __init__(self, scenario: Scenario, key: str, start: int) -> None:
        self.scenario, self.start = scenario, start
        self.key = f"{key}/{scenario.active}:{len(scenario.people)}"
        self.staff = self._name_staff()
        self.guides = [person for person in self.staff if person.contact]
        self.guide_number = {person.userid: n for n, person in enumerate(self.guides)}
        self.active = scenario.active if self.guides else 0
        self.recency = Shuffle(self.active, self.key, "recency")
        self.recent = sum(channel.recent for channel in scenario.channels)
        self._recent_order = Shuffle(self.recent, self.key, "recent")
        self._weighted = [state for state in scenario.channels for _ in range(state.weight)]
        self._starts = self._lay_blocks()
        self._extra_customers, self._extra_guides = self._draw_seconds()
        self._by_guide = self._index_seconds()

    # -- members ---------------------------------------------------------------------------------------------------

    def _name_staff(self) -> list[Staff]:
        taken = {person.userid for person in self.scenario.people if person.userid}
        return [self._name_one(n, person, taken) for n, person in enumerate(self.scenario.people)]

    def _name_one(self, number: int, person: Person, taken: set[str]) -> Staff:
        name, userid = person.name, person.userid
        if not name:
            name, latin = staff_name(draw(self.key, "staff", number))
            userid = userid or self._free_userid(latin, taken)
        taken.add(userid)
        return Staff(userid, name, person.department, person.position, person.leader, person.contact)

    @staticmethod
    def _free_userid(latin: str, taken: set[str]) -> str:
        userid, suffix = latin, 1
        while userid in taken:
            suffix += 1
            userid = f"{latin}{suffix}"
        return userid

    # -- relations -------------------------------------------------------------------------------------------------

    def _fixed(self) -> list[int | None]:
        return [person.customers for person in self.scenario.people if person.contact]

    def _lay_blocks(self) -> array:
        fixed = self._fixed()
        weights = [0 if n is not None else 60 + draw(self.key, "share", g) % 80 for g, n in enumerate(fixed)]
        shared = apportion(self.active - sum(n or 0 for n in fixed), weights)
        starts = array("L", [0])
        for own, share in zip(fixed, shared, strict=True):
            starts.append(starts[-1] + (share if own is None else own))
        return starts

    def _draw_seconds(self) -> tuple[array, array]:
        """Customers with a second follower: older than the recent ones, with a colleague whose count is not fixed."""
        wanted = self.scenario.relations - self.active if self.active else 0
        order, fixed = Shuffle(self.active, self.key, "seconds"), self._fixed()
        free = [g for g, n in enumerate(fixed) if n is None] or list(range(len(fixed)))
        chosen: list[tuple[int, int]] = []
        position = 0
        while len(chosen) < wanted and position < self.active:
            customer = order(position)
            position += 1
            first = self.first_guide(customer)
            after = free[bisect_right(free, first) % len(free)]
            if self.recency(customer) >= self.recent and after != first:
                chosen.append((customer, after))
        chosen.sort()
        return array("L", [c for c, _ in chosen]), array("L", [g for _, g in chosen])

    def _index_seconds(self) -> list[array]:
        rows = [array("L") for _ in self.guides]
        for customer, guide in zip(self._extra_customers, self._extra_guides, strict=True):
            rows[guide].append(customer)
        return rows

    def first_guide(self, customer: int) -> int:
        """The guide whose block holds `customer`."""
        return bisect_right(self._starts, customer) - 1

    def second_guide(self, customer: int) -> int | None:
        """The colleague who also follows `customer`, if any."""
        at = bisect_left(self._extra_customers, customer)
        if at < len(self._extra_customers) and self._extra_customers[at] == customer:
            return self._extra_guides[at]
        return None

    def follows(self, guide: int, customer: int) -> bool:
        """Whether the pair exists in the beginning."""
        if not 0 <= customer < self.active:
            return False
        return self.first_guide(customer) == guide or self.second_guide(customer) == guide

    def count_of(self, guide: int) -> int:
        """How many customers the guide has in the beginning."""
        return self._starts[guide + 1] - self._starts[guide] + len(self._by_guide[guide])

    def customers_of(self, guide: int, begin: int, end: int) -> list[int]:
        """The guide's customers from position `begin` to `end` (exclusive)."""
        first, last = self._starts[guide], self._starts[guide + 1]
        block = list(range(min(first + begin, last), min(first + end, last)))
        size = last - first
        return block + list(self._by_guide[guide][max(begin - size, 0) : max(end - size, 0)])

    def block(self, first_guide: int, last_guide: int) -> range:
        """The customers whose first follower is one of these neighbouring guides."""
        return range(self._starts[first_guide], self._starts[last_guide + 1])

    # -- times and ways in -----------------------------------------------------------------------------------------

    def added_at(self, customer: int) -> int:
        """When the first follower gained the customer, by the scenario's growth and the shop's opening hours."""
        age = self.active - 1 - self.recency(customer)
        stretches = list(pairwise(self.scenario.growth))
        (far, low), (near, high) = next((s for s in stretches if age < s[1][1]), stretches[-1])
        begin, end = self.start - far * DAY, self.start - near * DAY
        plain = begin + (end - begin) * (age - low) // max(high - low, 1)
        midnight = plain - (plain + CHINA) % DAY
        open_time = midnight + OPENING + draw(self.key, "hour", customer) % OPEN_FOR
        return open_time if begin <= open_time < end else plain

    def second_added_at(self, customer: int) -> int:
        """When the second follower gained the customer: later, but before the last 30 days."""
        first, last = self.added_at(customer), self.start - 31 * DAY
        return first + (max(last - first, 1) * (draw(self.key, "second", customer) % 1000)) // 1000

    def channel(self, customer: int, *, second: bool) -> tuple[str, int]:
        """(state, add_way) of the adding; an empty state means none."""
        rank = self.recency(customer)
        if second or rank >= self.recent:
            if not self._weighted:
                return "", 1
            pick = self._weighted[draw(self.key, "channel", customer, second) % len(self._weighted)]
            return pick.state, pick.add_way
        place = self._recent_order(rank)
        for channel in self.scenario.channels:
            if place < channel.recent:
                return channel.state, channel.add_way
            place -= channel.recent
        raise AssertionError("a recent customer is outside the channels' counts")
