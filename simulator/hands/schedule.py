"""Acts nobody asked for, in virtual time: the corp's own life, what its calendar holds, and guides who send on their own."""

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from simulator.clock import local
from simulator.hands import calendar
from simulator.hands.life import TEXTS, Life
from simulator.hands.masses import send_personally

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator

OPENING, CLOSING = 10, 21
OPEN_MONTH = 30 * (CLOSING - OPENING) * 3600


class Schedule:
    """Life, and the next own mass send of each corp at the rate of `own_sends_per_guide_month`. A rate of 0 schedules
    nothing; a changed rate takes effect at once."""

    def __init__(self, sim: "Simulator") -> None:
        self._sim = sim
        self._random = {corp_id: random.Random(f"{corp.key}/own-sends") for corp_id, corp in sim.corps.items()}
        self._next: dict[str, int] = {}
        self._rate = 0.0
        self.life = Life(sim)

    def _plan(self) -> None:
        rate = self._sim.switches.own_sends_per_guide_month
        if rate == self._rate:
            return
        self._rate = rate
        self._next.clear()
        if rate > 0:
            for corp_id, corp in self._sim.corps.items():
                self._plan_after(corp_id, corp, self._sim.clock.now())

    def _plan_after(self, corp_id: str, corp: "Corp", after: int) -> None:
        guides = len(corp.directory.servants())
        if not guides:
            self._next.pop(corp_id, None)
            return
        gap = self._random[corp_id].expovariate(guides * self._rate / OPEN_MONTH)
        self._next[corp_id] = _open_time_after(after, max(int(gap), 60))

    def due(self) -> int:
        """How many acts are due now; of own mass sends the next of each corp, one for whatever the calendars have due."""
        self._plan()
        now, entry = self._sim.clock.now(), self._soonest()
        own = sum(1 for at in self._next.values() if at <= now)
        return self.life.due() + own + int(entry is not None and entry[0] <= now)

    def next_due(self) -> int | None:
        """The instant of the next act, None without any."""
        self._plan()
        return min((at for at, _act in self._coming()), default=None)

    def run_due(self) -> int:
        """Carry out every act up to now, each at its own instant. Returns how many."""
        self._plan()
        done, now = 0, self._sim.clock.now()
        while True:
            at, act = min(self._coming(), key=lambda row: row[0], default=(now + 1, None))
            if act is None or at > now:
                return done
            act()
            done += 1

    def _soonest(self) -> "tuple[int, Corp, calendar.Source] | None":
        return calendar.soonest(list(self._sim.corps.values()))

    def _coming(self) -> Iterator[tuple[int, Callable[[], None]]]:
        """The next act of each kind: its instant, and how it is carried out."""
        if entry := self._soonest():
            yield entry[0], lambda: entry[2].act(self._sim, entry[1])
        if (at := self.life.next_due()) is not None:
            yield at, self.life.run_next
        if self._next:
            yield min(self._next.values()), self._send_own

    def _send_own(self) -> None:
        corp_id = min(self._next, key=lambda key: (self._next[key], key))
        at, corp = self._next[corp_id], self._sim.corps[corp_id]
        self._act(corp_id, corp, at)
        self._plan_after(corp_id, corp, at)

    def _act(self, corp_id: str, corp: "Corp", at: int) -> None:
        chance = self._random[corp_id]
        guide = chance.choice(corp.directory.servants())
        numbers, _ = corp.customers.numbers(guide.userid)
        if numbers:
            audience = chance.sample(numbers, min(self._sim.switches.own_send_audience, len(numbers)))
            send_personally(self._sim, corp, guide.userid, audience, chance.choice(TEXTS), at)


def _open_time_after(instant: int, seconds: int) -> int:
    """The instant after `seconds` of opening hours have passed."""
    while True:
        moment = local(instant)
        opens = int(moment.replace(hour=OPENING, minute=0, second=0).timestamp())
        closes = int(moment.replace(hour=CLOSING, minute=0, second=0).timestamp())
        begin = max(instant, opens)
        if begin + seconds < closes:
            return begin + seconds
        seconds -= max(closes - begin, 0)
        instant = opens + 86_400
