"""What the status page and the scrape show beyond the bridge's own counts: each app registers what it knows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.utils.functional import Promise


@dataclass(frozen=True)
class Sample:
    """One number for the scrape. name without the prefix; labels beside `tenant`; a counter only grows."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True)
class Source:
    """A section of the status page. read(now): the context of its template (`source` there), None when there is nothing to
    say; samples(now): its numbers for the scrape. Both run inside the tenant, `now` is wall time."""

    key: str
    label: str | Promise
    order: int
    template: str
    read: Callable[[datetime], Mapping[str, Any] | None]
    samples: Callable[[datetime], list[Sample]]


_sources: dict[str, Source] = {}


def register(source: Source) -> None:
    """Add a section. Raises ValueError when the key is taken by another."""
    if _sources.get(source.key, source) != source:
        raise ValueError(f"figures {source.key} are registered twice")
    _sources[source.key] = source


def all_sources() -> list[Source]:
    """Every section, in the order of the page."""
    return sorted(_sources.values(), key=lambda source: (source.order, source.key))
