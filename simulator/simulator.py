"""Everything one process holds: corps, clock, tokens, logs, and the two loops of events and scheduled acts."""

import asyncio
import contextlib

from simulator.api.calllog import CallLog
from simulator.api.governor import Governor
from simulator.api.scripts import ScriptBook
from simulator.api.ticketing import TicketOffice
from simulator.api.tokens import TokenOffice
from simulator.callbacks.events import Event
from simulator.callbacks.sender import Sender
from simulator.chaos.book import ChaosBook
from simulator.clock import DomainClock
from simulator.corp import Corp
from simulator.hands.schedule import Schedule
from simulator.scenarios import load
from simulator.state import StateFile
from simulator.switches import Switches

TICK = 0.5


class Simulator:
    """`specs` are scenario texts such as `chain` or `scale:customers=50000`; corps come out in this order."""

    def __init__(self, specs: list[str], seed: int, start: float | None = None) -> None:
        self._start = start
        self.clock = DomainClock(start)
        self.start = self.clock.now()
        rows = [Corp(load(spec), seed, ordinal, self.start) for ordinal, spec in enumerate(specs)]
        self.corps = {corp.corp_id: corp for corp in rows}
        self.switches = Switches()
        self._seed = seed
        self._preset: dict = {}
        self._recipes: tuple[str, ...] = ()
        self.chaos = ChaosBook()
        self.sender = Sender(self.switches, self.chaos, self._note_change)
        self.touched = False
        self.state: StateFile | None = None
        self._ticker: asyncio.Task | None = None
        self.background: set[asyncio.Task] = set()
        self.blank()

    def preset(self, switches: dict, recipes: tuple[str, ...] = ()) -> None:
        """Set switches and recipes of chaos that a reset comes back to. Raises ValueError."""
        self.switches.set(switches)
        self._preset, self._recipes = switches, recipes
        self._add_recipes()

    def _add_recipes(self) -> None:
        for recipe in self._recipes:
            self.chaos.add_recipe(recipe, self._seed)

    def _note_change(self) -> None:
        self.touched = True

    def keep_in(self, state: StateFile) -> str:
        """Take up a snapshot if it fits, and write one from now on. Returns why none was taken up, or ''."""
        self.state = state
        return state.load(self)

    def blank(self) -> None:
        """Forget tokens, limits, scripts, chaos, logs and plans; not the worlds."""
        self.chaos.clear()
        self.tokens = TokenOffice()
        self.tickets = TicketOffice()
        self.governor = Governor()
        self.scripts = ScriptBook()
        self.calls = CallLog()
        self.schedule = Schedule(self)

    async def run(self) -> None:
        """Start delivering and ticking."""
        await self.sender.start()
        self._ticker = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Stop both."""
        if self._ticker:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        await self._drop_background()
        self._save()
        await self.sender.stop()

    async def _tick(self) -> None:
        while True:
            if self.schedule.run_due():
                self.touched = True
            self._save()
            await asyncio.sleep(TICK)

    async def _drop_background(self) -> None:
        running = list(self.background)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _save(self) -> None:
        if self.state and self.touched:
            self.touched = False
            self.state.save(self)

    def emit(self, corp: Corp, event: Event, at: int | None = None) -> None:
        """An event happens now, or happened at `at` of the domain clock."""
        created = self.clock.now() if at is None else at
        self.sender.put(corp, event, created)

    def move_clock(self, instant: float) -> int:
        """Set the domain clock; acts that fell due are carried out in order. Returns how many."""
        self.schedule.next_due()  # whatever a switch turned on begins before the clock moves
        self.clock.set(instant)
        return self.schedule.run_due()

    def quiet(self) -> dict:
        """Whether nothing is under way, and when the next scheduled act is due."""
        due = self.schedule.due()
        return {
            "quiet": not self.sender.pending and not due,
            "callbacks": self.sender.pending,
            "acts_due": due,
            "next_due": self.schedule.next_due(),
            "now": self.clock.now(),
        }

    async def reset(self, *, keep_clock: bool = False, forget_callbacks: bool = False) -> None:
        """Back to the beginning: worlds, logs, scripts, tokens, switches; callback addresses stay unless told."""
        await self._drop_background()
        await self.sender.clear()
        self.switches.set(Switches().shown() | self._preset)
        if not keep_clock:
            self.clock.set(self.start) if self._start is not None else self.clock.advance(-self.clock.offset)
        for corp in self.corps.values():
            corp.reset()
            if forget_callbacks:
                corp.callback = None
        self.blank()
        self._add_recipes()
