"""Windows of time. Rolling ones are exact to the microsecond; fixed ones are days of the tenant's calendar.

{"days": 30}                      now − 30 × 24 h < at ≤ now
{"hours": 6}                      now − 6 h < at ≤ now
{"days": 90, "skip_days": 30}     now − 90 d < at ≤ now − 30 d
{"from": "2026-01-01", "to": …}   from 00:00 of the first day to the end of the last, either may be missing
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q

from tenants.context import current_tenant


@dataclass(frozen=True)
class Span:
    """A window as seen from an instant. A rolling one is (start, end], a fixed one [start, end); None is open."""

    start: datetime | None
    end: datetime | None
    rolling: bool
    lead: timedelta = timedelta()  # a rolling window's distance from now to its start and
    lag: timedelta = timedelta()  # to its end


def zone() -> ZoneInfo:
    """The tenant's time zone."""
    return ZoneInfo(current_tenant().time_zone)


def span(window: dict[str, Any], now: datetime) -> Span:
    """What a window covers at an instant."""
    if "days" in window or "hours" in window:
        lead = timedelta(days=window.get("days", 0), hours=window.get("hours", 0))
        lag = timedelta(days=window.get("skip_days", 0))
        return Span(now - lead, now - lag, True, lead, lag)
    start, end = window.get("from"), window.get("to")
    return Span(
        _midnight(date.fromisoformat(start)) if start else None,
        _midnight(date.fromisoformat(end) + timedelta(days=1)) if end else None,
        False,
    )


def rows_within(path: str, within: Span) -> Q:
    """The condition that the instant at `path` lies in the span."""
    found = Q()
    if within.start is not None:
        found &= Q(**{f"{path}__gt" if within.rolling else f"{path}__gte": within.start})
    if within.end is not None:
        found &= Q(**{f"{path}__lte" if within.rolling else f"{path}__lt": within.end})
    return found


def in_words(at: datetime | None) -> str:
    """2026-02-03 10:20 of the tenant's time; nothing for None."""
    return at.astimezone(zone()).strftime("%Y-%m-%d %H:%M") if at else ""


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), zone())
