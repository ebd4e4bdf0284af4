"""Pushes that moved: layers above that count them (rollups) hear of it, in the transaction of the move."""

from collections.abc import Callable, Iterable

Listener = Callable[[frozenset[int]], None]
_listeners: list[Listener] = []


def on_pushes_changed(listener: Listener) -> None:
    """Call `listener` with the ids of pushes whose units or deliveries changed state."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(push_ids: Iterable[int]) -> None:
    """Units or deliveries of these pushes changed: call it inside the transaction that changed them."""
    ids = frozenset(push_ids)
    if ids:
        for listener in _listeners:
            listener(ids)
