"""Each push metric as a filter over deliveries: the rollup counts it, the rows page lists it, so the two cannot disagree."""

from datetime import timedelta
from typing import Any

from django.db import connection
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


# What was bought after sending: a row per delivery and order, whichever of the person's merged rows either hangs on.
AFTER_SENDING = """
FROM campaigns_delivery d
JOIN contacts_contact target ON target.id = d.contact_id
JOIN contacts_contact c ON c.id = coalesce(target.root_id, target.id) OR c.root_id = coalesce(target.root_id, target.id)
JOIN commerce_order o ON o.contact_id = c.id
WHERE d.state = 'sent' AND o.status <> 'cancelled' AND o.ordered_at >= d.sent_at AND o.ordered_at < d.sent_at + %(window)s
"""


def orders_after_sending(window_days: int) -> QuerySet[Order]:
    """Orders within N days of the sending of a delivery (OuterRef)."""
    sent = OuterRef("sent_at")
    return counted_orders().filter(ordered_at__gte=sent, ordered_at__lt=sent + timedelta(days=window_days))


def bought_within(window_days: int) -> Q:
    """A delivery whose person bought within N days of sending, whichever of her merged rows the order hangs on."""
    orders = orders_after_sending(window_days)
    hers = Q()
    # Of the delivery's own row and of her root's: the rows under each, one condition per index.
    for person in ("contact_id", "contact__root_id"):
        hers |= Q(Exists(orders.filter(contact_id=OuterRef(person))))
        hers |= Q(Exists(orders.filter(contact__root_id=OuterRef(person))))
    return Q(state=_S.SENT) & hers


def push_rows(push_ids: list[int], metric: str, window_days: int = 0) -> QuerySet[Delivery]:
    """The deliveries behind a push metric. Raises KeyError for a metric without rows of its own."""
    condition = bought_within(window_days) if metric in WINDOWED else PUSH_FILTERS[metric]
    return Delivery.objects.filter(condition, push_id__in=push_ids)


def money_rows(push_ids: list[int], window_days: int, place: Q) -> list[tuple[int, int]]:
    """(delivery id, order id) behind the orders and revenue of pushes, the latest order first. place: over deliveries."""
    deliveries, values = (
        Delivery.objects.filter(place, push_id__in=push_ids, state=_S.SENT).values("pk").query.sql_with_params()
    )
    # The subquery's own placeholders are positional; its values go in first.
    with connection.cursor() as cursor:
        inner = cursor.mogrify(deliveries, values).decode().replace("%", "%%")
        sql = f"SELECT d.id, o.id {AFTER_SENDING} AND d.id IN ({inner}) ORDER BY o.ordered_at DESC, o.id DESC, d.id"
        parameters: dict[str, Any] = {"window": timedelta(days=window_days)}
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
