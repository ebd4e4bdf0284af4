"""Capacity gauges: how much of a limit of WeCom's a corp has used up, and where to ask for more.

An app that knows a figure registers a gauge; a gauge whose source has nothing to say is left out, never shown as 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Promise

    from wecom_bridge.models import Corp

WARN_SHARE, BAD_SHARE = 0.80, 0.95


@dataclass(frozen=True)
class Reading:
    """How much of what."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit else 0.0


@dataclass(frozen=True)
class Gauge:
    """read: from our own rows, without calling WeCom; None when nothing is known. expand: where the console lets one enlarge it."""

    key: str
    label: "str | Promise"
    read: "Callable[[Corp], Reading | None]"
    expand: "str | Promise"


_gauges: dict[str, Gauge] = {}


def register(gauge: Gauge) -> None:
    """Add a gauge. Raises ValueError for a key that another one has."""
    if _gauges.get(gauge.key, gauge) != gauge:
        raise ValueError(f"gauge {gauge.key} is registered twice")
    _gauges[gauge.key] = gauge


def all_gauges() -> list[Gauge]:
    return list(_gauges.values())
