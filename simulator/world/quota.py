"""How many mass messages one customer, or one group, may receive."""

from calendar import monthrange

from simulator.clock import local

RULES = ("month_days", "week_7", "day_1")


def allowed(rule: str, received: list[int], now: int) -> bool:
    """Whether one more may arrive at `now`, given the instants of those received.

    month_days: as many a calendar month as it has days; week_7: seven a calendar week; day_1: one a calendar day.
    """
    moment = local(now)
    if rule == "day_1":
        return not any(local(t).date() == moment.date() for t in received)
    if rule == "week_7":
        week = moment.isocalendar()[:2]
        return sum(1 for t in received if local(t).isocalendar()[:2] == week) < 7
    month = (moment.year, moment.month)
    used = sum(1 for t in received if (local(t).year, local(t).month) == month)
    return used < monthrange(*month)[1]
