"""News for the apps above: a key by which a person can be recognised (an identity, a phone) appeared on a contact."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NewKey:
    """kind: `external`, `unionid` … (Identity.Kind) or `phone`; value as stored; the contact that now has it."""

    kind: str
    value: str
    contact_id: int


Listener = Callable[[Sequence[NewKey]], None]
_listeners: list[Listener] = []


def on_new_keys(listener: Listener) -> None:
    """Call `listener` with keys that appeared, in the transaction in which they did. It must be set-based and idempotent."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(keys: Sequence[NewKey]) -> None:
    """Tell every listener. Nothing happens for no keys."""
    if keys:
        for listener in _listeners:
            listener(keys)
