"""Statements that may take only so long: a page answers, and says that it took too long."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

_CANCELED = "57014"


class TookTooLong(Exception):
    """A statement was stopped."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Each statement inside ends within that time. Raises TookTooLong; what they wrote is then undone."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            [before] = cursor.fetchone()
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(seconds * 1000))])
        try:
            with transaction.atomic():
                yield
        except OperationalError as error:
            if getattr(error.__cause__, "pgcode", "") == _CANCELED:
                raise TookTooLong from error
            raise
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
