"""Pieces of an answer, taken apart with care: what does not apply may be absent or null, a number may come as text.

Where a wrong kind of value could make half an answer look like a whole one, ValueError; the gateway turns it into a CallError.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from wecom_bridge.gateway.parse import Row, integer, text

NO, LATEST = {"false", "0", "no", ""}, 2**33


def part(row: Row, name: str) -> Row:
    """An object within; absent and null are empty."""
    value = row.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is no object")
    return value


def _items(row: Row, name: str) -> Sequence[Any]:
    value = row.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list")
    return value


def rows(row: Row, name: str) -> list[Row]:
    """A list of objects; absent and null are empty."""
    found = list(_items(row, name))
    if not all(isinstance(item, Mapping) for item in found):
        raise ValueError(f"{name} holds something that is no object")
    return found


def texts(row: Row, name: str) -> tuple[str, ...]:
    """A list of texts, such as ids; absent and null are empty."""
    found = _items(row, name)
    if not all(isinstance(item, str) and item for item in found):
        raise ValueError(f"{name} holds something that is no id")
    return tuple(found)


def numbers(row: Row, name: str) -> tuple[int, ...]:
    """A list of numbers, also where they come as text; absent and null are empty."""
    return tuple(_whole(item, name) for item in _items(row, name))


def number(row: Row, name: str, default: int) -> int:
    """A number, also as text; absent, null and nonsense are the default."""
    try:
        return _whole(row.get(name), name)
    except ValueError:
        return default


def needed_text(row: Row, name: str) -> str:
    """A text that must be there, such as an id."""
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing")
    return text(row, name)


def needed_number(row: Row, name: str) -> int:
    """A number that must be there; taking nothing for 0 would be a statement WeCom did not make."""
    return _whole(row.get(name), name)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{name} is no number")
    return int(value)


def flag(row: Row, name: str, default: bool) -> bool:
    """A yes or no, also where it comes as a number or as text; absent and null are the default."""
    value = row.get(name)
    if value is None:
        return default
    return value.strip().lower() not in NO if isinstance(value, str) else bool(value)


def told_flag(row: Row, name: str) -> bool | None:
    """A yes or no, None where WeCom does not say."""
    return None if row.get(name) is None else flag(row, name, False)


def seconds(row: Row, name: str) -> int:
    """A Unix instant, also as text; 0 for none and for nonsense."""
    value = integer(row, name)
    return value if 0 < value < LATEST else 0
