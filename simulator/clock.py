"""Two clocks: domain time (movable) for what happens in the world, wall time for windows, tokens and latencies."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8))


def wall() -> float:
    """Unix seconds of the machine; nothing but real waiting moves it."""
    return time.time()


class DomainClock:
    """Wall time plus an offset that the control API moves."""

    def __init__(self, start: float | None = None) -> None:
        self.offset = 0.0 if start is None else start - wall()
        self._held: int | None = None

    def now(self) -> int:
        """Domain time in whole Unix seconds, as WeCom's fields carry it."""
        return int(wall() + self.offset) if self._held is None else self._held

    @contextmanager
    def held(self, instant: int) -> Iterator[None]:
        """The clock stands still at `instant`, while something that fell due then is carried out."""
        self._held = instant
        try:
            yield
        finally:
            self._held = None

    def set(self, instant: float) -> None:
        """Move so that `now()` is `instant` (Unix seconds)."""
        self.offset = instant - wall()

    def advance(self, seconds: float) -> None:
        """Move by `seconds`, forwards or backwards."""
        self.offset += seconds


def parse_instant(value: object) -> float:
    """Unix seconds from a number or an ISO 8601 text; a text without an offset is read as China time.

    Raises ValueError when it is neither.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise ValueError("an instant is a number of seconds or an ISO 8601 text")
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).timestamp()


def local(instant: float) -> datetime:
    """`instant` as China time, in which WeCom counts days, weeks and months."""
    return datetime.fromtimestamp(instant, SHANGHAI)
