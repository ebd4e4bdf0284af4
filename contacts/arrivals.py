"""News for the apps above: a key by which a person can be recognised (an identity, a phone) appeared on a contact."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class NewKey:
    """kind: `external`, `unionid` … (Identity.Kind) or `phone`; value as stored; the contact that now has it."""

    kind: str
    value: str
    contact_id: int


Listener = Callable[[Sequence[NewKey]], None]
LostListener = Callable[[Mapping[str, set[int]]], None]
_listeners: list[Listener] = []
_lost: list[LostListener] = []


def on_new_keys(listener: Listener) -> None:
    """Call `listener` with keys that appeared, in the transaction in which they did. It must be set-based and idempotent."""
    if listener not in _listeners:
        _listeners.append(listener)


def on_lost_phones(listener: LostListener) -> None:
    """Call `listener` with phones that were taken back, {phone: contacts that had it}, in the transaction in which they were."""
    if listener not in _lost:
        _lost.append(listener)


def tell_lost(phones: Mapping[str, set[int]]) -> None:
    """Tell every listener. Nothing happens for no phones."""
    if phones:
        for listener in _lost:
            listener(phones)


_held: ContextVar[list[NewKey] | None] = ContextVar("held_keys", default=None)


@contextmanager
def held() -> Iterator[None]:
    """Keep the news until the block ends well, so that listeners find the person complete, with her owner."""
    token = _held.set([])
    try:
        yield
        keys = _held.get() or []
    finally:
        _held.reset(token)
    tell(keys)


def tell(keys: Sequence[NewKey]) -> None:
    """Tell every listener, now or when the surrounding `held` block ends. Nothing happens for no keys."""
    waiting = _held.get()
    if waiting is not None:
        waiting.extend(keys)
    elif keys:
        for listener in _listeners:
            listener(keys)
