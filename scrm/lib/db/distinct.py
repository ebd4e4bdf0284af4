"""The different values of an indexed column, read by hopping through its index: by DISTINCT every row would be read."""

from typing import Any

from django.db import connection
from django.db.models import Model

_SQL = """
WITH RECURSIVE hops (value) AS (
    (SELECT {column} FROM {table} WHERE {column} > '' ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM {table} WHERE {column} > hops.value AND {column} > '' ORDER BY {column} LIMIT 1)
    FROM hops WHERE hops.value IS NOT NULL
)
SELECT value FROM hops WHERE value IS NOT NULL LIMIT %s
"""


def distinct_texts(model: type[Model], field: str, limit: int) -> list[str]:
    """The first `limit` texts of a column, in its order; empty ones are left out. The column leads an index, whole or of the
    texts that are not empty."""
    quote = connection.ops.quote_name
    column: Any = model._meta.get_field(field)
    sql = _SQL.format(table=quote(model._meta.db_table), column=quote(column.column))
    with connection.cursor() as cursor:
        cursor.execute(sql, [limit])
        return [value for (value,) in cursor.fetchall()]
