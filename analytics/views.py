"""Reports: access → choice → query layer → render."""

from datetime import timedelta
from typing import Any

from django.core.paginator import Paginator
from django.db.models import F, Q, QuerySet, Sum
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts import home
from accounts.access import MemberRequest, require_also, requires
from analytics import metrics, queries, reports
from analytics.definitions import PUSH_FILTERS, WINDOWED, WINDOWS, money_rows, push_rows
from analytics.forms import FunnelForm, ReportForm, SpanForm
from analytics.services.days import day_bounds, rows_of
from campaigns.models import Push
from contacts.models import Contact, Region
from contacts.queries import visible_contacts, visible_members, visible_stores
from contacts.timeline import kind_of
from scrm.lib import clock
from scrm.lib.numbers import whole_number
from tenants.context import current_tenant

PAGE = 50
RECENT = timedelta(days=90)
DEFAULT_WINDOW = 7


@requires(None)
def home_page(request: MemberRequest) -> HttpResponse:
    """Guides start at 今日; everyone else at what needs her, then the figures."""
    if "today.use" in request.permissions and "reports.view" not in request.permissions:
        return redirect("/today/")
    steps = [
        {"label": step.label, "url": reverse(step.url_name), "done": False}
        for step in home.steps_for(request.permissions)
    ]
    return render(request, "analytics/home.html", {"panels": home.panels_for(request), "steps": steps})


@requires("reports.view")
def lifecycle(request: MemberRequest) -> HttpResponse:
    form = ReportForm(request.GET, **_offers(request))
    choice = form.choice()
    people = _people(request, choice.place.as_query())
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    report = reports.lifecycle(people, choice, request.scope, today)
    return render(request, "analytics/lifecycle.html", {"form": form, **report, **_freshness()})


@requires("reports.view")
def lifecycle_rows(request: MemberRequest) -> HttpResponse:
    """The people behind a number of the lifecycle report."""
    require_also(request, "contacts.view")
    people = _people(request, request.GET)
    page = Paginator(people.select_related("stage", "owner", "store").order_by("-last_added_at", "-id"), PAGE)
    return render(request, "analytics/lifecycle_rows.html", {"page": page.get_page(request.GET.get("page"))})


@requires("reports.view")
def funnel(request: MemberRequest) -> HttpResponse:
    pushes = _recent_pushes()
    form = FunnelForm(request.GET, pushes=queries.list_pushes(), **_offers(request))
    choice = form.choice()
    push_ids = [choice.push.pk] if choice.push else list(pushes.values_list("pk", flat=True))
    report = reports.funnel(push_ids, choice, request.scope)
    context = {"form": form, "choice": choice, "push_count": len(push_ids), **report, **_freshness()}
    return render(request, "analytics/funnel.html", context)


@requires("reports.view")
def funnel_rows(request: MemberRequest, metric: str) -> HttpResponse:
    """The deliveries, or the orders, behind a number of the funnel, by the same definition that counted them."""
    if metric not in PUSH_FILTERS and metric not in WINDOWED:
        raise Http404
    is_money = metric in ("orders", "revenue")
    require_also(request, "contacts.view", *(["orders.view"] if is_money else []))
    push = request.GET.get("push", "")
    chosen = whole_number(push)
    push_ids = [chosen] if chosen is not None else list(_recent_pushes().values_list("pk", flat=True))
    given = whole_number(request.GET.get("window"))
    window = given if given in WINDOWS else DEFAULT_WINDOW
    place = queries.facts_in_scope(request.scope) & _place_filter(request.GET, "region_id", "store_id", "member_id")
    context: dict[str, Any] = {"metric": metrics.get(f"push.{metric}")}
    if is_money:
        page = Paginator(money_rows(push_ids, window, place), PAGE).get_page(request.GET.get("page"))
        context |= {"page": page, "rows": queries.sales(page.object_list)}
        return render(request, "analytics/funnel_orders.html", context)
    rows = push_rows(push_ids, metric, window).filter(place)
    ordered = rows.select_related("contact", "group", "member", "store", "push").order_by("-id")
    context["page"] = Paginator(ordered, PAGE).get_page(request.GET.get("page"))
    return render(request, "analytics/funnel_rows.html", context)


@requires("reports.view")
def day_rows(request: MemberRequest, metric: str) -> HttpResponse:
    """The facts behind a day metric over a span of tenant days."""
    key = f"day.{metric}"
    if key not in metrics.METRICS:
        raise Http404
    is_order = key in ("day.orders", "day.revenue")
    require_also(request, "contacts.view", *(["orders.view"] if is_order else []))
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    form = SpanForm(request.GET, today=today)
    first, last = form.span()
    rows = rows_of(key, day_bounds(first)[0], day_bounds(last)[1]).filter(queries.facts_in_scope(request.scope))
    order = "-ordered_at" if is_order else "-occurred_at"
    page = Paginator(rows.select_related("contact", "member", "store").order_by(order, "-id"), PAGE)
    total = rows.aggregate(sum=Sum(F("total_minor") - F("refunded_minor")))["sum"] or 0 if is_order else None
    shown = page.get_page(request.GET.get("page"))
    if not is_order:
        for row in shown:
            row.label = kind_of(row.kind).label
    context = {"page": shown, "metric": metrics.get(key), "form": form, "is_order": is_order, "sum": total}
    return render(request, "analytics/day_rows.html", context)


@requires("reports.view")
def metric_list(request: MemberRequest) -> HttpResponse:
    return render(request, "analytics/metrics.html", {"metrics": metrics.METRICS.values()})


def _recent_pushes() -> QuerySet[Push]:
    return queries.list_pushes((clock.now() - RECENT).date())


def _offers(request: MemberRequest) -> dict[str, Any]:
    stores = visible_stores(request.scope)
    regions = Region.objects.filter(pk__in=stores.order_by().values("region_id"))
    return {"regions": regions.order_by("order", "id"), "stores": stores, "members": visible_members(request.scope)}


def _people(request: MemberRequest, params: Any) -> QuerySet[Contact]:
    people = visible_contacts(request.scope).filter(active_follows__gt=0)
    people = people.filter(_place_filter(params, "store__region_id", "store_id", "owner_id"))
    stage = str(params.get("stage", ""))
    if stage == "none":
        return people.filter(stage__isnull=True)
    chosen = whole_number(stage)
    return people.filter(stage_id=chosen) if chosen is not None else people


def _place_filter(params: Any, region: str, store: str, member: str) -> Q:
    """`region`, `store`, `guide` of a query string as a condition; `none` means without one."""
    chosen = Q()
    for name, column in (("region", region), ("store", store), ("guide", member)):
        value = str(params.get(name, ""))
        if value == "none":
            chosen &= Q(**{f"{column}__isnull": True})
        elif (pk := whole_number(value)) is not None:
            chosen &= Q(**{column: pk})
    return chosen


def _freshness() -> dict[str, Any]:
    """数据截至, what is still being recomputed, and whether totals and rows agree."""
    return {"as_of": clock.now(), "pending": queries.pending_buckets(), "check": queries.latest_check()}
