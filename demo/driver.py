"""The one driver of virtual time: both clocks move together, and only when there is nothing left to do."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from demo import simulated
from demo.visitor import Visitor

POLL_SECONDS = 0.25


class NeverQuiet(RuntimeError):
    """Work went on for longer than it may; the message says which."""


class Driver:
    """Moves the simulator's domain clock and the offsets of sandbox merchants, through their own doors (control API, REST)."""

    def __init__(self, merchants: list[Visitor]) -> None:
        self.merchants = merchants

    def now(self) -> datetime:
        """Domain time of the simulated world."""
        return datetime.fromtimestamp(simulated.call("GET", "/control/clock")["now"]).astimezone()

    def move_to(self, instant: datetime) -> None:
        """Set both clocks to an instant and wait until everything that fell due is done. Back in time is refused.

        The simulator moves first: what its people do at that instant must not reach the product from its future.
        """
        if instant < self.now():
            raise ValueError(f"{instant} has passed: the clock shows {self.now()}")
        offset = simulated.call("POST", "/control/clock", {"set": instant.isoformat()})["offset"]
        for merchant in self.merchants:
            merchant.api("PUT", "/api/v1/sandbox/clock", {"offset_seconds": offset})
        self.settle()

    def advance(self, by: timedelta) -> None:
        """Move on by a span."""
        self.move_to(self.now() + by)

    def settle(self, seconds: float = 90) -> None:
        """Wait until the simulator and every merchant say quiet twice in a row. Raises NeverQuiet."""
        until, calm = time.monotonic() + seconds, 0
        while calm < 2:
            busy = self.busy()
            calm = calm + 1 if not busy else 0
            if time.monotonic() > until:
                raise NeverQuiet(f"still at work after {seconds:.0f} s: {busy}")
            time.sleep(POLL_SECONDS)

    def busy(self) -> dict[str, Any]:
        """What is left to do now, by place; empty when quiet."""
        busy: dict[str, Any] = {}
        state = simulated.call("GET", "/control/quiet")
        if not state["quiet"]:
            busy["simulator"] = state
        for merchant in self.merchants:
            answer = merchant.api("GET", "/api/v1/sandbox/quiet")
            if not answer["quiet"]:
                busy[merchant.host] = {name: count for name, count in answer["pending"].items() if count}
        return busy


def wait_for(what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
    """Look until something is there (truthy) and return it. Raises TimeoutError naming what was waited for."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(POLL_SECONDS)
