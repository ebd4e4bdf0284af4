"""What PostgreSQL's catalogue says about a schema, with the schema's own name taken out."""

from typing import Any

from django.db import connection

_QUERIES = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation::text
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, a.attnum)
        WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY c.relname, a.attnum""",
    "constraints": """
        SELECT c.relname, o.conname, o.contype, o.condeferrable, o.condeferred, o.convalidated, pg_get_constraintdef(o.oid)
        FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid WHERE c.relnamespace = %s::regnamespace
        ORDER BY 1, 2""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %s ORDER BY 1, 2",
    "sequences": """
        SELECT sequencename, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size
        FROM pg_sequences WHERE schemaname = %s ORDER BY 1""",
    "others": """
        SELECT c.relkind, c.relname, pg_get_viewdef(c.oid) FROM pg_class c
        WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('v', 'm', 'f') ORDER BY 2""",
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = %s::regnamespace ORDER BY 1",
}


def catalogue(schema: str) -> dict[str, list[tuple[Any, ...]]]:
    """Columns, constraints, indexes, sequences, views and functions of a schema, comparable with another's."""
    found = {}
    with connection.cursor() as cursor:
        for name, query in _QUERIES.items():
            cursor.execute(query, [schema])
            found[name] = [
                tuple(value.replace(schema, "SCHEMA") if isinstance(value, str) else value for value in row)
                for row in cursor.fetchall()
            ]
    return found
