"""Staged rows: what pages brought, as they came, before anything of it counts."""

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import IntegrityError, connection, transaction
from psycopg2.extras import execute_values

_COLUMNS = "run_id, kind, unit_key, key, payload"

# A NUL as JSON writes it; not the same six characters behind an escaped backslash.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

Staged = tuple[int, str, str, str, str]  # run, kind, unit, key, JSON text


def staged_customer(run_id: int, userid: str, item: dict[str, Any]) -> Staged:
    """An item of batch/get_by_user. JSON may hold \\u0000, which PostgreSQL refuses."""
    payload = orjson.dumps(item).decode()
    if "\\u0000" in payload:
        payload = _NUL.sub(r"\1", payload)
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
    lines = "".join("\t".join((str(run), *map(_escape, texts))) + "\n" for run, *texts in rows)
    with connection.cursor() as cursor, connection.wrap_database_errors:
        cursor.copy_expert(f"COPY wecom_bridge_stagedrow ({_COLUMNS}) FROM STDIN", io.StringIO(lines))


def _escape(text: str) -> str:
    """As COPY's text format wants it."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _insert(rows: Sequence[Staged]) -> None:
    statement = f"INSERT INTO wecom_bridge_stagedrow ({_COLUMNS}) VALUES %s ON CONFLICT DO NOTHING"
    with connection.cursor() as cursor, connection.wrap_database_errors:
        execute_values(cursor.cursor, statement, rows)
