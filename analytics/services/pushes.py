"""The funnel of one push, recomputed from its deliveries and the orders that followed."""

from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count

from analytics.definitions import AFTER_SENDING, PUSH_FILTERS, WINDOWS, bought_within
from analytics.models import PushMetric
from campaigns.models import Delivery
from scrm.lib import clock

PLACE_FIELDS = ("region_id", "dealer_id", "store_id", "member_id")

_ORDERS_SQL = f"""
SELECT d.region_id, d.dealer_id, d.store_id, d.member_id, count(*), coalesce(sum(o.total_minor - o.refunded_minor), 0)
{AFTER_SENDING} AND d.push_id = %(push)s
GROUP BY d.region_id, d.dealer_id, d.store_id, d.member_id
"""


def recompute(day: date | None, key: int) -> None:
    """Rewrite every metric of the push with id `key`."""
    now = clock.now()
    fresh = [
        _metric(key, metric, 0, row, row["value"], now) for metric in PUSH_FILTERS for row in _people(key, metric, 0)
    ]
    for window in WINDOWS:
        fresh += [_metric(key, "buyers", window, row, row["value"], now) for row in _people(key, "buyers", window)]
        fresh += _money(key, window, now)
    PushMetric.objects.filter(push_id=key).delete()
    PushMetric.objects.bulk_create(fresh, batch_size=1000)


def _people(push_id: int, metric: str, window: int) -> list[dict[str, Any]]:
    condition = bought_within(window) if metric == "buyers" else PUSH_FILTERS[metric]
    rows = Delivery.objects.filter(condition, push_id=push_id).order_by()
    return list(rows.values(*PLACE_FIELDS).annotate(value=Count("id")))


def _money(push_id: int, window: int, now: Any) -> list[PushMetric]:
    with connection.cursor() as cursor:
        parameters: dict[str, Any] = {"push": push_id, "window": timedelta(days=window)}
        cursor.execute(_ORDERS_SQL, parameters)
        found = cursor.fetchall()
    rows: list[PushMetric] = []
    for *place, orders, revenue in found:
        at = dict(zip(PLACE_FIELDS, place, strict=True))
        rows.append(_metric(push_id, "orders", window, at, orders, now))
        rows.append(_metric(push_id, "revenue", window, at, int(revenue), now))
    return rows


def _metric(push_id: int, metric: str, window: int, row: dict[str, Any], value: int, now: Any) -> PushMetric:
    place = {name: row[name] or 0 for name in PLACE_FIELDS}
    return PushMetric(push_id=push_id, metric=metric, window_days=window, value=value, computed_at=now, **place)
