"""Django's PostgreSQL backend with a schema editor that keeps tenant schemas movable.

Foreign keys are created NOT DEFERRABLE: a violation surfaces at the statement as an IntegrityError, on one node and on
many. CHECK is split off ADD COLUMN: a distributed table refuses a column that arrives with a constraint.
"""

from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.backends.postgresql.features import DatabaseFeatures as PostgresFeatures
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from django.db.backends.postgresql.schema import DatabaseSchemaEditor as PostgresSchemaEditor
from django.db.models import Model


class DatabaseSchemaEditor(PostgresSchemaEditor):
    """The dialect of the migrations."""

    # Without SET CONSTRAINTS … IMMEDIATE after the inline reference: there is nothing deferred to check.
    sql_create_column_inline_fk = "CONSTRAINT %(name)s REFERENCES %(to_table)s(%(to_column)s)%(deferrable)s"

    def add_field(self, model: type[Model], field: Any) -> None:
        check = field.db_parameters(connection=self.connection).get("check")
        if not check:
            super().add_field(model, field)
            return
        with _without_check(field):
            super().add_field(model, field)
        name = self._create_index_name(model._meta.db_table, [field.column], suffix="_check")  # type: ignore[attr-defined]
        self.execute(self._create_check_sql(model, name, check))  # type: ignore[attr-defined]


class _without_check:
    """Hide a field's column check while its column is added."""

    def __init__(self, field: Any) -> None:
        self.field = field

    def __enter__(self) -> None:
        self.field.db_check = lambda connection: None

    def __exit__(self, *args: Any) -> None:
        del self.field.db_check


class DatabaseOperations(PostgresOperations):
    """What the schema editor asks for the tail of a foreign key."""

    def deferrable_sql(self) -> str:
        return ""


class DatabaseFeatures(PostgresFeatures):
    """What Django may rely on. It otherwise deletes a row before nullable rows that point at it, and hopes for COMMIT."""

    can_defer_constraint_checks = False


class DatabaseWrapper(PostgresWrapper):
    features_class = DatabaseFeatures
    SchemaEditorClass = DatabaseSchemaEditor
    ops_class = DatabaseOperations
