"""Which guide and store an order counts for: what the source says, else her owner of then. Written once.

Order.member_source and store_source keep which of the two it was, so that a derived answer is never taken for the channel's word.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from commerce.models import CreditSource, Order
from contacts.models import OwnershipChange
from contacts.timeline import Places, roots_of


def attribute(orders: Sequence[Order]) -> None:
    """Fill member, store, region and dealer of these orders, in memory, where the source left them open.

    The owner of then is the last change of ownership up to the order; before the first one nobody gets credit. Store, region
    and dealer are where the guide, or the store itself, stood then.
    """
    owners = _Owners.of(order.contact_id for order in orders if order.contact_id)
    for order in orders:
        if order.member_id is None and order.contact_id is not None:
            order.member_id = owners.at(order.contact_id, order.ordered_at)
            order.member_source = CreditSource.OWNER.value if order.member_id else ""
    places = Places.of({order.member_id for order in orders}, {order.store_id for order in orders})
    for order in orders:
        store_id, region_id, dealer_id = places.at(order.member_id, order.ordered_at, store_id=order.store_id)
        if order.store_id is None and store_id is not None:
            order.store_source = order.member_source  # the guide's store, by the same word as the guide
        order.store_id, order.region_id, order.dealer_id = store_id, region_id, dealer_id


class _Owners:
    """Who owned whom at any instant."""

    def __init__(self, roots: dict[int, int], changes: dict[int, list[tuple[datetime, int | None]]]) -> None:
        self._roots, self._changes = roots, changes

    @classmethod
    def of(cls, contact_ids: Iterable[int]) -> "_Owners":
        roots = roots_of(contact_ids)
        changes: dict[int, list[tuple[datetime, int | None]]] = defaultdict(list)
        if roots:
            rows = OwnershipChange.objects.filter(contact_id__in=set(roots.values())).order_by("changed_at", "id")
            for contact_id, at, member_id in rows.values_list("contact_id", "changed_at", "to_member_id"):
                changes[contact_id].append((at, member_id))
        return cls(roots, changes)

    def at(self, contact_id: int, at: datetime) -> int | None:
        rows = self._changes.get(self._roots.get(contact_id, contact_id), [])
        index = bisect_right([row[0] for row in rows], at) - 1
        return rows[index][1] if index >= 0 else None
