"""Reading WeCom's JSON without trusting it: what is absent or null is empty, a number may come as text.

Half an answer must not pass for a whole one: a list that is no list, or a row without the id that makes it usable, raises
ValueError. Nothing here raises anything else.
"""

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]
LARGEST = 2**63


def text(row: Row, name: str) -> str:
    """A text without NUL, which PostgreSQL refuses; also of a number. Anything else is empty."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).replace("\x00", "") if isinstance(value, str) or abs(value) < LARGEST else ""


def needed(row: Row, name: str) -> str:
    """A text that must be there. Raises ValueError."""
    value = text(row, name)
    if not value:
        raise ValueError(f"no {name}")
    return value


def number(row: Row, name: str) -> float | None:
    """A number within 64 bits, also where it comes as text; None for anything else."""
    value = row.get(name)
    if isinstance(value, str) and len(value) < 32:
        try:
            value = float(value) if "." in value else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -LARGEST < value < LARGEST else None


def integer(row: Row, name: str, default: int = 0) -> int:
    """A whole number, `default` without one."""
    value = number(row, name)
    return default if value is None else int(value)


def needed_integer(row: Row, name: str) -> int:
    """A whole number that must be there. Raises ValueError."""
    value = number(row, name)
    if value is None:
        raise ValueError(f"no {name}")
    return int(value)


def inner(row: Row, name: str) -> Row | None:
    """An object within; None without one. Raises ValueError for anything else."""
    value = row.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{name} is no object")
    return value or None


def rows(row: Row, name: str) -> list[Row]:
    """A list of objects. Raises ValueError for anything else."""
    values = row.get(name)
    if values is None:
        return []
    if not isinstance(values, list) or any(not isinstance(value, Mapping) for value in values):
        raise ValueError(f"{name} is no list of objects")
    return values


def texts(row: Row, name: str) -> tuple[str, ...]:
    """A list of ids. Raises ValueError for anything else."""
    values = row.get(name)
    if values is None:
        return ()
    if not isinstance(values, list):
        raise ValueError(f"{name} is no list")
    return tuple(needed({name: value}, name) for value in values)


def integers(row: Row, name: str) -> tuple[int, ...]:
    """A list of whole numbers. Raises ValueError for anything else."""
    values = row.get(name)
    if values is None:
        return ()
    if not isinstance(values, list):
        raise ValueError(f"{name} is no list")
    return tuple(needed_integer({name: value}, name) for value in values)
