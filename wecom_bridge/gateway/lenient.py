"""Reading answers whose parts may be absent, null, of the other type, or not there at all. What cannot be read is empty.

Beside `parse`, which reads what people are made of and lets half a row fail: here half a row is a row with empty fields.
"""

from collections.abc import Mapping
from typing import Any

from wecom_bridge.gateway.parse import Row, text

__all__ = ["child", "flag", "number", "numbers", "rows", "text", "texts"]


def number(row: Row, name: str, default: int = 0) -> int:
    """A number, also where it comes as text; anything else is `default`."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return int(value) if isinstance(value, bool) else default
    try:
        return int(value)
    except (ValueError, OverflowError):
        return default


def flag(row: Row, name: str) -> bool:
    """A truth, as true, 1 or "1"."""
    value = row.get(name)
    return value.strip().lower() in ("1", "true") if isinstance(value, str) else bool(value)


def child(row: Row, *names: str) -> Row:
    """The object under the first of these names that has one, else an empty one."""
    for name in names:
        value = row.get(name)
        if isinstance(value, Mapping):
            return value
    return {}


def rows(row: Row, *names: str) -> list[Row]:
    """The objects of the first list found under these names; whatever else stands in it is left out."""
    for name in names:
        value = row.get(name)
        if isinstance(value, list):
            return [item for item in value if isinstance(item, Mapping)]
    return []


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part for part in value.split("|") if part]
    return value if isinstance(value, list) else []


def texts(row: Row, name: str) -> tuple[str, ...]:
    """Texts of a list, or of one text with bars between (`a|b`)."""
    found = (text({"v": item}, "v") for item in _items(row.get(name)) if isinstance(item, (str, int)))
    return tuple(item for item in found if item)


def numbers(row: Row, name: str) -> tuple[int, ...]:
    """Numbers of a list, also where they come as texts."""
    found = (number({"v": item}, "v", -1) for item in _items(row.get(name)))
    return tuple(item for item in found if item >= 0)
