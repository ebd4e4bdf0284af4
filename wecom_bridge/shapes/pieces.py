"""Pieces of WeCom's JSON, each with one meaning. What does not apply may be absent or null there; unknown fields are ignored.

Half an answer must not pass for a whole one: what a row cannot do without (`needed…`, `identifier`, `ids`), and a part of a kind
that WeCom does not document, raise Malformed. Nothing here raises anything else. An optional number that is none is its default.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scrm.lib import clock

Row = Mapping[str, Any]
LONGEST_ID = 64
LONGEST_NUMBER = 32  # characters of a number that comes as text
INT16, INT32, INT53, INT63 = 2**15 - 1, 2**31 - 1, 2**53, 2**63 - 1
LATEST = 2**33  # Unix seconds: the year 2242
YES, NO = {"true", "1", "yes"}, {"false", "0", "no", ""}


class Malformed(ValueError):
    """WeCom answered, and not in the form it documents. The message names the field and never its content."""

    def __init__(self, name: str) -> None:
        super().__init__(f"broken answer: {name}")


def _plain(value: Any, name: str) -> str:
    """Text that PostgreSQL takes: no NUL, no lone surrogates."""
    if isinstance(value, str):
        # Neither a NUL nor a surrogate is printable: one look is all that most texts need.
        return value if value.isprintable() else value.replace("\x00", "").encode("utf-8", "ignore").decode()
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= INT63:
        raise Malformed(name)
    return str(value)


def _amount(value: Any) -> float | None:
    """A number within 64 bits, also as text; None for anything else, a bool too."""
    if isinstance(value, str) and len(value) <= LONGEST_NUMBER:
        try:
            value = float(value) if "." in value else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= INT63 else None


# -- texts -------------------------------------------------------------------------------------------------------------


def text(row: Row, name: str, most: int | None = None) -> str:
    """A text or number as text, cut to `most` characters; absent and null are empty. Raises Malformed for anything else."""
    value = row.get(name)
    return "" if value is None else _plain(value, name)[:most]


def needed(row: Row, name: str) -> str:
    """A text of any length without which the row says nothing. Raises Malformed."""
    found = text(row, name)
    if not found:
        raise Malformed(name)
    return found


def identifier(row: Row, name: str) -> str:
    """An id that becomes a key of ours. Raises Malformed for an absent, empty, overlong or unprintable one."""
    value = row.get(name)
    found = value if isinstance(value, str) else str(value) if type(value) is int and abs(value) <= INT63 else ""
    if not 0 < len(found) <= LONGEST_ID or not found.isprintable():
        raise Malformed(name)
    return found


def texts(row: Row, name: str, most: int | None = None) -> tuple[str, ...]:
    """A list of texts, the empty ones left out. Raises Malformed."""
    found = (_plain(one, name)[:most] for one in items(row, name) if one is not None)
    return tuple(one for one in found if one)


def ids(row: Row, name: str) -> tuple[str, ...]:
    """A list of texts of which none may be empty. Raises Malformed."""
    return tuple(needed({name: one}, name) for one in items(row, name))


def barred(row: Row, name: str) -> tuple[str, ...]:
    """Texts of a list, or of one text with bars between (`a|b`), as message/send answers. Raises Malformed."""
    value = row.get(name)
    return texts({name: value.split("|")} if isinstance(value, str) else row, name)


# -- numbers -----------------------------------------------------------------------------------------------------------


def decimal(row: Row, name: str) -> float | None:
    """A number within 64 bits, also as text; None for anything else."""
    return _amount(row.get(name))


def integer(row: Row, name: str, default: int = 0, most: int = INT32) -> int:
    """A whole number, also as text; the default for what is none, or for one that cannot be (beyond ±most)."""
    value = row.get(name)
    if type(value) is not int:  # nearly all are, and there is nothing to read into them
        value = _amount(value)
    return int(value) if value is not None and abs(value) <= most else default


def needed_integer(row: Row, name: str) -> int:
    """A whole number within 53 bits without which the row says nothing. Raises Malformed."""
    value = _amount(row.get(name))
    if value is None or abs(value) > INT53:
        raise Malformed(name)
    return int(value)


def integers(row: Row, name: str) -> tuple[int, ...]:
    """A list of whole numbers, also as texts. Raises Malformed."""
    return tuple(needed_integer({name: one}, name) for one in items(row, name))


# -- truths ------------------------------------------------------------------------------------------------------------


def told_flag(row: Row, name: str) -> bool | None:
    """A yes or no, also as a number or as text; None where WeCom does not say. Raises Malformed for anything else."""
    value = row.get(name)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value)
    word = _plain(value, name).strip().lower()
    if word not in YES | NO:
        raise Malformed(name)
    return word in YES


def flag(row: Row, name: str, default: bool = False) -> bool:
    """The same; absent and null are the default."""
    found = told_flag(row, name)
    return default if found is None else found


# -- instants ----------------------------------------------------------------------------------------------------------


def seconds(row: Row, name: str) -> int:
    """A Unix instant, also as text; 0 for none and for nonsense."""
    found = integer(row, name, most=LATEST)
    return found if 0 < found < LATEST else 0


def instant(row: Row, name: str) -> datetime | None:
    """The same as a moment; None for none and for nonsense."""
    found = seconds(row, name)
    return clock.from_unix(found) if found else None


def needed_instant(row: Row, name: str) -> datetime:
    """An instant without which the row says nothing. Raises Malformed."""
    found = instant(row, name)
    if found is None:
        raise Malformed(name)
    return found


# -- parts within ------------------------------------------------------------------------------------------------------


def part(row: Row, name: str) -> Row:
    """An object within; absent and null are empty. Raises Malformed for anything else."""
    value = row.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise Malformed(name)
    return value or {}


def needed_part(row: Row, name: str) -> Row:
    """An object within that must be there. Raises Malformed."""
    if row.get(name) is None:
        raise Malformed(name)
    return part(row, name)


def items(row: Row, name: str) -> list[Any]:
    """A list within; absent and null are empty. Raises Malformed for anything else."""
    value = row.get(name)
    if value is not None and not isinstance(value, list | tuple):
        raise Malformed(name)
    return list(value or ())


def rows(row: Row, name: str) -> list[Row]:
    """A list of objects within; absent and null are empty. Raises Malformed for anything else."""
    found = items(row, name)
    if not all(isinstance(one, Mapping) for one in found):
        raise Malformed(name)
    return found


def told(row: Row, name: str) -> bool:
    """Whether an answer has a list at all. WeCom does not say whether it leaves an empty one out: read as empty, it proves nothing."""
    return row.get(name) is not None


def needed_items(row: Row, name: str) -> list[Any]:
    """A list that must be there, as absent says nothing of what would stand in it. Raises Malformed."""
    if row.get(name) is None:
        raise Malformed(name)
    return items(row, name)


def needed_rows(row: Row, name: str) -> list[Row]:
    """A list of objects that must be there. Raises Malformed."""
    needed_items(row, name)
    return rows(row, name)
