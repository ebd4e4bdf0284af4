"""Each push metric as a filter over deliveries: the rollup counts it, the rows page lists it, so the two cannot disagree."""

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from campaigns.models import Delivery
from campaigns.states import DeliveryState
from commerce.models import Order

WINDOWS = (1, 3, 7, 14, 30)
_S = DeliveryState
_OUT = (_S.EXCLUDED, _S.HOLDOUT)
_OPEN = (_S.PLANNED, _S.TASKED)
_UNFINISHED = (_S.SKIPPED, _S.EXPIRED, _S.STOPPED)

PUSH_FILTERS: dict[str, Q] = {
    "targeted": Q(),
    "excluded": Q(state=_S.EXCLUDED),
    "holdout": Q(state=_S.HOLDOUT),
    "planned": ~Q(state__in=_OUT),
    "agreed": Q(dispatch__agreed_at__isnull=False) & ~Q(reason="guide_excluded"),
    "confirmed": Q(dispatch__confirmed_at__isnull=False) & ~Q(state=_S.SKIPPED),
    "sent": Q(state=_S.SENT),
    "failed": Q(state=_S.FAILED),
    "unfinished": Q(state__in=_UNFINISHED),
    "unknown": Q(state=_S.UNKNOWN),
    "open": Q(state__in=_OPEN),
}
WINDOWED = ("buyers", "orders", "revenue")


def counted_orders() -> QuerySet[Order]:
    """Orders that count as a sale."""
    return Order.objects.exclude(status=Order.Status.CANCELLED)


def orders_after_sending(window_days: int) -> QuerySet[Order]:
    """Orders of the delivery's person (OuterRef) within N days of sending, whichever of her merged rows they hang on."""
    sent = OuterRef("sent_at")
    return counted_orders().filter(ordered_at__gte=sent, ordered_at__lt=sent + timedelta(days=window_days))


def bought_within(window_days: int) -> Q:
    """A delivery whose person bought within N days of sending."""
    orders = orders_after_sending(window_days)
    return Q(state=_S.SENT) & (
        Q(Exists(orders.filter(contact_id=OuterRef("contact_id"))))
        | Q(Exists(orders.filter(contact__root_id=OuterRef("contact_id"))))
    )


def push_rows(push_ids: list[int], metric: str, window_days: int = 0) -> QuerySet[Delivery]:
    """The deliveries behind a push metric. Raises KeyError for a metric without rows of its own."""
    condition = bought_within(window_days) if metric in WINDOWED else PUSH_FILTERS[metric]
    return Delivery.objects.filter(condition, push_id__in=push_ids)
