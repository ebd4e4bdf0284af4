"""News for the apps above: a customer was taken over, and the successor's own relation with her stands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TakenOver:
    """The relation that ended, and the one that goes on. with_remarks: the plan wants the giver's notes to go along."""

    old_follow_id: int
    new_follow_id: int
    with_remarks: bool = False


Listener = Callable[[Sequence[TakenOver]], None]
_listeners: list[Listener] = []


def on_taken_over(listener: Listener) -> None:
    """Call `listener` with relations taken over, each once, in the transaction that learnt of it. It must be set-based."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(taken: Sequence[TakenOver]) -> None:
    """Tell every listener. Nothing happens for nobody."""
    for listener in _listeners if taken else ():
        listener(taken)
