"""Errors that carry a sentence for the person who caused them."""

from typing import Any


class UserError(Exception):
    """Something the user asked for cannot be done. The message says what happened, why, and what to do next.

    Shown as is: 422 in pages, {"error": {"code", "message", "fields"}} in the API.
    """

    code = "invalid"
    status = 422

    def __init__(self, message: str, *, code: str | None = None, fields: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.fields = fields or {}


class NotAllowed(UserError):
    """The person is known, belongs to the tenant, and lacks the permission."""

    code = "forbidden"
    status = 403


class Conflict(UserError):
    """The row moved on since the person looked at it."""

    code = "conflict"
    status = 409


class TryLater(UserError):
    """A limit was hit; the message says when to come back."""

    code = "try_later"
    status = 429
