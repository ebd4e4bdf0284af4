"""`field__any_of=values`: what `__in` says, as one array.

`__in` prepares, resolves and writes out every value by itself; for the thousands of ids and keys of a batch that took longer than
the query. Pass a set: Django goes through lists and tuples one by one before the lookup sees them.
"""

from collections.abc import Collection
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Field, ForeignObject, Lookup, TextField
from django.db.models.sql.compiler import SQLCompiler

from scrm.lib.db.columns import value_type
from scrm.lib.db.texts import array_text


class AnyOf(Lookup):
    """column = ANY(array)."""

    lookup_name = "any_of"
    prepare_rhs = False
    rhs: Collection[Any]

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::{_type(self.lhs.output_field, connection)}[])", (*parameters, array_text(self.rhs))


def _type(field: "Field[Any, Any]", connection: BaseDatabaseWrapper) -> str:
    """varchar(n) would cut longer values, which then match."""
    if isinstance(field, CharField | TextField):
        return "text"
    return value_type(field, connection)


def register() -> None:
    """Teach every field the lookup; foreign keys do not inherit those of plain fields."""
    Field.register_lookup(AnyOf)
    ForeignObject.register_lookup(AnyOf)
