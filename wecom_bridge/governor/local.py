"""What one process knows by itself: how much it called lately, and how to go on carefully while Redis is away."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from wecom_bridge.governor.limits import ApiLimits

BUCKET = 5
MINUTE, HOUR = 65, 3900  # one bucket more than the window, as the shared count has it
PARTS = 8  # how many processes may be calling without knowing of each other
PRUNE_ABOVE = 1_000
ALONE = ""  # the epoch of calls that Redis was not told of


class Tally:
    """This process's own calls of one corp × API, by the epoch of the shared state that counted them.

    When the shared state was lost, a new epoch begins, and what earlier ones had counted is told to it once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, int]] = Counter()
        self._today: Counter[tuple[str, int]] = Counter()
        self._told: str | None = None  # the epoch that knows of all calls
        self.running = 0

    def add(self, epoch: str, now: float, day: int) -> bool:
        """Count a call; True when this epoch may not know of all earlier ones (see move)."""
        with self._lock:
            self._calls[epoch, int(now) // BUCKET] += 1
            self._today[epoch, day] += 1
            if len(self._calls) > PRUNE_ABOVE:
                self._prune(now)
            if epoch == ALONE:
                self._told = None
            return epoch != self._told

    def move(self, epoch: str, now: float, day: int) -> tuple[int, int, int]:
        """Calls of the last minute, hour and day that other epochs counted; they belong to this one from here on."""
        with self._lock:
            self._prune(now)
            others = [key for key in self._calls if key[0] != epoch]
            hour = sum(self._calls[key] for key in others)
            minute = sum(self._calls[key] for key in others if key[1] > (now - MINUTE) // BUCKET)
            for key in others:
                self._calls[epoch, key[1]] += self._calls.pop(key)
            today = sum(count for (one, when), count in self._today.items() if one != epoch and when == day)
            self._today = Counter({(epoch, day): self._today[epoch, day] + today})
            self._told = epoch
            return minute, hour, today

    def counts(self, now: float, day: int) -> tuple[int, int, int]:
        """All calls of the last minute, hour and day."""
        with self._lock:
            self._prune(now)
            minute = sum(n for (_one, slot), n in self._calls.items() if slot > (now - MINUTE) // BUCKET)
            today = sum(n for (_one, when), n in self._today.items() if when == day)
            return minute, sum(self._calls.values()), today

    def _prune(self, now: float) -> None:
        for key in [key for key in self._calls if key[1] < (now - HOUR) // BUCKET]:
            del self._calls[key]


@dataclass
class Alone:
    """One corp × API while Redis is away: a part of every window, a part of the places, what was last known as closed."""

    width: int
    closed: float
    tally: Tally
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, limits: ApiLimits, parts: tuple[int, int, int], now: float, day: int) -> tuple[str, float]:
        """(word, seconds to wait), as the shared script answers."""
        if self.closed > now:
            return "closed", self.closed - now
        for used, part in zip(self.tally.counts(now, day), parts, strict=True):
            if part and used >= max(1, part // PARTS):
                return "full", 60.0 - now % 60
        with self.lock:
            if self.tally.running >= max(1, min(self.width, limits.ceiling) // PARTS):
                return "busy", 0.0
            self.tally.running += 1
        self.tally.add(ALONE, now, day)
        return "ok", 0.0

    def leave(self) -> None:
        """The call is over."""
        with self.lock:
            self.tally.running -= 1
