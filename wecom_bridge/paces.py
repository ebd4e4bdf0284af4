"""How fast WeCom may be asked, for pages that say how long something will take."""

from datetime import timedelta

from django.db.models import Sum

from scrm.lib import clock
from wecom_bridge.figures.rows import ServiceMinute
from wecom_bridge.governor import limits

RECENT = timedelta(days=1)
LEAST_MEASURED = 20  # calls; fewer say nothing
ASSUMED_SECONDS = 0.2  # of one call, until enough were measured
DAY = 86_400


def least_seconds(api: str, calls: int, *, priority: int) -> float:
    """How long one corp's calls of a priority take at least under the rate governor, when nothing else is asked.

    The slowest of three decides: the windows of a minute, an hour and a day; and how many calls that priority may have at once, each
    as long as a call of this API took on average within the last day (ASSUMED_SECONDS where fewer than LEAST_MEASURED were made).
    It assumes that WeCom refuses nothing, that as many run at once as learning may reach, and that our own work between two calls
    costs nothing. One query.
    """
    table = limits.in_force()
    known, level = table.of(api), limits.level_of(priority)
    windows = ((60, known.minute), (3600, known.hour))
    paced = max((calls * seconds / table.part(level, limit) for seconds, limit in windows if limit), default=0.0)
    days = max(0, calls - 1) // part * DAY if (part := table.part(level, known.day)) else 0
    at_once = max(1, -(-known.ceiling * table.places(level) // 100))
    rounds = -(-calls // at_once)
    return max(paced, float(days), rounds * _seconds_of_one(api))


def _seconds_of_one(api: str) -> float:
    recent = ServiceMinute.objects.filter(name="call", label=api, code="0", minute__gte=clock.wall() - RECENT)
    found = recent.aggregate(calls=Sum("count"), ms=Sum("total_ms"))
    measured: int = found["calls"] or 0
    return float(found["ms"]) / measured / 1000 if measured >= LEAST_MEASURED else ASSUMED_SECONDS
