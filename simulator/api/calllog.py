"""What was called, with counters per endpoint and result."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

KEEP = 5000


@dataclass
class LoggedCall:
    """One call; `at` is wall time, `ms` the time until the answer was ready, `args` without credentials.

    `chaos` is the id of the rule that struck it, 0 for none; `executed` whether it took effect, whatever was answered.
    """

    serial: int
    at: float
    path: str
    method: str
    corp_id: str
    errcode: int | None
    http_status: int
    ms: float
    args: dict
    scripted: bool
    chaos: int
    executed: bool


class CallLog:
    """The last calls and the totals since the last reset."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start counting anew."""
        self.calls: deque[LoggedCall] = deque(maxlen=KEEP)
        self.counts: Counter[str] = Counter()
        self.results: dict[str, Counter[str]] = {}
        self._serial = 0

    def add(self, **fields: Any) -> None:
        """Log one call."""
        self._serial += 1
        row = LoggedCall(serial=self._serial, **fields)
        self.calls.append(row)
        self.counts[row.path] += 1
        self.results.setdefault(row.path, Counter())[str(row.errcode)] += 1
