"""One corp's turn to call: asked for before each call in one step, given back after it without waiting.

A turn that is soon free is waited for; otherwise Refused says how long it takes, and the work goes back to its queue without a
counted try.
"""

import contextlib
import random
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from scrm.lib import clock
from tenants.paths import channel, shared_channel
from wecom_bridge.governor import limits as known
from wecom_bridge.governor import memory, reach, shared
from wecom_bridge.governor.limits import ApiLimits, Level, Limits
from wecom_bridge.governor.local import Alone, Tally
from wecom_bridge.governor.memory import Kept

PATIENCE = {"welcome": 4.0, "person": 2.0, "commands": 2.0, "sync": 2.0}  # seconds to wait for a place
FIRST_PAUSE, LONGEST_PAUSE = 0.03, 0.12  # seconds between two looks for a place
KEPT_SECONDS = 30.0  # the place of a killed caller is free after this
DAY = 86_400
CHINA = 8 * 3600  # WeCom's natural day (contact 12.2); no daylight saving


class Refused(Exception):
    """Not now. word: closed, full, busy, hold, each, away; wait: seconds."""

    def __init__(self, word: str, wait: float, errcode: int = 0) -> None:
        super().__init__(f"{word} for {wait:.1f} s")
        self.word, self.wait, self.errcode = word, wait, errcode


@dataclass
class Turn:
    """A running call. `left` gives its place back and tells how it went."""

    api: str
    limits: ApiLimits
    keys: list[str]
    began: float
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    alone: Alone | None = None


_tallies: dict[str, Tally] = {}
_alone: dict[str, Alone] = {}
_learned: dict[str, tuple[int, int]] = {}
_making, _loading = threading.Lock(), threading.Lock()


class Pace:
    """All turns of one corp at one level."""

    def __init__(self, corp_pk: int, corp_id: str, limits: Limits, level: Level = "person") -> None:
        self.corp_pk, self.corp_id, self.limits, self.level = corp_pk, corp_id, limits, level
        self._of_api: dict[str, tuple[ApiLimits, list[str], list[int]]] = {}
        self._given: dict[tuple[str, int], str] = {}
        self._levels: dict[Level, Pace] = {level: self}

    def at(self, level: Level) -> "Pace":
        """The same corp, with another budget."""
        found = self._levels.get(level)
        if found is None:
            found = self._levels[level] = Pace(self.corp_pk, self.corp_id, self.limits, level)
            found._levels = self._levels
        return found

    def take(self, api: str, *, subject: str = "", kept: float = KEPT_SECONDS) -> Turn:
        """A turn to call. Raises Refused. subject: what `each` of the limits counts, e.g. a msgid."""
        if wait := reach.of(settings.WECOM_API_BASE).wait(hasty=self.level == "welcome"):
            raise Refused("away", wait)
        limits, keys, _parts = self._of(api)
        if subject and limits.each:
            keys = [*keys, channel(f"wecom-each:{self.corp_id}:{api}:{subject}")]
        turn = Turn(api, limits, keys, 0.0)
        patience, pause = time.monotonic() + PATIENCE[self.level], FIRST_PAUSE
        while True:
            turn.began = clock.wall().timestamp()
            word, wait = self._ask(turn, kept)
            if word == "ok":
                return turn
            if word not in ("busy", "hold") or time.monotonic() + wait >= patience:
                raise Refused(word, wait or 1.0, turn.limits.each_errcode if word == "each" else 0)
            time.sleep(max(wait, random.uniform(pause / 2, pause)))
            pause = min(2 * pause, LONGEST_PAUSE)

    def left(self, turn: Turn, outcome: str) -> float:
        """The call is over. outcome: ok, frequent (45009), crowded (45033), slow, busy (-1, 5xx), none (nothing was reached).

        Returns the seconds for which the window is closed now.
        """
        there = reach.of(settings.WECOM_API_BASE)
        wait = 0.0
        if outcome == "none":
            wait = there.failed(hasty=self.level == "welcome")
        else:
            there.answered()
        if turn.alone is not None:
            return max(wait, self._left_alone(turn, outcome))
        if outcome == "ok":
            shared.ask(lambda: shared.done(turn.keys[:2], [turn.name, turn.began, turn.limits.ceiling]))
            return 0.0
        told = shared.ask(lambda: shared.leave(turn.keys, self._leaving(turn, outcome)))
        if not told or len(told) == 1:  # away, or it has lost all it knew while the call ran
            return max(wait, self._without_redis(turn, outcome))
        changed, width, closed, scope, strikes = told
        until = float(closed)
        if changed:
            self._keep(turn.api, Kept(int(width), until, scope.decode(), int(strikes)))
            _learned[turn.keys[0]] = (int(width), int(strikes))
        return max(wait, until - clock.wall().timestamp())

    # --- With Redis

    def _ask(self, turn: Turn, kept: float) -> tuple[str, float]:
        told = shared.ask(lambda: self._admitted(turn, kept))
        if told is None:
            return self._ask_alone(turn)
        turn.alone = None
        if told[0] != b"ok":
            return told[0].decode(), int(told[1]) / 1000
        self._count(turn, told[1].decode())
        self._learn(turn, (int(told[2]), int(told[3])))
        return "ok", 0.0

    def _learn(self, turn: Turn, news: tuple[int, int]) -> None:
        """(width, strikes) that successes have changed are written down by whoever sees it first."""
        known = _learned.setdefault(turn.keys[0], news)
        if known != news:
            _learned[turn.keys[0]] = news
            with contextlib.suppress(DatabaseError):
                memory.note(self.corp_pk, turn.api, *news)

    def _admitted(self, turn: Turn, kept: float) -> list[bytes]:
        back = _alone.pop(turn.keys[0], None)
        if back is not None and back.closed > turn.began:
            shared.connection().hset(turn.keys[0], "closed", back.closed)
        told: list[bytes] = shared.admit(turn.keys, self._arriving(turn, kept)).split()
        if told[0] != b"lost":
            return told
        with (
            _loading
        ):  # one thread reads the row, on a connection that costs more than the call; the others find it done
            told = shared.admit(turn.keys, self._arriving(turn, kept)).split()
            if told[0] == b"lost":
                row = memory.load(self.corp_pk, turn.api, turn.limits.width)
                given = [secrets.token_hex(8), row.width, row.closed, row.scope, row.strikes, row.struck]
                shared.seed([turn.keys[0], turn.keys[2]], given)
                told = shared.admit(turn.keys, self._arriving(turn, kept)).split()
        return told

    def _count(self, turn: Turn, epoch: str) -> None:
        """In this process too, so that the shared count can be made good after a loss."""
        tally, day = _tally(turn.keys[0]), _day(turn.began)
        if tally.add(epoch, turn.began, day):
            others = tally.move(epoch, turn.began, day)
            if any(others):
                keys = [turn.keys[0], turn.keys[2]]
                shared.ask(lambda: shared.rejoin(keys, [turn.began, *others, day]))

    def _of(self, api: str) -> tuple[ApiLimits, list[str], list[int]]:
        """Limits, keys, and this level's parts of the windows: the same for every call of an API."""
        found = self._of_api.get(api)
        if found is None:
            row = self.limits.of(api)
            windows = (row.minute, row.hour, row.day, row.address_minute, row.address_hour)
            parts = [self.limits.part(self.level, limit) for limit in windows]
            found = self._of_api[api] = (row, keys_of(self.corp_id, api), parts)
        return found

    def _arriving(self, turn: Turn, kept: float) -> list[Any]:
        day = _day(turn.began)
        given = self._given.get((turn.api, day))
        if given is None:
            row, parts = turn.limits, self._of(turn.api)[2]
            words = [
                self.limits.places(self.level),
                row.ceiling,
                *parts,
                day,
                _midnight(day),
                row.each,
                row.each_seconds,
            ]
            given = self._given[turn.api, day] = " ".join(map(str, words))
        return [turn.began, turn.name, kept, given]

    def _leaving(self, turn: Turn, outcome: str) -> list[Any]:
        row, now = turn.limits, clock.wall().timestamp()
        day = _day(now)
        limits = [row.minute, row.hour, row.day, row.address_minute, row.address_hour]
        return [now, turn.name, turn.began, outcome, row.ceiling, *limits, row.penalty, day, _midnight(day)]

    def _keep(self, api: str, kept: Kept) -> None:
        # Losing the row's news costs one refused call after a flush; the call that was just made must not fail for it.
        with contextlib.suppress(DatabaseError):
            memory.save(self.corp_pk, api, kept)

    # --- Without

    def _ask_alone(self, turn: Turn) -> tuple[str, float]:
        key = turn.keys[0]
        turn.alone = _alone.get(key)
        if turn.alone is None:
            row = memory.load(self.corp_pk, turn.api, turn.limits.width)
            with _making:
                found = Alone(row.width, row.closed, _tally_of(key))
                turn.alone = _alone.setdefault(key, found)
        # Each process watches its own part, so the address, shared by all merchants, is divided with them.
        minute, hour, day, address_minute, address_hour = self._of(turn.api)[2]
        parts = (min(minute, address_minute), min(hour, address_hour), day)
        return turn.alone.enter(turn.limits, parts, turn.began, _day(turn.began))

    def _left_alone(self, turn: Turn, outcome: str) -> float:
        assert turn.alone is not None
        turn.alone.leave()
        return self._without_redis(turn, outcome)

    def _without_redis(self, turn: Turn, outcome: str) -> float:
        """A refusal that Redis cannot be told of is kept here and in the row, and told to Redis when it is back."""
        if outcome != "frequent":
            return 0.0
        key, wait = turn.keys[0], float(turn.limits.penalty or 60)
        closed = clock.wall().timestamp() + wait
        alone = _alone.get(key)
        if alone is None:
            width, _strikes = _learned.get(key, (turn.limits.width, 0))
            with _making:
                alone = _alone.setdefault(key, Alone(width, closed, _tally_of(key)))
        alone.closed = closed
        self._keep(turn.api, Kept(alone.width, closed, "corp", 1))
        return wait


def keys_of(corp_id: str, api: str) -> list[str]:
    """State, places, state of the address. The last belongs to no merchant and says nothing of any."""
    return [
        channel(f"wecom-pace:{corp_id}:{api}"),
        channel(f"wecom-places:{corp_id}:{api}"),
        shared_channel(f"wecom-address:{settings.WECOM_ADDRESS}:{api}"),
    ]


def today() -> int:
    """The number of WeCom's present natural day."""
    return _day(clock.wall().timestamp())


def forget() -> None:
    """As in a fresh process."""
    for remembered in (_tallies, _alone, _learned):
        remembered.clear()
    reach.forget()
    known.forget()
    shared.forget()


def _tally(key: str) -> Tally:
    found = _tallies.get(key)
    if found is None:
        with _making:
            found = _tally_of(key)
    return found


def _tally_of(key: str) -> Tally:
    """Under the lock."""
    return _tallies.setdefault(key, Tally())


def _day(now: float) -> int:
    return int(now + CHINA) // DAY


def _midnight(day: int) -> int:
    return (day + 1) * DAY - CHINA
