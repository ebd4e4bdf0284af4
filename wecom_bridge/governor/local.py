"""What one process knows by itself: how much it called lately, and how to go on carefully while Redis is away."""

import threading
from collections import Counter
from dataclasses import dataclass

from wecom_bridge.governor.limits import ApiLimits

MINUTE, HOUR = 5, 300  # seconds of a bucket of each window, as the shared count has them
KEPT = 13  # buckets that still matter
PARTS = 8  # how many processes may be calling without knowing of each other
ALONE = ""  # the epoch of calls that Redis was not told of
Calls = Counter[tuple[str, int]]  # (epoch, bucket) → calls


class Tally:
    """This process's own calls of one corp × API, by the epoch of the shared state that counted them.

    When the shared state was lost, a new epoch begins, and what earlier ones had counted is told to it once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute, self._hour, self._today = Calls(), Calls(), Calls()
        self._told: str | None = None  # the epoch that knows of all calls
        self._running = 0

    def enter(self, most: int) -> bool:
        """One more call runs, unless `most` do already."""
        with self._lock:
            if self._running >= most:
                return False
            self._running += 1
            return True

    def leave(self) -> None:
        """One has ended."""
        with self._lock:
            self._running -= 1

    def add(self, epoch: str, now: float, day: int) -> bool:
        """Count a call; True when this epoch may not know of all earlier ones (see move)."""
        with self._lock:
            self._minute[epoch, int(now // MINUTE)] += 1
            self._hour[epoch, int(now // HOUR)] += 1
            self._today[epoch, day] += 1
            if len(self._minute) > 3 * KEPT:
                self._forget(now, day)
            if epoch == ALONE:
                self._told = None
            return epoch != self._told

    def move(self, epoch: str, now: float, day: int) -> tuple[int, int, int]:
        """Calls of the last minute, hour and day that other epochs counted; they belong to this one from here on."""
        with self._lock:
            self._forget(now, day)
            self._told = epoch
            minute, hour, today = (_moved(calls, epoch) for calls in (self._minute, self._hour, self._today))
            return minute, hour, today

    def counts(self, now: float, day: int) -> tuple[int, int, int]:
        """All calls of the last minute, hour and day."""
        with self._lock:
            self._forget(now, day)
            return self._minute.total(), self._hour.total(), self._today.total()

    def _forget(self, now: float, day: int) -> None:
        for calls, oldest in (
            (self._minute, int(now // MINUTE) - KEPT + 1), (self._hour, int(now // HOUR) - KEPT + 1), (self._today, day),
        ):  # fmt: skip
            for key in [key for key in calls if key[1] < oldest]:
                del calls[key]


def _moved(calls: Calls, epoch: str) -> int:
    others = [key for key in calls if key[0] != epoch]
    total = sum(calls[key] for key in others)
    for key in others:
        calls[epoch, key[1]] += calls.pop(key)
    return total


@dataclass
class Alone:
    """One corp × API while Redis is away: a part of every window, a part of the places, what was last known as closed."""

    width: int
    closed: float
    tally: Tally

    def enter(self, limits: ApiLimits, parts: tuple[int, int, int], now: float, day: int) -> tuple[str, float]:
        """(word, seconds to wait), as the shared script answers."""
        if self.closed > now:
            return "closed", self.closed - now
        for used, part in zip(self.tally.counts(now, day), parts, strict=True):
            if part and used >= max(1, part // PARTS):
                return "full", 60.0 - now % 60
        if not self.tally.enter(max(1, min(self.width, limits.ceiling) // PARTS)):
            return "busy", 0.0
        self.tally.add(ALONE, now, day)
        return "ok", 0.0

    def leave(self) -> None:
        """The call is over."""
        self.tally.leave()
