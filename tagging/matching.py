"""Evaluating one tree for some people or for all: shared by segments and rules."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from conditions.compiler import compile_tree
from conditions.people import people
from conditions.sweeps import room
from scrm.lib.db.patience import TookTooLong, at_most
from scrm.lib.errors import UserError


def matching_people(tree: dict[str, Any], now: datetime) -> QuerySet[Any]:
    """The root contacts a tree holds for, to be narrowed to a few. Raises conditions.compiler.UnknownField."""
    return people().filter(compile_tree(tree, now))


def all_who_match(tree: dict[str, Any], now: datetime) -> QuerySet[Any]:
    """The same, for one statement over everybody, in conditions.sweeps.room(). Raises conditions.compiler.UnknownField."""
    return people().filter(compile_tree(tree, now, sweep=True))


def matching_sql(tree: dict[str, Any], now: datetime) -> tuple[str, Sequence[Any]]:
    """A SELECT of the ids of all whom the tree holds for, for statements over everybody. Raises conditions.compiler.UnknownField."""
    try:
        sql, params = all_who_match(tree, now).values_list("pk").query.sql_with_params()
    except EmptyResultSet:
        return "SELECT NULL::bigint WHERE false", ()
    return sql, params


def matching_ids(tree: dict[str, Any], contact_ids: Iterable[int], now: datetime) -> set[int]:
    """Those of the given roots a tree holds for. One query."""
    return set(matching_people(tree, now).filter(pk__in=list(contact_ids)).values_list("pk", flat=True))


def of_people(root_ids: Sequence[int] | QuerySet[Any, Any], path: str = "contact") -> Q:
    """Rows of these roots, or of people merged into them (whose rows still carry the old id)."""
    return Q(**{f"{path}__in": root_ids}) | Q(**{f"{path}__root__in": root_ids})


def insert_select(
    model: type[Model],
    rows: QuerySet[Any],
    constants: Mapping[str, Any],
    *,
    suffix: str = "ON CONFLICT DO NOTHING",
    keyed: tuple[str, str] | None = None,
) -> int:
    """INSERT … SELECT a row per person of `rows` (a queryset of contacts) with the same constants; how many were written.

    keyed: a text column that gets a prefix and the person's id.
    """
    sql, params = rows.values_list("pk").query.sql_with_params()
    quote = connection.ops.quote_name
    names = ", ".join(
        quote(str(getattr(model._meta.get_field(name), "column", name)))
        for name in ("contact", *constants, *([keyed[0]] if keyed else []))
    )
    marks = "".join(", %s" for _ in constants) + (", %s || matched.id" if keyed else "")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(model._meta.db_table)} ({names}) SELECT matched.id{marks}"
            f" FROM ({sql}) AS matched (id) {suffix}",
            [*constants.values(), *([keyed[1]] if keyed else []), *params],
        )
        return int(cursor.rowcount)


COUNT_SECONDS = 15


def count_matching(tree: dict[str, Any], now: datetime) -> int:
    """How many people a tree holds for, of everybody. Raises UserError when it takes too long, conditions.compiler.UnknownField."""
    try:
        with at_most(COUNT_SECONDS), room():
            return int(all_who_match(tree, now).count())
    except TookTooLong:
        text = _("数了 %(seconds)d 秒还没有数完,已停止。请减少条件,或先存成人群,算好后看人数。")
        raise UserError(text % {"seconds": COUNT_SECONDS}) from None
