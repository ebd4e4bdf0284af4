"""How many rows a schema holds, exactly."""

from django.db import connection


def count_rows(schema: str) -> dict[str, int]:
    """Table → number of rows, for every table of the schema. Reads them all: for dumps and checks, not for pages."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema])
        names = [name for (name,) in cursor.fetchall()]
        counts = {}
        for name in names:
            cursor.execute(f'SELECT count(*) FROM "{schema}"."{name}"')
            counts[name] = int(cursor.fetchone()[0])
    return counts
