"""Opaque cursors: a position bound to the filter it was made for. A cursor of another filter is 50100."""

import base64
import hashlib
import json

from simulator.api.errors import WeComError


def _mark(scope: object) -> str:
    return hashlib.sha1(json.dumps(scope, sort_keys=True).encode(), usedforsecurity=False).hexdigest()[:12]


def make(position: list[int], scope: object) -> str:
    """A cursor for `position` (a few integers) within `scope` (the call's filter)."""
    raw = ".".join(map(str, position)) + "." + _mark(scope)
    return base64.urlsafe_b64encode(raw.encode()).decode()


def read(cursor: str | None, scope: object, parts: int = 1) -> list[int]:
    """The position of a cursor, zeros for none. Raises WeComError 50100 for anything `make` did not return."""
    if not cursor:
        return [0] * parts
    try:
        *position, mark = base64.urlsafe_b64decode(cursor.encode()).decode().split(".")
        numbers = [int(value) for value in position]
    except ValueError as error:
        raise WeComError(50100) from error
    if mark != _mark(scope) or len(numbers) != parts or min(numbers) < 0:
        raise WeComError(50100)
    return numbers


def page(rows: list, cursor: str | None, limit: int, scope: object) -> tuple[list, str]:
    """(one page, next cursor); the cursor is empty on the last page."""
    (begin,) = read(cursor, scope)
    end = begin + limit
    return rows[begin:end], make([end], scope) if end < len(rows) else ""
