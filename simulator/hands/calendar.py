"""Acts that a corp's own world has in its calendar: each source says when its next one is due, and carries it out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.hands import acquisition, tempchats, transfers

if TYPE_CHECKING:
    from simulator.corp import Corp
    from simulator.simulator import Simulator


@dataclass(frozen=True)
class Source:
    """`next_due` is the instant of the next act, None without any; `act` carries it out, after which `next_due` is later."""

    next_due: Callable[["Corp"], int | None]
    act: Callable[["Simulator", "Corp"], None]


SOURCES = (
    Source(acquisition.next_warning, acquisition.give_warning),
    Source(tempchats.next_end, tempchats.end_next),
    Source(transfers.next_due, transfers.complete_due),
)


def soonest(corps: "list[Corp]") -> "tuple[int, Corp, Source] | None":
    """The next act of any corp."""
    rows = [
        (at, n, corp, source) for n, corp in enumerate(corps) for source in SOURCES if (at := source.next_due(corp))
    ]
    if not rows:
        return None
    at, _n, corp, source = min(rows, key=lambda row: row[:2])
    return at, corp, source
