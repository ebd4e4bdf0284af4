"""Staged rows: what pages brought, as they came, before anything of it counts."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import IntegrityError, connection, transaction
from psycopg2.extras import execute_values

_COLUMNS = "run_id, kind, unit_key, key, payload"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Staged = tuple[int, str, str, str, str]  # run, kind, unit, key, JSON text


def staged_customer(run_id: int, userid: str, item: dict[str, Any]) -> Staged:
    """An item of batch/get_by_user. JSON may hold \\u0000, which PostgreSQL refuses."""
    payload = orjson.dumps(item).decode().replace("\\u0000", "")
    return run_id, "contacts", userid, str(item["external_contact"]["external_userid"]), payload


def write(rows: Sequence[Staged]) -> None:
    """Add rows; of a customer who moved between two pages while we read, the first stays. Needs a transaction around it."""
    unique = list({row[1:4]: row for row in reversed(rows)}.values())
    unique.reverse()
    try:
        with transaction.atomic():
            _copy(unique)
    except IntegrityError:
        _insert(unique)


def _copy(rows: Iterable[Staged]) -> None:
    lines = "".join("\t".join([str(run), *(text.translate(_ESCAPES) for text in texts)]) + "\n" for run, *texts in rows)
    with connection.cursor() as cursor, connection.wrap_database_errors:
        cursor.copy_expert(f"COPY wecom_bridge_stagedrow ({_COLUMNS}) FROM STDIN", io.StringIO(lines))


def _insert(rows: Sequence[Staged]) -> None:
    statement = f"INSERT INTO wecom_bridge_stagedrow ({_COLUMNS}) VALUES %s ON CONFLICT DO NOTHING"
    with connection.cursor() as cursor, connection.wrap_database_errors:
        execute_values(cursor.cursor, statement, rows)
