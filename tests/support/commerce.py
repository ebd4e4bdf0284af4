"""Makers of orders."""

from itertools import count
from typing import Any

from commerce.models import Order
from commerce.services.orders import upsert_orders
from commerce.services.rows import OrderRow
from tenants.audit import SYSTEM
from tests.support.contacts import at

_numbers = count(1)


def order_row(**overrides: Any) -> OrderRow:
    """A paid order of ¥100.00 at T0 + 1 h, with a number of its own."""
    return OrderRow(**{"number": f"N{next(_numbers):06d}", "total_minor": 10_000, "ordered_at": at(60), **overrides})


def make_order(contact: Any = None, *, source: str = "pos", **overrides: Any) -> Order:
    """An order through the real service, bound to the contact by her external_userid."""
    from tests.support.contacts import make_identity

    if contact is not None:
        identity = contact.identities.filter(kind="external").first() or make_identity(contact)
        overrides.setdefault("external_userid", identity.value)
    row = order_row(**overrides)
    upsert_orders([row], source=source, by=SYSTEM)
    return Order.objects.get(source=source, number=row.number)
