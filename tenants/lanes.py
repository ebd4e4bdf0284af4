"""Lanes: kinds of due work, each with the function that drains it for one tenant.

An app registers its lanes in AppConfig.ready(). `drain` works inside tenant_scope, over rows, for at most a slice of time:

    lanes.register(Lane("inbound", queue="inbound", drain=drain_inbox))

It returns True when it stopped with work left (the lane is nudged again at once), False when it saw none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

SLICE_SECONDS = 25.0
MIN_LEASE_SECONDS = 60  # longer than a drain is allowed to live


@dataclass(frozen=True)
class Lane:
    """A kind of due work.

    drain(deadline): deadline is a wall-clock instant after which it must return; see the module's text for its result.
    next_due(): domain instant of the next row that will be due later, or None; the lane's hint is set from it.
    exclusive: one worker per tenant at a time, by a lease that a killed worker leaves behind for lease_seconds. A lane that
    cannot wait (the welcome) is not exclusive: its drain claims single rows with SKIP LOCKED.
    looks_again: its drain ends only when a last look found nothing (or returns True), also of what it nudged itself meanwhile; so
    its own nudges wake nobody.
    is_slow: one step of its drain may take half an hour, longer than the lease; its drain must then keep two workers apart by itself.
    sweep: whether the rolling sweep visits it (all but lanes that only follow a person's act).
    """

    name: str
    queue: str
    drain: Callable[[datetime], bool]
    next_due: Callable[[], datetime | None] | None = None
    exclusive: bool = True
    lease_seconds: int = MIN_LEASE_SECONDS
    looks_again: bool = False
    sweep: bool = True
    is_slow: bool = False

    @property
    def task(self) -> str:
        """The Celery task that drains it."""
        return "tenants.drain_slow_lane" if self.is_slow else "tenants.drain_lane"


_lanes: dict[str, Lane] = {}


def register(lane: Lane) -> None:
    """Add a lane. Raises ValueError when the name is taken by another, or a drain could outlive its lease."""
    if lane.lease_seconds < MIN_LEASE_SECONDS:
        raise ValueError(f"lane {lane.name}: a lease is at least {MIN_LEASE_SECONDS} s")
    if _lanes.get(lane.name, lane) != lane:
        raise ValueError(f"lane {lane.name} is registered twice")
    _lanes[lane.name] = lane


def get(name: str) -> Lane:
    """The lane of a name. Raises KeyError for an unknown one."""
    return _lanes[name]


def all_lanes() -> list[Lane]:
    """Every registered lane, by name."""
    return [_lanes[name] for name in sorted(_lanes)]
