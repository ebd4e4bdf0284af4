"""Putting a report together: charts and tables from the query layer, with the link that opens each number's rows."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.scope import DataScope
from analytics import metrics, queries
from analytics.forms import Choice
from contacts.models import Contact
from scrm.ui.charts import Chart, Series

FUNNEL_COLUMNS = (
    "targeted", "excluded", "holdout", "planned", "agreed", "confirmed", "sent", "failed", "unfinished", "unknown", "open",
    "buyers",
)  # fmt: skip
HISTORY_WEEKS = 13


def rows_url(metric: str, params: Mapping[str, Any]) -> str:
    """Where the rows behind a push metric are listed."""
    chosen = {key: value for key, value in params.items() if value}
    return f"{reverse('analytics:funnel_rows', args=[metric])}?{urlencode(chosen)}"


def funnel(push_ids: list[int], choice: Choice, scope: DataScope) -> dict[str, Any]:
    """The conversion funnel: a chart of its five steps, and a table by place whose every number opens into its rows."""
    rows, totals = queries.push_funnel(
        push_ids, scope=scope, place=choice.place, grouping=choice.grouping, window_days=choice.window_days
    )
    base = {"push": choice.push.pk if choice.push else "", "window": choice.window_days, **choice.place.as_query()}
    return {
        "chart": _funnel_chart(totals, base),
        "columns": [metrics.get(f"push.{key}") for key in FUNNEL_COLUMNS],
        "rows": [
            {
                "name": row.name,
                "cells": _cells(row.values, {**base, choice.grouping: row.key or "none"}),
                "values": row.values,
            }
            for row in rows
        ],
        "totals": _cells(totals, base),
        "revenue": totals.get("revenue", 0),
        "order_count": totals.get("orders", 0),
        "orders_url": rows_url("orders", base),
        "reach": {key: totals.get(key, 0) for key in FUNNEL_COLUMNS},
    }


def _cells(values: Mapping[str, int], params: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"value": values.get(key, 0), "url": rows_url(key, params)} for key in FUNNEL_COLUMNS]


def _funnel_chart(totals: Mapping[str, int], params: Mapping[str, Any]) -> Chart:
    steps = queries.FUNNEL
    values = [totals.get(key, 0) for key in steps]
    return Chart(
        key="funnel",
        kind="hbar",
        label=_("转化漏斗"),
        category_label=_("步骤"),
        categories=[str(metrics.get(f"push.{key}").name) for key in steps],
        series=[Series(_("人数"), values, [rows_url(key, params) for key in steps])],
    )


def lifecycle(people: QuerySet[Contact], choice: Choice, scope: DataScope, today: date) -> dict[str, Any]:
    """People per stage now, by place, and the stored counts of the last weeks."""
    stages = queries.stages()
    counts = queries.stage_counts_now(people, choice.grouping)
    names = queries.place_names(choice.grouping, {row["place"] or 0 for row in counts})
    table: dict[int, dict[int, int]] = {}
    for row in counts:
        table.setdefault(row["place"] or 0, {})[row["stage_id"] or 0] = row["people"]
    columns = [*((stage.pk, stage.name) for stage in stages), (0, _("未分阶段"))]
    sums = {pk: sum(cells.get(pk, 0) for cells in table.values()) for pk, _name in columns}
    if not sums[0]:
        columns = columns[:-1]
    return {
        "stage_chart": Chart(
            key="stages", kind="bar", label=_("各阶段人数"), category_label=_("阶段"),
            categories=[name for _pk, name in columns],
            series=[Series(_("人数"), [sums[pk] for pk, _n in columns], [_people_url(choice, stage=pk) for pk, _n in columns])],
        ),
        "history_chart": _history(choice, scope, today),
        "columns": [name for _pk, name in columns],
        "rows": _stage_rows(table, names, columns, choice),
        "totals": [{"value": sums[pk], "url": _people_url(choice, stage=pk)} for pk, _name in columns],
        "people": sum(sums.values()),
    }  # fmt: skip


def _stage_rows(
    table: dict[int, dict[int, int]], names: Mapping[int, str], columns: list[tuple[int, str]], choice: Choice
) -> list[dict[str, Any]]:
    rows = []
    for place, cells in sorted(table.items(), key=lambda item: -sum(item[1].values())):
        at = {choice.grouping: place or "none"}
        rows.append(
            {
                "name": names.get(place, _("未归属")),
                "total": {"value": sum(cells.values()), "url": _people_url(choice, **at)},
                "cells": [
                    {"value": cells.get(pk, 0), "url": _people_url(choice, stage=pk, **at)} for pk, _name in columns
                ],
            }
        )
    return rows


def _people_url(choice: Choice, **params: Any) -> str:
    chosen = {**choice.place.as_query(), **params}
    if chosen.get("stage") == 0:
        chosen["stage"] = "none"
    return f"{reverse('analytics:lifecycle_rows')}?{urlencode({key: value for key, value in chosen.items() if value})}"


def _history(choice: Choice, scope: DataScope, today: date) -> Chart | None:
    """Stored counts at the end of each of the last weeks; None before there are any."""
    days = [today - timedelta(days=1 + 7 * back) for back in reversed(range(HISTORY_WEEKS))]
    stored = queries.stage_history(scope, choice.place, days)
    days = [day for day in days if any(key[0] == day for key in stored)]
    if not days:
        return None
    return Chart(
        key="stage_history",
        kind="stacked",
        label=_("各阶段人数变化"),
        category_label=_("日期"),
        categories=[f"{day:%m-%d}" for day in days],
        series=[Series(stage.name, [stored.get((day, stage.pk), 0) for day in days]) for stage in queries.stages()],
    )
