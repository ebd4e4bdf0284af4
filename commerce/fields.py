"""Condition fields about orders."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet
from django.utils.translation import gettext_lazy as _

from commerce.models import Order
from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field, register

GROUP = _("消费")


def _paid() -> QuerySet[Any]:
    """Orders that stand: cancelled and wholly refunded ones do not count as bought."""
    return Order.objects.filter(status=Order.Status.PAID, contact__isnull=False)


def _read(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for order in Order.objects.filter(contact_id__in=list(root_of)):
        if order.status == "paid" and order.contact_id:
            found[root_of[order.contact_id]].append((order.ordered_at, order.net_minor))
    return found


ORDER = Field(
    "order", _("订单"), GROUP, ValueType.FACTS, read=_read, rows=_paid, at="ordered_at",
    amount=F("total_minor") - F("refunded_minor"), unit=_("单"), order=10, permissions=("orders.view",),
)  # fmt: skip


def fill() -> None:
    """Register them, in AppConfig.ready()."""
    register(ORDER)
