"""One object for a chart and the table beside it, so that the two cannot disagree."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scrm.ui import numbers

Kind = Literal["line", "bar", "stacked", "hbar"]
Value = int | float | None


@dataclass(frozen=True)
class Series:
    """A named row of values, one per category; None is unknown. `links` open the rows behind each value."""

    name: str
    values: Sequence[Value]
    links: Sequence[str | None] = ()


@dataclass(frozen=True)
class Chart:
    """What `{% chart chart %}` draws. `percent` values are shares (0.182). `key` must be unique in the page."""

    key: str
    kind: Kind
    label: str
    categories: Sequence[str]
    series: Sequence[Series]
    category_label: str = ""
    unit: str = ""
    percent: bool = False
    note: str = ""
    links: Sequence[str | None] = field(default=())

    def __post_init__(self) -> None:
        for one in self.series:
            if len(one.values) != len(self.categories):
                raise ValueError(
                    f"series {one.name!r} has {len(one.values)} values for {len(self.categories)} categories"
                )

    @property
    def spec(self) -> dict[str, Any]:
        """The JSON the browser draws from."""
        return {
            "kind": self.kind,
            "label": self.label,
            "categories": list(self.categories),
            "unit": self.unit,
            "percent": self.percent,
            "series": [{"name": one.name, "values": list(one.values), "links": list(one.links)} for one in self.series],
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table: per category its label, its link, and its cells as text with their links."""
        return [
            {
                "label": label,
                "link": self.links[index] if index < len(self.links) else None,
                "cells": [
                    {
                        "text": self._text(one.values[index]),
                        "link": one.links[index] if index < len(one.links) else None,
                    }
                    for one in self.series
                ],
            }
            for index, label in enumerate(self.categories)
        ]

    def _text(self, value: Value) -> str:
        if value is None:
            return numbers.UNKNOWN
        if self.percent:
            return numbers.percent(value)
        digits = 0 if float(value).is_integer() else 2
        return numbers.number(value, digits) + self.unit
