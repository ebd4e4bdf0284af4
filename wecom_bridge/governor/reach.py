"""A WeCom that cannot be reached is left alone for a while: known to the process alone, for there may be nobody else to tell."""

import threading
import time

FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
HASTY_EVERY = 3.0  # a welcome code lives 20 seconds: its work may find out sooner that WeCom is back
PATIENT_AFTER = 3  # a connection may fail by itself


class Reach:
    """Failed connections to one address in a row, and until when nobody tries again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_until = 0.0
        self._tried_at = 0.0

    def wait(self, *, hasty: bool = False) -> float:
        """Seconds until a call makes sense; 0 when it does now. The first to ask after the wait tries for all."""
        with self._lock:
            now = time.monotonic()
            if self._failures < PATIENT_AFTER:
                return 0.0
            until = min(self._closed_until, self._tried_at + HASTY_EVERY) if hasty else self._closed_until
            if now < until:
                return until - now
            self._tried_at = now
            self._closed_until = max(self._closed_until, now + FIRST_WAIT)  # the others wait for what this one finds
            return 0.0

    def answered(self) -> None:
        """Somebody is there."""
        if self._failures:
            with self._lock:
                self._failures, self._closed_until = 0, 0.0

    def failed(self, *, hasty: bool = False) -> float:
        """No connection was made; seconds until the next try makes sense."""
        with self._lock:
            self._failures += 1
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** max(0, self._failures - PATIENT_AFTER))
            self._tried_at = time.monotonic()
            self._closed_until = self._tried_at + wait
            return min(wait, HASTY_EVERY) if hasty else wait


_known: dict[str, Reach] = {}


def of(address: str) -> Reach:
    """The one of an API address."""
    return _known.setdefault(address, Reach())


def forget() -> None:
    """As in a fresh process."""
    _known.clear()
