"""The RFM grid: how lately (R), how often (F) and for how much (M) people bought in a year, cut at the merchant's own quantiles.

A band is [from, to): days since the last order, or number of orders. Bounds are quintiles of those who bought; equal ones fall together,
so that a grid has one to five bands a side. A cell says the same as a tree of the condition language, so it opens as a segment that holds its
bounds while people move.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from commerce.models import Order
from conditions.people import people

WINDOW_DAYS = 365
SHARES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Grid:
    """bounds: where the second and further bands begin, ascending. cells: (R band, F band) → (people, minor units, orders); bands count
    from 0, R band 0 bought most lately, F band 0 least often."""

    days: tuple[int, ...]
    times: tuple[int, ...]
    cells: dict[tuple[int, int], tuple[int, int, int]]

    @property
    def people(self) -> int:
        """Everybody who bought: the sum of the cells."""
        return sum(number for number, _money, _orders in self.cells.values())


def measure(now: datetime) -> Grid:
    """The grid of the orders of the year before `now`. Three statements, whatever the size."""
    with connection.cursor() as cursor:
        days, times = _bounds(cursor, now)
        sql, params = _buyers(now)
        cursor.execute(
            "SELECT width_bucket(days, %s::int[]), width_bucket(times, %s::int[]), count(*), sum(money), sum(times)"
            f" FROM ({sql}) AS buyers GROUP BY 1, 2",
            [list(days), list(times), *params],
        )
        cells = {(r, f): (number, int(money), int(orders)) for r, f, number, money, orders in cursor.fetchall()}
    return Grid(days, times, cells)


def _bounds(cursor: Any, now: datetime) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sql, params = _buyers(now)
    cursor.execute(
        "SELECT percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY days), min(days),"
        f" percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY times), min(times) FROM ({sql}) AS buyers",
        [list(SHARES), list(SHARES), *params],
    )
    days, least_days, times, least_times = cursor.fetchone()
    return _distinct(days, least_days), _distinct(times, least_times)


def _distinct(bounds: Sequence[int] | None, least: int | None) -> tuple[int, ...]:
    """Each once; one at the smallest value would leave a band before it that nobody is in."""
    return tuple(sorted({bound for bound in bounds or () if bound > (least or 0)}))


def _buyers(now: datetime) -> tuple[str, list[Any]]:
    """One row per root contact with paid orders in the year: whole days since the last, orders, money net of refunds."""
    table = connection.ops.quote_name(Order._meta.db_table)
    contact = connection.ops.quote_name(people().model._meta.db_table)
    standing, params = people().values("pk").query.sql_with_params()
    sql = (
        "SELECT floor(extract(epoch FROM %s::timestamptz - max(o.ordered_at)) / 86400)::int AS days,"
        " count(*)::int AS times, sum(o.total_minor - o.refunded_minor) AS money"
        f" FROM {table} o JOIN {contact} c ON c.id = o.contact_id"
        " WHERE o.status = %s AND o.ordered_at > %s AND o.ordered_at <= %s"
        f" GROUP BY coalesce(c.root_id, c.id) HAVING coalesce(c.root_id, c.id) IN ({standing})"
    )
    return sql, [now, Order.Status.PAID.value, now - timedelta(days=WINDOW_DAYS), now, *params]


def band(bounds: Sequence[int], index: int) -> tuple[int | None, int | None]:
    """[from, to) of a band; None is open. Raises IndexError for a band that is not there."""
    if not 0 <= index <= len(bounds):
        raise IndexError(index)
    return (bounds[index - 1] if index else None), (bounds[index] if index < len(bounds) else None)


def tree_of(days: Sequence[int], times: Sequence[int], chosen: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Who is in any of the chosen cells, as a tree. Raises IndexError for a cell that is not there, ValueError for none."""
    cells = [_cell(band(days, r), band(times, f)) for r, f in sorted(set(chosen))]
    if not cells:
        raise ValueError("no cell")
    return {"version": 1, "root": {"all": cells[0]} if len(cells) == 1 else {"any": [{"all": one} for one in cells]}}


def _cell(days: tuple[int | None, int | None], times: tuple[int | None, int | None]) -> list[dict[str, Any]]:
    window = {"days": WINDOW_DAYS}
    parts: list[dict[str, Any]] = [{"field": "order", "op": "count_at_least", "value": times[0] or 1, "window": window}]
    if times[1] is not None:
        parts.append({"field": "order", "op": "count_at_most", "value": times[1] - 1, "window": window})
    if days[0] is not None:
        parts.append({"field": "order", "op": "last_older_than", "value": days[0]})
    if days[1] is not None:
        parts.append({"not": {"field": "order", "op": "last_older_than", "value": days[1]}})
    return parts
