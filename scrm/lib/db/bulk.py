"""Many rows in one statement: INSERT by COPY or from one JSON document, UPDATE … FROM over one JSON document.

Django's bulk_create and bulk_update build a statement per few hundred rows and a CASE per value; a batch of thousands of
people would spend most of its time there. Types come from the model's own columns.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from scrm.lib.db.columns import AnyField, value_type
from scrm.lib.db.texts import copied_column, json_text

Row = Mapping[str, Any]
MANY = 50  # rows from which COPY, with ids taken beforehand, is cheaper than a document that PostgreSQL takes apart


def clean_text(value: str, limit: int | None = None) -> str:
    """Text that PostgreSQL can store: no NUL, no lone surrogates, cut to a column's length."""
    if not value.isprintable():  # neither a NUL nor a surrogate is: one look is all that most texts need
        value = value.replace("\x00", "").encode("utf-8", "ignore").decode()
    return value[:limit] if limit else value


def insert_rows(
    model: type[Model], rows: Sequence[Row], *, ignore_conflicts: bool = False, returning: Sequence[str] = ("id",)
) -> list[tuple[Any, ...]]:
    """Insert rows given as {attname: value}, all with the same keys; the returned columns of those that were written.

    Without ignore_conflicts the result is in the order of the rows. With it, a row that a unique key refuses is left out.
    """  # fmt: skip
    if not rows:
        return []
    if len(rows) < MANY:
        return _insert(model, rows, ignore_conflicts, returning)
    if not ignore_conflicts:
        return _copy(model, rows, returning)
    try:
        with transaction.atomic():
            return _copy(model, rows, returning)
    except IntegrityError:  # some are known, which is rare among many: now row by row
        return _insert(model, rows, ignore_conflicts, returning)


def _insert(
    model: type[Model], rows: Sequence[Row], ignore_conflicts: bool, returning: Sequence[str]
) -> list[tuple[Any, ...]]:
    fields = _fields(model, rows[0])
    names = ", ".join(_quote(field.column) for field in fields)
    table = _quote(model._meta.db_table)
    conflict = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    wanted = ", ".join(_quote(_field(model, name).column) for name in returning)
    sql = f"INSERT INTO {table} ({names}) SELECT {names} FROM {_recordset(fields)} ORDER BY ord{conflict} RETURNING {wanted}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [_document(fields, rows)])
        return list(cursor.fetchall())


def _copy(model: type[Model], rows: Sequence[Row], returning: Sequence[str]) -> list[tuple[Any, ...]]:
    ids = _take_ids(model, len(rows))
    fields = _fields(model, rows[0])
    values = [list(map(itemgetter(name), rows)) for name in rows[0]]
    columns = [list(map(str, ids)), *map(copied_column, fields, values)]
    names = ", ".join(_quote(field.column) for field in (_pk(model), *fields))
    lines = "\n".join(map("\t".join, zip(*columns, strict=True))) + "\n"
    with connection.cursor() as cursor, connection.wrap_database_errors:
        cursor.copy_expert(f"COPY {_quote(model._meta.db_table)} ({names}) FROM STDIN", io.StringIO(lines))
    known = dict(zip((field.attname for field in fields), values, strict=True)) | {_pk(model).attname: ids}
    return list(zip(*(known[_field(model, name).attname] for name in returning), strict=True))


def _take_ids(model: type[Model], count: int) -> list[int]:
    """Numbers of the table's own sequence, ascending. The sequence is looked up once, not once a number."""
    sql = "SELECT nextval((SELECT pg_get_serial_sequence(%s, %s)::regclass)) FROM generate_series(1, %s)"
    with connection.cursor() as cursor:
        cursor.execute(sql, [_quote(model._meta.db_table), _pk(model).column, count])
        return [pk for (pk,) in cursor.fetchall()]


def _pk(model: type[Model]) -> AnyField:
    return model._meta.pk


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
        return int(cursor.rowcount)


def lock_rows(model: type[Model], ids: Iterable[int]) -> list[int]:
    """Lock rows in the order of their ids until the transaction ends, so that two writers never wait crosswise; their ids."""
    wanted = model._default_manager.select_for_update(of=("self",)).filter(pk__in=set(ids)).order_by("pk")
    return list(wanted.values_list("pk", flat=True))


def _fields(model: type[Model], row: Row) -> list[AnyField]:
    return [_field(model, name) for name in row]


def _field(model: type[Model], name: str) -> AnyField:
    for field in model._meta.concrete_fields:
        if name in (field.attname, field.name):
            return field
    raise KeyError(f"{model._meta.label} has no column {name}")


def _recordset(fields: Sequence[AnyField]) -> str:
    columns = ", ".join(f"{_quote(field.column)} {value_type(field, connection)}" for field in fields)
    return f"jsonb_to_recordset(%s::jsonb) AS v({columns}, ord integer)"


def _document(fields: Sequence[AnyField], rows: Sequence[Row]) -> str:
    columns = [field.column for field in fields]
    documents = [dict(zip(columns, row.values(), strict=True)) | {"ord": index} for index, row in enumerate(rows)]
    return json_text(documents)


def _quote(name: str | None) -> str:
    return str(connection.ops.quote_name(name or ""))
