"""A relation's periods as a pure function of its facts: the same facts give the same periods in whatever order they came.

Facts: starts (WeCom's createtime of an adding; or, weakly, an add event), ends (delete events with their time), and "no
longer listed" (an end of unknown cause, an upper bound that a later sight revokes).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from contacts.models import EndedBy

# An add event and the createtime that WeCom gives for it lie this close together.
SAME_ADDING = timedelta(minutes=5)


class Start(NamedTuple):
    """An adding. weak: only an event says so; it counts when the relation had ended before and no createtime stands near
    on the same side of that end: whether WeCom renews createtime when a customer who had deleted the guide comes back is not documented."""

    at: datetime
    add_way: int = 0
    state: str = ""
    source: str = ""
    weak: bool = False


class End(NamedTuple):
    """An ending. by UNKNOWN: WeCom listed the relation no longer when we looked at this instant."""

    at: datetime
    by: str


class Period(NamedTuple):
    """One adding, until its end, if any."""

    start: Start
    ended_at: datetime | None = None
    ended_by: str = ""


def fold(starts: Iterable[Start], ends: Iterable[End], *, seen_at: datetime | None = None) -> list[Period]:
    """The periods, oldest first. seen_at: when WeCom last listed the relation with its newest createtime.

    Within a second an open period is closed before a new one begins; an end without an open period changes nothing.
    """
    starts, ends = list(starts), list(ends)
    if len(starts) == 1 and not ends and not starts[0].weak:  # all but every relation of a first sync
        return [Period(starts[0])]
    ordered = _starts(starts, ends)
    if not ordered:
        return []
    closings = _ends(ends, ordered, seen_at)
    moments = sorted({start.at for start in ordered} | {end.at for end in closings})
    starts_at = {start.at: start for start in ordered}
    ends_at = {end.at: end for end in reversed(closings)}  # of several in one second the first in order stays
    periods: list[Period] = []
    for moment in moments:
        was_open = bool(periods) and periods[-1].ended_at is None
        end, start = ends_at.get(moment), starts_at.get(moment)
        if end and was_open:
            periods[-1] = periods[-1]._replace(ended_at=end.at, ended_by=end.by)
        if start:
            _begin(periods, start)
            if end and not was_open and periods[-1].start is start:
                periods[-1] = periods[-1]._replace(ended_at=end.at, ended_by=end.by)
    return periods


def _begin(periods: list[Period], start: Start) -> None:
    is_open = bool(periods) and periods[-1].ended_at is None
    if start.weak and (is_open or not periods):
        return
    if is_open:  # she came back without our hearing that she had gone
        periods[-1] = periods[-1]._replace(ended_at=start.at, ended_by=EndedBy.UNKNOWN)
    periods.append(Period(start))


def _starts(starts: Iterable[Start], ends: Sequence[End]) -> list[Start]:
    found: dict[datetime, Start] = {}
    for start in sorted(starts, key=lambda one: (one.at, one.weak)):
        found.setdefault(start.at, start)
    firm = [start.at for start in found.values() if not start.weak]
    told = [end.at for end in ends if end.by != EndedBy.UNKNOWN]

    def is_same(weak: datetime, other: datetime) -> bool:
        between = sorted((weak, other))
        return abs(weak - other) <= SAME_ADDING and not any(between[0] < at < between[1] for at in told)

    return [start for start in found.values() if not start.weak or not any(is_same(start.at, at) for at in firm)]


_RANK = {EndedBy.CUSTOMER: 0, EndedBy.TRANSFER: 1, EndedBy.GUIDE: 2, EndedBy.UNKNOWN: 3}


def _ends(ends: Iterable[End], starts: Sequence[Start], seen_at: datetime | None) -> list[End]:
    """Ends in order, without those that were only implied by the next start, or revoked by a later sight."""
    begun = {start.at for start in starts}
    newest = max((start.at for start in starts if not start.weak), default=None)

    def stands(end: End) -> bool:
        if end.by != EndedBy.UNKNOWN:
            return True
        if end.at in begun:
            return False
        revoked = seen_at is not None and seen_at > end.at and newest is not None and newest <= end.at
        return not revoked

    return sorted({end for end in ends if stands(end)}, key=lambda end: (end.at, _RANK.get(EndedBy(end.by), 9)))
