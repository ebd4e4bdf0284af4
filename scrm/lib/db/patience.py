"""Statements that may take only so long: a page answers, and says that it took too long."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection, transaction

_CANCELED = "57014"


class TookTooLong(Exception):
    """A statement was stopped."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Each statement inside ends within that time. Raises TookTooLong; what they wrote is then undone."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            wanted = [str(int(seconds * 1000))]
            cursor.execute(
                "SELECT current_setting('statement_timeout'), set_config('statement_timeout', %s, true)", wanted
            )
            [before, _set] = cursor.fetchone()
        try:
            with transaction.atomic():
                yield
        except DatabaseError as error:
            if _was_canceled(error):
                raise TookTooLong from error
            raise
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])


def _was_canceled(error: BaseException | None) -> bool:
    """Whether it, or what it followed upon, is a statement that was stopped: clearing up after one fails too."""
    while error is not None:
        if getattr(error, "pgcode", "") == _CANCELED:
            return True
        error = error.__cause__ or error.__context__
    return False
