"""Orders and refunds of known people, as facts of their timeline."""

from collections.abc import Sequence
from typing import Any

from commerce.models import Order, Refund
from contacts.timeline import NewEvent, record_events


def record_orders(orders: Sequence[Order], *, source: str) -> set[str]:
    """Record what is known of bound orders: paid, cancelled, each refund. Known facts stay as they are."""
    bound = [order for order in orders if order.contact_id is not None]
    if not bound:
        return set()
    events = [_event(order, "order.paid", order.ordered_at, "", order.total_minor, source) for order in bound]
    events += [
        _event(order, "order.cancelled", order.updated_at, "", order.total_minor, source)
        for order in bound
        if order.status == Order.Status.CANCELLED
    ]
    by_id = {order.pk: order for order in bound}
    for refund in Refund.objects.filter(order_id__in=by_id).order_by("pk"):
        order = by_id[refund.order_id or 0]
        events.append(_event(order, "order.refunded", refund.refunded_at, f":{refund.pk}", refund.amount_minor, source))
    return record_events(events)


def _event(order: Order, kind: str, at: Any, suffix: str, amount: int, source: str) -> NewEvent:
    return NewEvent(
        kind, at, source, f"{kind}:{order.pk}{suffix}", contact_id=order.contact_id, member_id=order.member_id,
        store_id=order.store_id, subject=f"order:{order.pk}",
        payload={"amount_minor": amount, "currency": order.currency, "source": order.source, "number": order.number},
    )  # fmt: skip
