"""WeCom's frequency and concurrency limits. A window that overflows blocks for as long as it lasts."""

from collections import Counter

from simulator.api.errors import WeComError
from simulator.switches import Switches

WINDOWS = {"minute": 60, "hour": 3600}


class Governor:
    """Counts calls per corp × API and per address × API in fixed windows of wall time."""

    def __init__(self) -> None:
        self._counts: Counter[tuple] = Counter()
        self._blocked: dict[tuple, float] = {}
        self._open: Counter[tuple] = Counter()
        self._swept = 0.0

    def admit(
        self, switches: Switches, corp_id: str, ip: str, path: str, wall: float, *, per_minute: int | None = None
    ) -> None:
        """Count a call; `per_minute` is the API's own limit. Raises WeComError 45009 past a limit or during a block."""
        if not switches.rate_limits:
            return
        self._sweep(wall)
        for scope in ("api", "ip"):
            who = corp_id if scope == "api" else ip
            for window, seconds in WINDOWS.items():
                key = (scope, who, path, window)
                if self._blocked.get(key, 0) > wall:
                    raise WeComError(45009)
                slot = (*key, int(wall // seconds))
                self._counts[slot] += 1
                most = getattr(switches, f"per_{scope}_{window}")
                if scope == "api" and window == "minute" and per_minute is not None:
                    most = per_minute
                if self._counts[slot] > most:
                    self._blocked[key] = wall + seconds
                    raise WeComError(45009)

    def block(self, who: str, path: str, wall: float) -> None:
        """From outside: a corp's API answers 45009 for the minute that follows, as after a window that overflowed."""
        self._blocked["api", who, path, "minute"] = wall + WINDOWS["minute"]

    def _sweep(self, wall: float) -> None:
        if wall - self._swept < 60:
            return
        self._swept = wall
        for slot in [s for s in self._counts if (s[4] + 1) * WINDOWS[s[3]] < wall]:
            del self._counts[slot]

    def enter(self, corp_id: str, path: str, limit: int) -> None:
        """A call begins to run. Raises WeComError 45033 when `limit` of them already do."""
        if self._open[corp_id, path] >= limit:
            raise WeComError(45033)
        self._open[corp_id, path] += 1

    def leave(self, corp_id: str, path: str) -> None:
        """A call admitted by `enter` has ended."""
        self._open[corp_id, path] -= 1
