"""total = rows: rollups compared with the facts they stand for, hourly, and on the page's demand."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Q, Sum

from analytics.definitions import PUSH_FILTERS, money_rows, push_rows
from analytics.models import DayMetric, DirtyBucket, PushMetric, RollupCheck
from analytics.services.days import day_bounds, rows_of
from campaigns.models import Push
from contacts.services.merging import deep_branches
from scrm.lib import clock
from tenants.context import current_tenant

RECENT_DAYS = 35
RECENT_PUSHES = 50
KEEP_DAYS = 30
CHECKED_WINDOW = 7  # of the days after sending that buyers and orders are counted for
KEEP_DIFFERENCES = 50

Comparison = dict[str, Any]


def check_rollups() -> RollupCheck:
    """Compare the recent buckets that have no pending mark, and write down what differs."""
    compared = [*_pushes(), *_days(), *_people()]
    wrong = [one for one in compared if one["rollup"] != one["rows"]]
    now = clock.wall()
    RollupCheck.objects.filter(at__lt=now - timedelta(days=KEEP_DAYS)).delete()
    return RollupCheck.objects.create(
        at=now, checked=len(compared), differences=wrong[:KEEP_DIFFERENCES], differing=len(wrong)
    )


def _pushes() -> Iterator[Comparison]:
    pending = set(DirtyBucket.objects.filter(topic="push").values_list("key", flat=True))
    ids = [
        pk
        for pk in Push.objects.order_by("-notify_at").values_list("pk", flat=True)[:RECENT_PUSHES]
        if pk not in pending
    ]
    stored = {
        (row["push_id"], row["metric"]): row["total"]
        for row in PushMetric.objects.filter(push_id__in=ids, window_days=0)
        .values("push_id", "metric")
        .annotate(total=Sum("value"))
    }
    bought = {
        (row["push_id"], row["metric"]): row["total"]
        for row in PushMetric.objects.filter(push_id__in=ids, window_days=CHECKED_WINDOW)
        .values("push_id", "metric")
        .annotate(total=Sum("value"))
    }
    for pk in ids:
        for metric in PUSH_FILTERS:
            rows = push_rows([pk], metric).count()
            yield {"topic": "push", "key": pk, "metric": metric, "rollup": stored.get((pk, metric), 0), "rows": rows}
        found = {
            "buyers": push_rows([pk], "buyers", CHECKED_WINDOW).count(),
            "orders": len(money_rows([pk], CHECKED_WINDOW, Q())),
        }
        for metric, rows in found.items():
            yield {"topic": "push", "key": pk, "metric": metric, "rollup": bought.get((pk, metric), 0), "rows": rows}


def _people() -> Iterator[Comparison]:
    """Every count by person takes one step to her root: there is no row further away."""
    yield {"topic": "people", "key": 0, "metric": "people.deep_branches", "rollup": 0, "rows": deep_branches().count()}


def _days() -> Iterator[Comparison]:
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    pending = set(DirtyBucket.objects.filter(topic="day").values_list("day", flat=True))
    days = [day for day in (today - timedelta(days=back) for back in range(RECENT_DAYS)) if day not in pending]
    stored = {
        (row["day"], row["metric"]): row["total"]
        for row in DayMetric.objects.filter(day__in=days).values("day", "metric").annotate(total=Sum("value"))
    }
    for day in days:
        for metric in ("day.added", "day.ended", "day.orders"):
            rows = rows_of(metric, *day_bounds(day)).count()
            yield {
                "topic": "day",
                "key": day.isoformat(),
                "metric": metric,
                "rollup": stored.get((day, metric), 0),
                "rows": rows,
            }
