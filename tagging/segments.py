"""Who wants to hear that people entered or left a segment, and who uses one: rules, SOPs, broadcasts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from tagging.models import SegmentChange


@dataclass(frozen=True)
class Change:
    """Root contacts entered and left one segment at a domain instant. cause: `change` (their facts or time changed), `build` (the
    segment was edited, first computed or recomputed), `pin` (somebody decided so by hand), `list` (a fixed list was filled).

    came, went: how many. `rows` is all of it as a query of SegmentChange, for statements over many people; `entered` and `left`
    read the ids into memory, which of a full build may be a million.
    """

    segment_id: int
    cause: str
    at: datetime
    came: int
    went: int
    build: int | None = None
    ids: Sequence[int] = ()
    known: tuple[Sequence[int], Sequence[int]] | None = field(default=None, repr=False)

    @property
    def rows(self) -> QuerySet[Any]:
        """The change log's rows of this change."""
        rows = SegmentChange.objects.filter(segment_id=self.segment_id)
        if self.build is not None:
            return rows.filter(build=self.build, changed_at__gte=self.at)  # the instant is what an index finds
        return rows.filter(pk__in=self.ids)

    @cached_property
    def entered(self) -> Sequence[int]:
        """Who came."""
        return self.known[0] if self.known else self._read("enter")

    @cached_property
    def left(self) -> Sequence[int]:
        """Who went."""
        return self.known[1] if self.known else self._read("leave")

    def _read(self, kind: str) -> list[int]:
        return list(self.rows.filter(kind=kind).order_by("contact_id").values_list("contact_id", flat=True))


Listener = Callable[[Sequence[Change]], None]
_listeners: dict[str, Listener] = {}


def on_change(name: str, listener: Listener) -> None:
    """Call `listener` in the transaction of the changes, once for all that come together; it must be set-based. Registering a name again
    replaces it."""
    _listeners[name] = listener


def tell(changes: Iterable[Change]) -> None:
    """Tell every listener of those changes by which anybody moved."""
    told = [change for change in changes if change.came or change.went]
    for listener in _listeners.values() if told else ():
        listener(told)


@dataclass(frozen=True)
class Use:
    """One thing that uses a segment: what it is called (规则「…」) and its page. permission: without it one learns only that there is
    something; is_scoped: it must be held for everybody."""

    words: str
    url: str = ""
    permission: str = ""
    is_scoped: bool = False

    def __str__(self) -> str:
        return self.words


Uses = Callable[[int], Iterable[Use | str]]
_uses: dict[str, Uses] = {}


def register_uses(name: str, find: Uses) -> None:
    """`find(segment id)` names what of an app uses a segment now, so that it is not archived underneath."""
    _uses[name] = find


def uses_of(segment_id: int) -> Iterator[Use]:
    """Everything that uses the segment."""
    for find in _uses.values():
        for use in find(segment_id):
            yield use if isinstance(use, Use) else Use(str(use))
