"""Who wants to know that a person changed: stage rules, segments, rules, SOP exits."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

Consume = Callable[[Sequence[int], frozenset[str], datetime], None]


def nothing(_keys: frozenset[str]) -> Collection[str]:
    """No keys."""
    return ()


@dataclass(frozen=True)
class Consumer:
    """reads(): the dirty keys it wants now (asked once per batch). consume(root ids, keys seen, now): in the loop's transaction.

    absorb: called instead of consume for people of whom only the first sync told us (facts of source backfill): note that they
    match, act on nobody. None: consume takes them too. order: smaller first within a batch. again(keys seen): keys to be marked beside
    own_key when it failed, by which the repeat knows what it must know of the keys it saw first.
    """

    key: str
    reads: Callable[[], set[str]]
    consume: Consume
    absorb: Consume | None = None
    order: int = 100
    again: Callable[[frozenset[str]], Collection[str]] = nothing

    @property
    def own_key(self) -> str:
        """A mark of this key concerns this consumer alone, whatever it reads: for rechecks and repeats."""
        return f"consumer:{self.key}"


_consumers: dict[str, Consumer] = {}


def register(consumer: Consumer) -> None:
    """Add a consumer. Raises ValueError when its key is taken by another."""
    if _consumers.get(consumer.key, consumer) != consumer:
        raise ValueError(f"consumer {consumer.key} is registered twice")
    _consumers[consumer.key] = consumer


def all_consumers() -> list[Consumer]:
    """Every consumer, in order."""
    return sorted(_consumers.values(), key=lambda consumer: (consumer.order, consumer.key))


# --- What a batch reads once --------------------------------------------------------------------------------------

Known = TypeVar("Known")
_known: ContextVar[dict[str, Any] | None] = ContextVar("read_by_the_batch", default=None)


@contextmanager
def one_batch() -> Iterator[None]:
    """Around the calls of consumers, of whom each may be called for some hundred sets of keys: what they `read_once` is kept within."""
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def read_once(name: str, read: Callable[[], Known]) -> Known:
    """What `read` says, the same object for everybody who asks by this name within a batch; outside of one it is read each time."""
    known = _known.get()
    if known is None:
        return read()
    if name not in known:
        known[name] = read()
    found: Known = known[name]
    return found


def read_anew() -> None:
    """A consumer failed and its writes are undone: what it had noted on the objects at hand is not so."""
    known = _known.get()
    if known is not None:
        known.clear()
