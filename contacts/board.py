"""The stages as a board: truthful counts within a scope, columns by keyset, and who stays longer than a stage allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.scope import EVERYTHING, DataScope
from contacts import listing
from contacts.models import Contact, Stage
from scrm.lib import clock
from scrm.lib.paging import Page, keyset_page

CARDS = 15  # a column's page
ORDERING = ("stage_since", "pk")  # longest there first: the overdue stand on top
UNSTAGED_ORDERING = ("-last_added_at", "-pk")


@dataclass(frozen=True)
class Column:
    """One stage (None: nobody decided yet) with all who stand in it, those overdue among them, and the first page."""

    stage: Stage | None
    count: int
    overdue: int
    page: Page[Contact]


def overdue_q(now: datetime, stages: Sequence[Stage] | None = None) -> Q:
    """People in a stage for longer than its limit. Computed as it is read: nothing is stored, nothing can be late."""
    if stages is None:
        stages = list(Stage.objects.filter(is_archived=False, max_days__isnull=False))
    found = Q(pk__in=[])
    for stage in stages:
        if stage.max_days and not stage.is_archived:
            found |= Q(stage_id=stage.pk, stage_since__lt=now - timedelta(days=stage.max_days))
    return found


def is_overdue(person: Contact, stage: Stage | None, now: datetime) -> bool:
    """The same for one person."""
    limit = stage.max_days if stage and not stage.is_archived else None
    return bool(limit and person.stage_since and person.stage_since < now - timedelta(days=limit))


def columns(people: QuerySet[Contact], now: datetime) -> list[Column]:
    """Every stage in use, and those out of use where people still stand. Two queries and one per column."""
    stages = list(Stage.objects.all())
    counts: dict[int | None, tuple[int, int]] = {
        row["stage_id"]: (row["people"], row["late"])
        for row in people.order_by()
        .values("stage_id")
        .annotate(people=Count("pk"), late=Count("pk", filter=overdue_q(now, stages)))
    }
    shown: list[Stage | None] = [stage for stage in stages if not stage.is_archived or stage.pk in counts]
    if None in counts:
        shown.insert(0, None)
    found = []
    for stage in shown:
        count, late = counts.get(stage.pk if stage else None, (0, 0))
        page = column_page(people, stage) if count else Page[Contact]([], None, None)
        found.append(Column(stage, count, late, page))
    return found


def column_page(people: QuerySet[Contact], stage: Stage | None, cursor: str = "") -> Page[Contact]:
    """A further page of one column."""
    rows = people.select_related("owner", "store")
    if stage is None:
        return keyset_page(rows.filter(stage__isnull=True), UNSTAGED_ORDERING, cursor, size=CARDS)
    return keyset_page(rows.filter(stage=stage), ORDERING, cursor, size=CARDS)


def overdue_by(people: QuerySet[Contact], column: str, now: datetime) -> list[dict[str, Any]]:
    """Overdue people by `store` or `owner`: how many, and since when the longest; the most first."""
    rows = people.filter(overdue_q(now)).order_by().values(column, f"{column}__name")
    counted = rows.annotate(people=Count("pk"), oldest=Min("stage_since")).order_by("-people", column)
    return [{"pk": row[column], "name": row[f"{column}__name"], **row} for row in counted]


# --- The customer list's filter ---------------------------------------------------------------------------------


def _apply(people: Any, value: str) -> Any:
    """`all`, or one stage's id."""
    limited = Stage.objects.filter(is_archived=False, max_days__isnull=False)
    if value != "all":
        limited = limited.filter(pk=int(value)) if value.isdecimal() and len(value) < 19 else limited.none()
    return people.filter(overdue_q(clock.now(), list(limited)))


def _options(_scope: DataScope) -> Sequence[listing.Option]:
    limited = Stage.objects.filter(is_archived=False, max_days__isnull=False)
    stages = [(str(stage.pk), str(stage.name)) for stage in limited]
    return [("all", str(_("全部超期"))), *stages] if stages else []


def _label(value: str) -> str | None:
    labels: Mapping[str, str] = dict(_options(EVERYTHING))
    return labels.get(value)


def register() -> None:
    """Put the filter into the customer list."""
    listing.register_filter(listing.Filter("overdue", _("停留超期"), 35, _apply, _options, _label))
