"""The schema at head as a list of statements.

Replaying the history of migrations costs every new merchant the detours of the past. The snapshot is made by the schema
editor from the migrations' final state: each table once, in its final form, then what RunSQL added, in the order of the
migrations. A test compares the catalogue of a replayed schema with that of a migrated one.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations import RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.recorder import MigrationRecorder

from tenants.sides import labels_of

# Django's own, whose data moves concern rows that a new schema does not have.
_FOREIGN = {"auth", "contenttypes", "sessions"}
_TABLE = re.compile(r'CREATE TABLE "([^"]+)"')
_PHASES = (_TABLE, re.compile(r"ALTER TABLE .* FOREIGN KEY "), re.compile(r""))


class NotReplayable(RuntimeError):
    """A migration of a tenant app does something that its final state does not tell."""


@dataclass(frozen=True)
class Snapshot:
    """statements: one top-level SQL statement each, names unqualified. tables: what they create, many-to-many tables and
    django_migrations included. migrations: what to record as applied.

    digest names the head: two code versions with the same migrations have the same.
    """

    statements: tuple[str, ...]
    tables: frozenset[str]
    migrations: tuple[tuple[str, str], ...]
    digest: str


@lru_cache(maxsize=1)
def snapshot() -> Snapshot:
    """The snapshot of the code that runs; built once per process (about a second)."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    tables = _tables(loader)
    return Snapshot(
        statements=(*tables, *_recorded_sql(loader)),
        tables=frozenset(match[1] for match in map(_TABLE.match, tables) if match),
        migrations=tuple(_names(loader)),
        digest=head_digest(),
    )


@lru_cache(maxsize=1)
def head_digest() -> str:
    """A name for the heads of all migrations, at most 64 characters."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    heads = "\n".join(f"{app}.{name}" for app, name in sorted(loader.graph.leaf_nodes()))
    return hashlib.sha256(heads.encode()).hexdigest()[:32]


def tenant_labels() -> set[str]:
    """Labels of the apps whose tables stand in each merchant's schema."""
    return labels_of(settings.TENANT_APPS)


def _tables(loader: MigrationLoader) -> list[str]:
    """Tables, then foreign keys, then indexes: no statement needs a later one."""
    editor = connection.SchemaEditorClass(connection, collect_sql=True, atomic=False)
    with editor:
        recorded: type[models.Model] = MigrationRecorder.Migration
        for model in (recorded, *_models(loader)):
            editor.create_model(model)
    statements = [statement.rstrip(";") for statement in editor.collected_sql]
    return sorted(statements, key=lambda text: next(i for i, phase in enumerate(_PHASES) if phase.match(text)))


def _models(loader: MigrationLoader) -> Iterator[type[models.Model]]:
    labels = tenant_labels()
    for model in loader.project_state().apps.get_models():
        options = model._meta
        if options.app_label in labels and options.managed and not options.proxy and not options.swapped:
            yield model


def _recorded_sql(loader: MigrationLoader) -> Iterator[str]:
    labels = tenant_labels()
    for migration in _plan(loader):
        if migration.app_label in labels:
            yield from _sql_of(migration.operations, migration)


def _sql_of(operations: Iterable[Any], migration: Migration) -> Iterator[str]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from _sql_of(operation.database_operations, migration)
        elif isinstance(operation, RunSQL):
            lines = operation.sql if isinstance(operation.sql, (list, tuple)) else [None]
            plain = [line for line in lines if isinstance(line, str)]
            if len(plain) != len(lines):
                raise NotReplayable(f"{migration}: RunSQL takes a list of plain statements")
            yield from plain
        elif isinstance(operation, RunPython) and migration.app_label not in _FOREIGN:
            raise NotReplayable(f"{migration}: data moves are backfills, see tenants.backfills")


def _plan(loader: MigrationLoader) -> list[Migration]:
    seen: dict[tuple[str, str], Migration] = {}
    for leaf in sorted(loader.graph.leaf_nodes()):
        for key in loader.graph.forwards_plan(leaf):
            seen.setdefault(key, loader.graph.nodes[key])
    return list(seen.values())


def _names(loader: MigrationLoader) -> Iterator[tuple[str, str]]:
    for migration in _plan(loader):
        yield from migration.replaces
        yield migration.app_label, migration.name
