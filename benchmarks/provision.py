"""Opening a merchant, against psql running the same statements."""

import json
import tempfile
from pathlib import Path

from django.db import connection

from benchmarks import merchants
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from tenants import pgtools
from tenants.audit import SYSTEM
from tenants.context import public_scope
from tenants.models import new_schema_name
from tenants.provision.snapshot import snapshot
from tenants.provision.steps import provision
from tenants.services.counts import count_rows
from tenants.services.lifecycle import create_tenant


class Provision(Benchmark):
    """From the merchant's row to ACTIVE: schema, tables, check, seed rows, host, hints."""

    name = "provision"
    goal = 2.0
    baseline = "psql -1 with one file: the schema, the same DDL, and INSERTs of the same rows"
    scale = 1
    quick_scale = 1

    def prepare(self) -> None:
        self.detail["server"] = require_durable_server()
        snapshot()  # built once per process; what a worker does before its first merchant
        with public_scope():
            self._model = provision(create_tenant(merchants.slug(), "x", by=SYSTEM).pk)
        self._rows = _rows_as_sql(self._model.schema_name)
        self.detail["statements"] = len(snapshot().statements)
        self._made: list[str] = []

    def measure_subject(self, round_number: int) -> float:
        with public_scope():
            with Stopwatch() as watch:
                tenant = provision(create_tenant(merchants.slug(), "x", by=SYSTEM).pk)
        self._ours = tenant.schema_name
        return watch.seconds

    def measure_baseline(self, round_number: int) -> float:
        self._theirs = new_schema_name()
        self._made.append(self._theirs)
        lines = [
            f'CREATE SCHEMA "{self._theirs}"', f'SET search_path TO "{self._theirs}", public', *snapshot().statements, *self._rows
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "schema.sql"
            script.write_text(";\n".join(lines) + ";\n", encoding="utf-8")
            with Stopwatch() as watch:
                pgtools.run("psql", ["--quiet", "-1", "--set", "ON_ERROR_STOP=1", "--file", str(script)])
        return watch.seconds

    def compare(self) -> None:
        if count_rows(self._ours) != count_rows(self._theirs):
            raise Unfair("the two schemas do not hold the same rows")
        if _objects(self._ours) != _objects(self._theirs):
            raise Unfair("the two schemas do not have the same tables, indexes and constraints")

    def close(self) -> None:
        merchants.drop_all(getattr(self, "_made", []))


def _objects(schema: str) -> list[tuple[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT 'class ' || relkind::text, count(*) FROM pg_class WHERE relnamespace = %s::regnamespace GROUP BY 1
               UNION ALL SELECT 'constraint ' || contype::text, count(*) FROM pg_constraint
               WHERE connamespace = %s::regnamespace GROUP BY 1 ORDER BY 1""",
            [schema, schema],
        )
        return cursor.fetchall()


def _rows_as_sql(schema: str) -> list[str]:
    """INSERT statements of every row of a schema, identity values left to the sequences as in the product."""
    lines = []
    with connection.cursor() as cursor:
        for table, count in count_rows(schema).items():
            if not count:
                continue
            cursor.execute(f'SELECT * FROM "{schema}"."{table}" ORDER BY id')
            columns = [column.name for column in cursor.description if column.name != "id"]
            names = ", ".join(f'"{name}"' for name in columns)
            for row in cursor.fetchall():
                values = dict(zip([column.name for column in cursor.description], row, strict=True))
                written = cursor.mogrify(
                    f"({', '.join(['%s'] * len(columns))})", [_plain(values[name]) for name in columns]
                )
                text = written.decode() if isinstance(written, bytes) else written
                lines.append(f'INSERT INTO "{table}" ({names}) VALUES {text}')
    return lines


def _plain(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
