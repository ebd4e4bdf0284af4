"""Keyset paging: the next page begins after the last row seen, so a page costs the same at row 50 and at row 1,000,000."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

Row = TypeVar("Row", bound=Model)
MAX_SIZE = 200


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of one page; a cursor is None where there is no further page in that direction."""

    rows: list[Row]
    next_cursor: str | None
    previous_cursor: str | None


def keyset_page(
    rows: QuerySet[Row], ordering: Sequence[str], cursor: str = "", size: int = 50, *, related: Sequence[str] = ()
) -> Page[Row]:
    """One page of a queryset.

    ordering: field or annotation names, `-` for descending, the last one unique; their values must not be null (annotate
    with Coalesce where they may be). A cursor that is not one of ours counts as the first page. related: joined to the rows of the
    page alone, where sorting all rows with what hangs on them would cost; `rows` then is a plain queryset, ordered by its columns.
    """
    size = min(max(size, 1), MAX_SIZE)
    backwards, after = _decode(cursor, len(ordering))
    order = [_flip(name) for name in ordering] if backwards else list(ordering)
    if after is not None:
        try:
            rows = rows.filter(_beyond(order, after))
        except (ValueError, ValidationError):
            after = None  # values of another type than the columns: somebody wrote the cursor by hand
    chosen = rows.order_by(*order)[: size + 1]
    if related:
        page = rows.model._default_manager.filter(pk__in=chosen.values("pk"))
        chosen = page.select_related(*related).order_by(*order)
    found = list(chosen)
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    has_next, has_previous = (True, more) if backwards else (more, after is not None)
    return Page(
        rows=found,
        next_cursor=_encode("n", found[-1], ordering) if found and has_next else None,
        previous_cursor=_encode("p", found[0], ordering) if found and has_previous else None,
    )


def pager(request: HttpRequest, page: Page[Any]) -> dict[str, Any]:
    """What ui/pager.html shows of a page, but for the total: the same address with another cursor."""

    def url(cursor: str | None) -> str:
        query = request.GET.copy()
        query["cursor"] = cursor or ""
        return f"?{query.urlencode()}" if cursor else ""

    return {"next_url": url(page.next_cursor), "previous_url": url(page.previous_cursor), "shown": len(page.rows)}


def _flip(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _beyond(order: Sequence[str], values: Sequence[Any]) -> Q:
    """Rows that come after the given values: a < x, or a = x and b < y, …"""
    condition, equal = Q(), Q()
    for name, value in zip(order, values, strict=True):
        field = name.lstrip("-")
        condition |= equal & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        equal &= Q(**{field: value})
    # The first column alone bounds the index scan; the planner does not find that in the OR.
    first = order[0].lstrip("-")
    return Q(**{f"{first}__{'lte' if order[0].startswith('-') else 'gte'}": values[0]}) & condition


def _encode(direction: str, row: Model, ordering: Sequence[str]) -> str:
    values = [_plain(getattr(row, name.lstrip("-"))) for name in ordering]
    return base64.urlsafe_b64encode(json.dumps([direction, *values]).encode()).decode().rstrip("=")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else value


def _decode(cursor: str, length: int) -> tuple[bool, list[Any] | None]:
    if not cursor:
        return False, None
    try:
        direction, *values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, TypeError):
        return False, None
    if len(values) != length or not all(isinstance(value, str | int | float) for value in values):
        return False, None
    return direction == "p", values
