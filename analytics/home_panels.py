"""What analytics puts on the home page: the week's figures, and the first steps of a merchant who has just begun."""

from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import home
from accounts.access import MemberRequest
from accounts.scope import data_scope
from analytics import metrics, queries
from analytics.queries import Place
from contacts.models import Contact, Store
from scrm.lib import clock
from scrm.ui import numbers
from scrm.ui.charts import Chart, Series
from tenants.context import current_tenant
from wecom_bridge.models import Corp

SPAN = 7
TREND_DAYS = 28
FIGURES = ("day.added", "day.ended", "day.orders", "day.revenue")
GOOD_WHEN_FEWER = {"day.ended"}


def register() -> None:
    """Called by the app's registry."""
    home.register_panel(home.HomePanel("figures", 10, "reports.view", "analytics/_home_figures.html", figures))
    home.register_panel(home.HomePanel("trend", 30, "reports.view", "analytics/_home_trend.html", trend))
    home.register_step(
        home.FirstStep("connect", 10, "bridge.manage", gettext_lazy("接入企业微信"), "bridge_home", Corp.objects.exists)
    )
    home.register_step(
        home.FirstStep(
            "stores", 20, "org.edit", gettext_lazy("建门店,对应到部门"), "contacts:store_list", Store.objects.exists
        )
    )
    home.register_step(
        home.FirstStep(
            "sync", 30, "bridge.manage", gettext_lazy("同步客户和客户群"), "bridge_home", Contact.objects.exists
        )
    )


def figures(request: MemberRequest) -> dict[str, Any] | None:
    """The last seven whole tenant days against the seven before, each figure opening into its rows; today's beside it, since a
    day that is not over compares with none. None before there are people."""
    if not Contact.objects.exists():
        return None
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    start, before = today - timedelta(days=SPAN), today - timedelta(days=2 * SPAN)
    scope = data_scope(request.user, "reports.view")
    stats = []
    for key in FIGURES:
        by_day = queries.day_series(key, scope, Place(), before, today)
        now = sum(value for day, value in by_day.items() if start <= day < today)
        then = sum(value for day, value in by_day.items() if day < start)
        url = _rows_url(key, start, today - timedelta(days=1))
        stats.append(_stat(key, now, then, by_day.get(today, 0), url))
    return {"stats": stats, "as_of": clock.now()}


def trend(request: MemberRequest) -> dict[str, Any] | None:
    """Relations begun and ended per whole tenant day, four weeks back. None before there are people."""
    if not Contact.objects.exists():
        return None
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    days = [today - timedelta(days=back) for back in range(TREND_DAYS, 0, -1)]
    scope = data_scope(request.user, "reports.view")
    series = []
    for key in ("day.added", "day.ended"):
        by_day = queries.day_series(key, scope, Place(), days[0], days[-1])
        links = [_rows_url(key, day, day) if by_day.get(day) else None for day in days]
        series.append(Series(str(metrics.get(key).name), [by_day.get(day, 0) for day in days], links))
    chart = Chart(
        key="trend",
        kind="line",
        label=_("好友关系的新增与结束"),
        category_label=_("日期"),
        categories=[f"{day:%m-%d}" for day in days],
        series=series,
    )
    return {"chart": chart}


def _rows_url(key: str, start: date, end: date) -> str:
    query = urlencode({"start": start.isoformat(), "end": end.isoformat()})
    return f"{reverse('analytics:day_rows', args=[key.removeprefix('day.')])}?{query}"


def _stat(key: str, now: int, then: int, today: int, url: str) -> dict[str, Any]:
    metric = metrics.get(key)
    change = (now - then) / then if then else None
    good = None
    if change:
        good = "good" if (change > 0) != (key in GOOD_WHEN_FEWER) else "bad"
    if then and not change:
        note = _("与前 7 天持平")
    else:
        note = _("比前 7 天") if then else _("前 7 天为 0")
    return {
        "label": metric.name,
        "info": metric.definition,
        "value": _shown(metric, now),
        "url": url if now else "",
        "delta": numbers.percent(abs(change)) if change else "",
        "delta_up": bool(change and change > 0),
        "delta_tone": good,
        "note": note + _(",今天已有 %(n)s") % {"n": _shown(metric, today)},
    }


def _shown(metric: metrics.Metric, value: int) -> str:
    return numbers.money(value, current_tenant().currency) if metric.unit == "money" else numbers.number(value)
