"""Where a tag on a person came from, in words: FollowTag.via is "<kind>:<id>", and each kind says what its ids are called.

sources.register("bulk", titles_of)      # {12: Source("批量操作「…」", "/contacts/bulk/12/")}
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """What an operator calls it, and where it is looked at (and taken back); url may be empty."""

    text: str
    url: str = ""


Find = Callable[[Collection[int]], Mapping[int, Source]]
_finders: dict[str, Find] = {}


def register(kind: str, find: Find) -> None:
    """Add a kind; find is asked once for all ids of a page. Raises ValueError when the kind is taken by another."""
    if _finders.get(kind, find) is not find:
        raise ValueError(f"tag source {kind} is registered twice")
    _finders[kind] = find


def named(vias: Iterable[str | None]) -> dict[str, Source]:
    """via → its source; what nobody knows any more is left out. One call per kind."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for via in vias:
        kind, _colon, number = (via or "").partition(":")
        if kind in _finders and number.isdecimal():
            wanted[kind].add(int(number))
    return {f"{kind}:{pk}": source for kind, ids in wanted.items() for pk, source in _finders[kind](ids).items()}
