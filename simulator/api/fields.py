"""Declared parameters: type, presence, limits. Problems surface as WeCom's codes, in the order declared."""

from dataclasses import dataclass
from typing import Any

from simulator.api.errors import WeComError


@dataclass(frozen=True)
class Field:
    """One parameter of a call.

    `missing` is the code when a required one is absent or empty (0 = optional); `most` bounds a list's length, an
    integer, or a text's characters; `clamp` turns an integer above `most` into `most` instead of an error.
    """

    name: str
    kind: type = str
    missing: int = 0
    default: Any = None
    least: int | None = None
    most: int | None = None
    clamp: bool = False
    items: type | None = None
    over: int = 40058


def read(fields: tuple[Field, ...], given: dict) -> dict:
    """The declared parameters with their defaults; undeclared ones are dropped, as WeCom ignores them."""
    for row in fields:  # everything required is looked for before anything is judged
        if row.missing and given.get(row.name) in (None, "", [], {}):
            raise WeComError(row.missing)
    return {row.name: _value(row, given.get(row.name)) for row in fields}


def _value(row: Field, value: Any) -> Any:
    if value is None:
        return row.default
    if row.kind is int and isinstance(value, str) and value.lstrip("-").isdigit():
        value = int(value)  # query strings carry numbers as text
    if not isinstance(value, row.kind) or (row.kind is int and isinstance(value, bool)):
        raise WeComError(40058, f"invalid Request Parameter, {row.name}")
    if row.items and not all(isinstance(item, row.items) for item in value):
        raise WeComError(40058, f"invalid Request Parameter, {row.name}")
    if row.most is None and row.least is None:
        return value  # no size to judge; a bool has none
    size: int = value if row.kind is int else len(value)
    if row.most is not None and size > row.most:
        if not row.clamp:
            raise WeComError(row.over, f"invalid Request Parameter, {row.name}" if row.over == 40058 else "")
        value = row.most
    if row.least is not None and size < row.least:
        raise WeComError(40058, f"invalid Request Parameter, {row.name}")
    return value
