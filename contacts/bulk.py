"""Many rows in one statement: INSERT … SELECT and UPDATE … FROM over one JSON document of rows.

Django's bulk_create and bulk_update build a statement per few hundred rows and a CASE per value; a batch of thousands of
people would spend most of its time there. Values travel as JSON, types come from the model's own columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection
from django.db.models import Field, Model

Row = Mapping[str, Any]


def clean_text(value: str, limit: int | None = None) -> str:
    """Text that PostgreSQL can store: no NUL, no lone surrogates, cut to a column's length."""
    if "\x00" in value:
        value = value.replace("\x00", "")
    text = value.encode("utf-8", "ignore").decode()
    return text[:limit] if limit else text


def insert_rows(
    model: type[Model], rows: Sequence[Row], *, ignore_conflicts: bool = False, returning: Sequence[str] = ("id",)
) -> list[tuple]:
    """Insert rows given as {attname: value}, all with the same keys; the returned columns of those that were written.

    Without ignore_conflicts the result is in the order of the rows. With it, a row that a unique key refuses is left out.
    """  # fmt: skip
    if not rows:
        return []
    fields = _fields(model, rows[0])
    names = ", ".join(_quote(field.column) for field in fields)
    table = _quote(model._meta.db_table)
    conflict = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    wanted = ", ".join(_quote(_field(model, name).column) for name in returning)
    sql = f"INSERT INTO {table} ({names}) SELECT {names} FROM {_recordset(fields)} ORDER BY ord{conflict} RETURNING {wanted}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [_document(fields, rows)])
        return cursor.fetchall()


def update_rows(model: type[Model], rows: Sequence[Row], *, key: str = "id") -> int:
    """Update rows given as {key, attname: value …}, all with the same keys, by their key. How many were found."""
    if not rows:
        return 0
    fields = _fields(model, rows[0])
    table = _quote(model._meta.db_table)
    key_column = _quote(_field(model, key).column)
    changes = ", ".join(
        f"{_quote(f.column)} = v.{_quote(f.column)}" for f in fields if f.attname != key and f.name != key
    )
    sql = f"UPDATE {table} AS t SET {changes} FROM {_recordset(fields)} WHERE t.{key_column} = v.{key_column}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [_document(fields, rows)])
        return cursor.rowcount


def lock_rows(model: type[Model], ids: Iterable[int]) -> list[int]:
    """Lock rows in the order of their ids until the transaction ends, so that two writers never wait crosswise; their ids."""
    wanted = model._default_manager.select_for_update(of=("self",)).filter(pk__in=set(ids)).order_by("pk")
    return list(wanted.values_list("pk", flat=True))


def _fields(model: type[Model], row: Row) -> list[Field]:
    return [_field(model, name) for name in row]


def _field(model: type[Model], name: str) -> Field:
    for field in model._meta.concrete_fields:
        if name in (field.attname, field.name):
            return field
    raise KeyError(f"{model._meta.label} has no column {name}")


def _recordset(fields: Sequence[Field]) -> str:
    columns = ", ".join(f"{_quote(field.column)} {_type(field)}" for field in fields)
    return f"jsonb_to_recordset(%s::jsonb) AS v({columns}, ord integer)"


def _type(field: Field) -> str:
    kind = field.rel_db_type(connection) if field.primary_key else field.db_type(connection)
    return str(kind)


def _document(fields: Sequence[Field], rows: Sequence[Row]) -> str:
    columns = [field.column for field in fields]
    documents = [dict(zip(columns, row.values(), strict=True)) | {"ord": index} for index, row in enumerate(rows)]
    return orjson.dumps(documents, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)  # lazy translations, choices


def _quote(name: str | None) -> str:
    return str(connection.ops.quote_name(name or ""))
