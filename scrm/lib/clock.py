"""Two clocks. Domain time decides what the product does; wall time serves leases, time-outs, tokens and rate windows.

Domain time is wall time plus the offset of a sandbox tenant. The offset is entered with the tenant's scope
(tenants.context), never by callers. Read the clock once per operation and pass the value down.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_offset: ContextVar[timedelta] = ContextVar("clock_offset", default=timedelta())


def wall() -> datetime:
    """The machine's time, in UTC."""
    return datetime.now(UTC)


def now() -> datetime:
    """Domain time, in UTC: wall time plus the current tenant's offset."""
    return datetime.now(UTC) + _offset.get()


def offset() -> timedelta:
    """How far the current scope's domain time is ahead of wall time."""
    return _offset.get()


def to_wall(domain: datetime) -> datetime:
    """The wall time at which the current scope's domain clock shows the given instant."""
    return domain - _offset.get()


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    """Enter a domain offset. For tenants.context; a test may use it too."""
    token = _offset.set(by)
    try:
        yield
    finally:
        _offset.reset(token)


def from_unix(seconds: int | str) -> datetime:
    """WeCom's timestamps are Unix seconds, as numbers or as strings."""
    return datetime.fromtimestamp(int(seconds), UTC)


def local_day(instant: datetime, zone: str) -> date:
    """The calendar day of an instant in a tenant's time zone."""
    return instant.astimezone(ZoneInfo(zone)).date()
