"""Orders that changed: layers above that count them (rollups) hear of it, in the transaction of the change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class OrderChange:
    """An order was written: whose it is, and when it was placed, before and after (None: was not there, or unbound)."""

    order_id: int
    contact_id: int | None
    ordered_at: datetime
    was_ordered_at: datetime | None = None


Listener = Callable[[Sequence[OrderChange]], None]
_listeners: list[Listener] = []


def on_orders_changed(listener: Listener) -> None:
    """Call `listener` with every batch of changed orders. It must be set-based."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(changes: Sequence[OrderChange]) -> None:
    """Orders were written: call it inside the transaction that wrote them."""
    if changes:
        for listener in _listeners:
            listener(changes)
