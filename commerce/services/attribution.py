"""Which guide and store an order counts for: what the source says, else her owner of then. Written once.

Order.member_source and store_source keep which of the two it was, so that a derived answer is never taken for the channel's word.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from commerce.models import CreditSource, Order
from contacts.lineage import Lineage
from contacts.models import OwnershipChange
from contacts.timeline import Places


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
    """Who owned whom at any instant, over all rows of a person."""

    def __init__(self, lineage: Lineage, changes: dict[int, list[tuple[Any, ...]]]) -> None:
        self._lineage, self._changes = lineage, changes

    @classmethod
    def of(cls, contact_ids: Iterable[int]) -> "_Owners":
        wanted = set(contact_ids)
        lineage = Lineage.of(wanted)
        changes: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        if wanted:
            rows = OwnershipChange.objects.filter(contact_id__in=lineage.everybody(wanted)).order_by("changed_at", "id")
            for contact_id, at, member_id in rows.values_list("contact_id", "changed_at", "to_member_id"):
                changes[contact_id].append((at, member_id))
        return cls(lineage, changes)

    def at(self, contact_id: int, at: datetime) -> int | None:
        found = self._lineage.latest(self._changes, contact_id, at)
        return found[1] if found else None
