"""The facts of orders, in words."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.models import TimelineEvent
from contacts.timeline import register_kind
from scrm.ui.numbers import money


def _amount(event: TimelineEvent) -> str:
    amount = money(event.payload.get("amount_minor"), str(event.payload.get("currency") or "CNY"))
    return _("%(amount)s · 订单 %(number)s") % {"amount": amount, "number": event.payload.get("number", "")}


def register() -> None:
    """Name the kinds this app records."""
    register_kind("order.paid", gettext_lazy("下单"), "shopping-bag", _amount, permission="orders.view")
    register_kind("order.refunded", gettext_lazy("退款"), "undo-2", _amount, permission="orders.view")
    register_kind("order.cancelled", gettext_lazy("订单取消"), "circle-x", _amount, permission="orders.view")
