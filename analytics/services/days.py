"""The additive metrics of one tenant day, recomputed from facts."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import BigIntegerField, Count, F, QuerySet, Sum, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from analytics.definitions import counted_orders
from analytics.models import DayMetric
from contacts.models import TimelineEvent
from tenants.context import current_tenant

ADDED_KINDS = ("follow.added",)
ENDED_KINDS = ("follow.deleted_by_customer", "follow.deleted_by_guide", "follow.transferred", "follow.lost")
PLACE_FIELDS = ("region_id", "dealer_id", "store_id", "member_id")


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """The instants a tenant day begins and ends."""
    zone = ZoneInfo(current_tenant().time_zone)
    start = datetime.combine(day, time(), zone)
    return start.astimezone(UTC), datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def rows_of(metric: str, start: datetime, end: datetime) -> QuerySet[Any]:
    """The facts behind a day metric between two instants. Raises KeyError for an unknown metric."""
    if metric == "day.added":
        return TimelineEvent.objects.filter(kind__in=ADDED_KINDS, occurred_at__gte=start, occurred_at__lt=end)
    if metric == "day.ended":
        return TimelineEvent.objects.filter(kind__in=ENDED_KINDS, occurred_at__gte=start, occurred_at__lt=end)
    if metric in ("day.orders", "day.revenue"):
        return counted_orders().filter(contact__isnull=False, ordered_at__gte=start, ordered_at__lt=end)
    raise KeyError(metric)


def totals(metric: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Sums of a metric by place, and by channel where it has one: dicts of the place fields, channel and value."""
    rows = rows_of(metric, start, end)
    fields = [*PLACE_FIELDS]
    if metric == "day.added":
        rows = rows.annotate(channel=Coalesce(KT("payload__state"), Value("", output_field=TextField())))
    value = Sum(F("total_minor") - F("refunded_minor"), output_field=BigIntegerField())
    aggregate = value if metric == "day.revenue" else Count("id")
    if metric == "day.added":
        fields.append("channel")
    return list(rows.order_by().values(*fields).annotate(value=aggregate))


def recompute(day: date | None, key: int) -> None:
    """Rewrite every metric of a day."""
    assert day is not None
    start, end = day_bounds(day)
    fresh = [
        DayMetric(
            day=day,
            metric=metric,
            channel=str(row.get("channel") or ""),
            value=row["value"] or 0,
            **{name: row[name] or 0 for name in PLACE_FIELDS},
        )
        for metric in ("day.added", "day.ended", "day.orders", "day.revenue")
        for row in totals(metric, start, end)
    ]
    DayMetric.objects.filter(day=day).delete()
    DayMetric.objects.bulk_create(fresh, batch_size=1000)
