"""Reading rollups: the scope is applied once, here; a dimension a metric does not have cannot be chosen."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from accounts.scope import DataScope
from analytics.models import DayMetric, DirtyBucket, PushMetric, RollupCheck, StageDay
from campaigns.models import Delivery, Push
from commerce.models import Order
from contacts.models import Contact, Member, MemberAccount, Region, Stage, Store
from scrm.lib.errors import UserError

GROUPINGS = {"region": "region_id", "store": "store_id", "guide": "member_id"}
FUNNEL = ("targeted", "agreed", "confirmed", "sent", "buyers")


@dataclass(frozen=True)
class Place:
    """What the reader narrowed a report to; zeros are no choice. `member` is the guide."""

    region: int = 0
    store: int = 0
    member: int = 0

    def as_query(self) -> dict[str, int]:
        return {
            key: value
            for key, value in (("region", self.region), ("store", self.store), ("guide", self.member))
            if value
        }


@dataclass(frozen=True)
class FunnelRow:
    """One place of the funnel: its name, its id, and a value per metric (0 where there is none)."""

    key: int
    name: str
    values: dict[str, int] = field(default_factory=dict)


def own_members(scope: DataScope) -> list[int]:
    """The member ids of the scope's user."""
    return (
        list(MemberAccount.objects.filter(user_id=scope.user_id).values_list("member_id", flat=True))
        if scope.own
        else []
    )


def facts_in_scope(scope: DataScope) -> Q:
    """Facts by the store of then: a condition over the place columns of rollups and facts alike."""
    if scope.sees_all:
        return Q()
    seen = Q(region_id__in=scope.region_ids) | Q(dealer_id__in=scope.dealer_ids) | Q(store_id__in=scope.store_ids)
    return seen | Q(member_id__in=own_members(scope))


def facts_at(place: Place) -> Q:
    """Facts of the chosen place."""
    chosen = Q()
    for column, value in (("region_id", place.region), ("store_id", place.store), ("member_id", place.member)):
        if value:
            chosen &= Q(**{column: value})
    return chosen


def column_of(grouping: str) -> str:
    """The column of a grouping. Raises UserError for one that reports do not have."""
    if grouping not in GROUPINGS:
        raise UserError(
            _("不能按 %(grouping)s 分组,请选大区、门店或导购。") % {"grouping": grouping}, code="unknown_dimension"
        )
    return GROUPINGS[grouping]


def list_pushes(since: date | None = None) -> QuerySet[Push]:
    """Pushes, latest first."""
    pushes = Push.objects.order_by("-notify_at")
    return pushes.filter(notify_at__date__gte=since) if since else pushes


def push_funnel(
    push_ids: list[int], *, scope: DataScope, place: Place, grouping: str, window_days: int
) -> tuple[list[FunnelRow], dict[str, int]]:
    """Rows of the funnel by region, store or guide, and their totals; every value is a sum of stored buckets."""
    column = column_of(grouping)
    stored = (
        PushMetric.objects.filter(facts_in_scope(scope), facts_at(place), push_id__in=push_ids)
        .filter(window_days__in=(0, window_days))
        .values(column, "metric")
        .annotate(total=Sum("value"))
    )
    by_place: dict[int, dict[str, int]] = {}
    totals: dict[str, int] = {}
    for row in stored:
        by_place.setdefault(row[column], {})[row["metric"]] = row["total"]
        totals[row["metric"]] = totals.get(row["metric"], 0) + row["total"]
    names = place_names(grouping, by_place)
    rows = [FunnelRow(key, names.get(key, _("未归属")), values) for key, values in by_place.items()]
    rows.sort(key=lambda row: (-row.values.get("targeted", 0), row.name))
    return rows, totals


def sales(pairs: Iterable[tuple[int, int]]) -> list[tuple[Delivery, Order]]:
    """The rows of (delivery id, order id) pairs, in their order. Two queries."""
    pairs = list(pairs)
    deliveries = Delivery.objects.select_related("push", "member", "store").in_bulk([one for one, _order in pairs])
    orders = Order.objects.select_related("contact").in_bulk([order for _one, order in pairs])
    return [(deliveries[one], orders[order]) for one, order in pairs]


def place_names(grouping: str, ids: Iterable[int]) -> dict[int, str]:
    """Names of regions, stores or guides by id."""
    wanted = [pk for pk in ids if pk]
    if grouping == "guide":
        return {row.pk: str(row) for row in Member.objects.filter(pk__in=wanted)}
    model: Any = Region if grouping == "region" else Store
    return dict(model.objects.filter(pk__in=wanted).values_list("pk", "name"))


def stage_counts_now(people: QuerySet[Contact], grouping: str) -> list[dict[str, Any]]:
    """Live: people per stage and place over the visible contacts: [{stage_id, place, people}]."""
    column = {"region": "store__region_id", "store": "store_id", "guide": "owner_id"}[grouping]
    rows: Any = people.order_by().values("stage_id", place=F(column)).annotate(people=Count("id"))
    return list(rows)


def stage_history(scope: DataScope, place: Place, days: list[date]) -> dict[tuple[date, int], int]:
    """People per (day, stage id) at the end of the given days, from stored counts."""
    stored = (
        StageDay.objects.filter(facts_in_scope(scope), facts_at(place), day__in=days)
        .values("day", "stage_id")
        .annotate(total=Sum("people"))
    )
    return {(row["day"], row["stage_id"]): row["total"] for row in stored}


def day_series(metric: str, scope: DataScope, place: Place, start: date, end: date) -> dict[date, int]:
    """A day metric's totals between two days, both included."""
    stored = (
        DayMetric.objects.filter(facts_in_scope(scope), facts_at(place), metric=metric, day__gte=start, day__lte=end)
        .values("day")
        .annotate(total=Sum("value"))
    )
    return {row["day"]: row["total"] for row in stored}


def stages() -> list[Stage]:
    """The stages that are in use, in order."""
    return list(Stage.objects.filter(is_archived=False))


def pending_buckets() -> int:
    """How many recomputations are waiting: the page says so beside 数据截至."""
    return DirtyBucket.objects.count()


def latest_check() -> RollupCheck | None:
    """The last comparison of totals with rows."""
    return RollupCheck.objects.order_by("-at").first()
