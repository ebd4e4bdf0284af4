"""What PostgreSQL calls the types of a model's columns."""

from typing import TYPE_CHECKING, Any, TypeAlias

from django.db.models import Field

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

AnyField: TypeAlias = "Field[Any, Any]"


def value_type(field: AnyField, connection: "BaseDatabaseWrapper") -> str:
    """The type of a column's values: of a key that PostgreSQL numbers itself, that of the numbers, as in a reference to it."""
    return str(field.rel_db_type(connection) if field.primary_key else field.db_type(connection))
