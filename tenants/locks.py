"""Advisory locks that carry the tenant, so that two merchants never wait for each other."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from tenants.paths import scope_name


def lock_key(name: str) -> int:
    """A signed 64-bit key for a name within the current scope."""
    digest = hashlib.blake2b(f"{scope_name()}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def lock_in_transaction(name: str, *, shared: bool = False) -> None:
    """Wait for the lock; it is held until the surrounding transaction ends. shared: others may share it, nobody has it alone."""
    suffix = "_shared" if shared else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock{suffix}(%s)", [lock_key(name)])


def try_lock_in_transaction(name: str) -> bool:
    """Take the lock until the transaction ends, or say that another has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock_key(name)])
        return bool(cursor.fetchone()[0])


@contextmanager
def session_lock(name: str) -> Iterator[bool]:
    """Hold the lock over several transactions on this connection; yields False when another has it."""
    key = lock_key(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        taken = bool(cursor.fetchone()[0])
    try:
        yield taken
    finally:
        if taken:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
