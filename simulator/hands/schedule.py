"""Acts nobody asked for, in virtual time: guides who send on their own, and what the calendar of a corp holds."""
"""Acts nobody asked for, in virtual time: the corp's own life, and guides who send on their own."""

import random
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
        """How many corps have an act due now; one more for whatever the calendar has due."""
        self._plan()
        now, entry = self._sim.clock.now(), calendar.soonest(list(self._sim.corps.values()))
        return sum(1 for at in self._next.values() if at <= now) + int(entry is not None and entry[0] <= now)
        """How many acts are due now; of own mass sends the next of each corp."""
        self._plan()
        return self.life.due() + sum(1 for at in self._next.values() if at <= self._sim.clock.now())

    def next_due(self) -> int | None:
        """The instant of the next act, None without any."""
        self._plan()
        entry = calendar.soonest(list(self._sim.corps.values()))
        return min([*self._next.values(), *([entry[0]] if entry else [])], default=None)
        return min([at for at in (*self._next.values(), self.life.next_due()) if at is not None], default=None)

    def run_due(self) -> int:
        """Carry out every act up to now, each at its own instant. Returns how many."""
        done, now = 0, self._sim.clock.now()
        while True:
            entry = calendar.soonest(list(self._sim.corps.values()))
            own = min(self._next.values(), default=None)
            if entry and entry[0] <= now and (own is None or entry[0] <= own):
                entry[2].act(self._sim, entry[1])
            elif own is not None and own <= now:
                self._send_own(own)
            else:
                return done
            done += 1

    def _send_own(self, at: int) -> None:
        corp_id = min(self._next, key=lambda key: (self._next[key], key))
        corp = self._sim.corps[corp_id]
        self._act(corp_id, corp, at)
        self._plan_after(corp_id, corp, at)
        while (at := self.next_due()) is not None and at <= now:
            done += 1
            if at == self.life.next_due():
                self.life.run_next()
                continue
            corp_id = min(self._next, key=lambda key: (self._next[key], key))
            at, corp = self._next[corp_id], self._sim.corps[corp_id]
            self._act(corp_id, corp, at)
            self._plan_after(corp_id, corp, at)
        return done

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
