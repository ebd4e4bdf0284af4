"""Makes the database of a test process: public at the head, the two merchants of tests.support.world.

With --reuse-db it is copied from one that is made once and kept, so that of several processes side by side one does the work.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from tenants.context import public_scope
from tenants.upgrade import migrate_public
from tests.support import world


def make(*, keep: bool) -> None:
    """Point the connection at a test database that is as the working tree wants it.

    keep: go on with the one there is, if migrations and seeds are those it was made from.
    """
    name = connection.creation._get_test_db_name()
    if not keep:
        _make_anew(name)
        return
    model = re.sub(r"_gw[0-9]+$", "", name) + "_model"
    with _server() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [model])  # until this connection ends
        if not _is_current(cursor, model):
            _make_anew(model)
            connection.close()
        is_new = not _is_current(cursor, name)
        if is_new:
            _drop(cursor, name)
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{model}"')
            _sign(cursor, name)
    _point_at(name)
    if not is_new:
        world.clear()


def destroy(before: str) -> None:
    """Remove the database in use, and point the connection at `before` again."""
    name = connection.settings_dict["NAME"]
    connection.close()
    _point_at(before)
    with _server() as cursor:
        _drop(cursor, name)


def _make_anew(name: str) -> None:
    with _server() as cursor:
        _drop(cursor, name)
        cursor.execute(f'CREATE DATABASE "{name}"')
    _point_at(name)
    with public_scope():
        migrate_public()
    world.build()
    with _server() as cursor:
        _sign(cursor, name)


@contextmanager
def _server() -> Iterator[Any]:
    """A cursor beside the connection, on the database that every server has, for what can be done to another from there."""
    with connection._nodb_cursor() as cursor:
        yield cursor


def _point_at(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = name


def _is_current(cursor: Any, name: str) -> bool:
    """Whether the database was wholly made, from today's migrations and seeds."""
    cursor.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [name])
    return cursor.fetchone() == (world.digest(),)


def _sign(cursor: Any, name: str) -> None:
    cursor.execute(f'COMMENT ON DATABASE "{name}" IS %s', [world.digest()])


def _drop(cursor: Any, name: str) -> None:
    cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
