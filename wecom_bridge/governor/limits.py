"""The limits in force: limits.toml, changed by what the merchant's own rows say."""

import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from tenants.paths import scope_name
from wecom_bridge.models import LimitOverride

FILE = Path(__file__).resolve().parent.parent / "limits.toml"
KEPT_SECONDS = 10.0  # how long a process goes on with the rows it read
MOST_TIMES = 100  # an override above this many times the documented value is a slip of the finger

Level = Literal["welcome", "person", "commands", "sync"]
LEVELS: tuple[Level, ...] = ("welcome", "person", "commands", "sync")
_BELOW: tuple[tuple[int, Level], ...] = ((10, "welcome"), (40, "person"), (70, "commands"))
COLUMNS = ("minute", "hour", "day", "width", "ceiling")


def level_of(priority: int) -> Level:
    """The budget of a command's priority: welcome 0, a person's act 20, commands 50, sync 80."""
    return next((level for below, level in _BELOW if priority < below), "sync")


@dataclass(frozen=True)
class ApiLimits:
    """What one corp may do with one API; 0 is no limit. Frequencies are WeCom's own numbers, not yet our part of them."""

    minute: int
    hour: int
    day: int
    width: int
    ceiling: int
    address_minute: int
    address_hour: int
    penalty: int = 0
    each: int = 0
    each_seconds: int = 0
    each_errcode: int = 0


@dataclass(frozen=True)
class Limits:
    """The whole table for one merchant."""

    values: Mapping[str, int]

    def of(self, api: str) -> ApiLimits:
        """The limits of an API, named as the gateway names it."""
        picked = {
            name: self._value(api, name) for name in (*COLUMNS, "penalty", "each", "each_seconds", "each_errcode")
        }
        picked["width"] = min(picked["width"], picked["ceiling"])
        return ApiLimits(
            **picked, address_minute=self.values["address.minute"], address_hour=self.values["address.hour"]
        )

    def _value(self, api: str, name: str) -> int:
        return self.values.get(f"{api}.{name}", self.values.get(f"every_api.{name}", 0))

    def part(self, level: Level, limit: int) -> int:
        """How many of a window's calls a level may use up; 0 for no limit."""
        share = self.values["use.frequency"] * self.values[f"share.{level}"]
        return max(1, limit * share // 10_000) if limit else 0

    def places(self, level: Level) -> int:
        """Percent of the calls at once that a level may hold."""
        return self.values[f"share.{level}"]


@lru_cache(maxsize=1)
def documented() -> Mapping[str, int]:
    """limits.toml, flat: `every_api.minute`, `mark_tag.ceiling`, `share.sync` …"""
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    flat: dict[str, int] = {"version": int(data.pop("version"))}
    apis: dict[str, dict[str, Any]] = data.pop("api")
    for table, values in [*data.items(), *apis.items()]:
        flat |= {f"{table}.{name}": int(value) for name, value in values.items()}
    return MappingProxyType(flat)


def version() -> int:
    """Of the data file."""
    return documented()["version"]


_kept: dict[str, tuple[float, Limits]] = {}


def in_force() -> Limits:
    """The limits of the merchant in scope; her rows are read at most every KEPT_SECONDS per process."""
    name, now = scope_name(), time.monotonic()
    read_at, limits = _kept.get(name, (-KEPT_SECONDS, None))
    if limits is None or now - read_at >= KEPT_SECONDS:
        own = dict(LimitOverride.objects.values_list("name", "value"))
        limits = Limits(MappingProxyType({**documented(), **own}))
        _kept[name] = (now, limits)
    return limits


def forget() -> None:
    """Read the rows of every merchant again when they are next needed."""
    _kept.clear()


def problem_with(name: str, value: int) -> str:
    """Why this may not be set for a merchant: `unknown`, `shared`, `range`; empty when it may."""
    table, _dot, column = name.rpartition(".")
    known = documented()
    if table == "address":
        return "shared"
    if table and name in known:
        usual = known[name]
    elif table and column in COLUMNS:
        usual = known[f"every_api.{column}"]
    else:
        return "unknown"
    if table in ("use", "share"):
        return "" if 1 <= value <= 100 else "range"
    least = 0 if column == "day" else 1
    return "" if least <= value <= max(usual, 100_000 if column == "day" else 1) * MOST_TIMES else "range"
