"""Who wants to hear that people entered or left a segment, and who uses one: rules, SOPs, broadcasts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Change:
    """Root contacts that entered and left one segment at a domain instant. cause: `change` (their facts or time changed) or
    `build` (the segment was edited, first computed or recomputed)."""

    segment_id: int
    entered: Sequence[int]
    left: Sequence[int]
    cause: str
    at: datetime


Listener = Callable[[Change], None]
_listeners: dict[str, Listener] = {}


def on_change(name: str, listener: Listener) -> None:
    """Call `listener` in the transaction of the change; it must be set-based. Registering a name again replaces it."""
    _listeners[name] = listener


def tell(change: Change) -> None:
    """Tell every listener, if anybody moved."""
    if change.entered or change.left:
        for listener in _listeners.values():
            listener(change)


Uses = Callable[[int], Iterable[str]]
_uses: dict[str, Uses] = {}


def register_uses(name: str, find: Uses) -> None:
    """`find(segment id)` names what of an app uses a segment now (规则「…」), so that it is not archived underneath."""
    _uses[name] = find


def uses_of(segment_id: int) -> Iterator[str]:
    """Everything that uses the segment."""
    for find in _uses.values():
        yield from find(segment_id)
