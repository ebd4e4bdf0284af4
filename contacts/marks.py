"""Telling the conditions that a person's field changed."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import CharField, QuerySet, Value

from conditions import dirty
from contacts.models import Contact

EVERYTHING = dirty.EVERYTHING


def mark(contact_ids: Iterable[int], *field_keys: str, backfill: bool | None = None) -> None:
    """Mark fields of people dirty, in the transaction of the change. Nothing happens for nobody.

    backfill: only the first sync told us; segments take note, rules act on nobody. By default as conditions.dirty.told_by() says.
    """
    ids = sorted({pk for pk in contact_ids if pk})
    if ids and field_keys:
        dirty.mark(ids, *field_keys, backfill=backfill)


def mark_rows(rows: QuerySet[Any], field_key: str, path: str = "pk") -> None:
    """Mark a field of everybody whom a query finds, at `path` of its rows, in one statement in the transaction of the change."""
    told = rows.order_by().values_list(path, Value(field_key, CharField())).distinct()
    try:
        sql, params = told.query.sql_with_params()
    except EmptyResultSet:  # it asks for one of no ids
        return
    dirty.mark_selected(sql, params)


def mark_customers(field_key: str, **whose: Any) -> None:
    """Mark a field of the customers of a store or a guide: `store=…`, `owner_id__any_of=…`. Branches too: while a merge is being undone a
    row is a branch to this statement and a person of its own when the mark is worked off, which finds the root by itself."""
    mark_rows(Contact.objects.filter(**whose), field_key)


def mark_selected(pairs: str, params: Sequence[Any]) -> None:
    """Mark fields dirty for the rows (contact_id, field_key) of a SELECT, in the transaction of the change. Contacts are roots."""
    dirty.mark_selected(pairs, params)
