"""What the customer page and list show of orders."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from commerce.queries import lifetimes_of, orders_of
from contacts import listing, panels
from contacts.models import Contact
from scrm.ui import numbers

SHOWN = 5


def _orders(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    return {"orders": list(orders_of(contact)[:SHOWN]), "life": lifetimes_of([contact]).get(contact.pk), "limit": SHOWN}


def _spent(people: Sequence[Contact]) -> Mapping[int, Any]:
    return lifetimes_of(people)


def _plain(life: Any) -> Decimal:
    """The amount as a file has it: a number that can be added up."""
    return numbers.amount(life.net_minor, life.currency)


def _lifetime(request: HttpRequest, contact: Contact) -> panels.Said:
    """The first screen's 累计消费."""
    life = lifetimes_of([contact]).get(contact.pk)
    if life is None:
        return panels.Said(_("还没有绑定的订单"))
    words = ngettext("%(n)d 单,已减退款", "%(n)d 单,已减退款", life.count) % {"n": life.count}
    return panels.Said(numbers.money(life.net_minor, life.currency), words)


def register() -> None:
    """Put orders on the customer page and into the list."""
    panels.register_figure(panels.Figure("spent", gettext_lazy("累计消费"), 20, _lifetime, permission="orders.view"))
    panels.register(
        panels.Panel(
            "orders", gettext_lazy("订单"), 6, "commerce/_contact_orders.html", _orders, permission="orders.view"
        )
    )
    listing.register_column(
        listing.Column(
            "spent",
            gettext_lazy("累计消费"),
            60,
            "commerce/_cell_spent.html",
            _spent,
            css="num",
            permission="orders.view",
            text=_plain,
        )
    )
