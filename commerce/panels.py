"""What the customer page and list show of orders."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from commerce.queries import lifetimes_of, orders_of
from contacts import listing, panels
from contacts.models import Contact

SHOWN = 5


def _orders(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    return {"orders": list(orders_of(contact)[:SHOWN]), "life": lifetimes_of([contact]).get(contact.pk), "limit": SHOWN}


def _spent(people: Sequence[Contact]) -> Mapping[int, Any]:
    return lifetimes_of(people)


def register() -> None:
    """Put orders on the customer page and into the list."""
    panels.register(
        panels.Panel("orders", _("订单"), 30, "commerce/_contact_orders.html", _orders, permission="orders.view")
    )
    listing.register_column(
        listing.Column(
            "spent", _("累计消费"), 60, "commerce/_cell_spent.html", _spent, css="num", permission="orders.view"
        )
    )
