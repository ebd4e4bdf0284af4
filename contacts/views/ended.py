"""已删除与回流: relations that ended, those that came back, whom to win back, and the alarm on guides who delete."""

from datetime import UTC, date, timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from accounts.scope import data_scope
from contacts import listing
from contacts.ended import (
    LISTS,
    ORDERING,
    Narrowing,
    count_by_tab,
    events_of,
    friends_left,
    kept_days,
    root_of,
    roots,
    visible_alarms,
)
from contacts.models import DeletionAlarm
from contacts.queries import visible_stores
from contacts.services import ended_exports, freezing
from contacts.services.alarms import day_bounds, handle_alarm
from contacts.services.opt_out import is_opted_out
from contacts.views.exports import begun
from scrm.lib import clock
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page, pager
from tenants.context import current_tenant

SPANS = (7, 30, 90)  # every tab is counted on every visit
DEFAULT_SPAN = 30
FIRST_DAY = date(2010, 1, 1)  # years before WeCom: a day beyond the calendar's ends would break
TABS = (*LISTS, "alarms")
LABELS: dict[str, Any] = {**LISTS, "alarms": gettext_lazy("异常删除")}
# Columns of the customer list that this list tells in its own words; those of other apps (spending, tags) are shown as they are.
OWN_COLUMNS = {"stage", "owner", "added", "relation"}


@require_GET
@requires("contacts.view")
def ended_list(request: MemberRequest) -> HttpResponse:
    """One tab of the page, the counts of all under the same filters."""
    tab = request.GET.get("tab", "customer")
    if tab not in TABS:
        raise Http404
    wanted = _narrowing(request)
    alarms = visible_alarms(request.scope)
    counts = count_by_tab(request.scope, wanted) | {"alarms": alarms.filter(handled_at__isnull=True).count()}
    context = {
        "tab": tab,
        "tabs": _tabs(request, tab, counts),
        "spans": [(days, _("近 %(days)d 天") % {"days": days}) for days in SPANS],
        "span": _span(request),
        "day": _day(request),
        "stores": visible_stores(request.scope).order_by("name"),
        "query": request.GET.urlencode(),
        "can_export": "contacts.export" in request.permissions and tab in LISTS,
        "is_filtered": any(request.GET.get(key) for key in ("store", "guide", "member", "day")),
        "as_of": clock.now(),
    }
    shown = _alarm_rows(request, alarms) if tab == "alarms" else _event_rows(request, tab, wanted)
    return render(request, "contacts/ended_list.html", {"total": counts[tab]} | context | shown)


@require_POST
@requires("contacts.export")
def ended_export(request: MemberRequest) -> HttpResponse:
    """A file of one tab, under the filters of the page."""
    tab = request.GET.get("tab", "customer")
    if tab not in LISTS:
        raise Http404
    file_format = request.POST.get("format", "csv")
    wanted = _narrowing(request)
    return begun(
        request,
        lambda: ended_exports.request_export(
            tab, wanted, request.scope, by=request.actor, permissions=request.permissions, file_format=file_format
        ),
    )


@require_POST
@requires("contacts.edit")
def alarm_handled(request: MemberRequest, pk: int) -> HttpResponse:
    """Somebody other than the guide herself has spoken with her."""
    try:
        handle_alarm(visible_alarms(request.scope), pk, by=request.actor)
    except DeletionAlarm.DoesNotExist as error:
        raise Http404 from error
    return redirect(f"{reverse('contacts:ended_list')}?tab=alarms")


@require_POST
@requires("freezes.lift")
def freeze_lift(request: MemberRequest, pk: int) -> HttpResponse:
    """解除冻结, by somebody other than the guide herself, with a reason."""
    try:
        freezing.lift(visible_alarms(request.scope), pk, request.POST.get("reason", ""), by=request.actor)
    except DeletionAlarm.DoesNotExist as error:
        raise Http404 from error
    messages.success(request, _("已解除冻结,原因已记入操作记录。"))
    return redirect(f"{reverse('contacts:ended_list')}?tab=alarms")


def _narrowing(request: MemberRequest) -> Narrowing:
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    day, given = _day(request), request.GET.get("day", "").strip()
    first, last = (day, day) if day else (today - timedelta(days=_span(request) - 1), today)
    since, until = day_bounds(first, last)
    numbers = {key: request.GET.get(key, "").strip() for key in ("store", "member")}
    readable = all(not text or whole_number(text) is not None for text in numbers.values())
    return Narrowing(
        since=since.astimezone(UTC),
        until=until.astimezone(UTC),
        store_id=whole_number(numbers["store"]),
        member_id=whole_number(numbers["member"]),
        guide=request.GET.get("guide", "").strip()[:40],
        none=not readable or (bool(given) and day is None),
    )


def _span(request: MemberRequest) -> int:
    days = whole_number(request.GET.get("days", ""))
    return days if days in SPANS else DEFAULT_SPAN


def _day(request: MemberRequest) -> date | None:
    try:
        day = date.fromisoformat(request.GET.get("day", "").strip())
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= clock.now().date() + timedelta(days=1) else None


def _tabs(request: MemberRequest, tab: str, counts: dict[str, int]) -> list[dict[str, Any]]:
    query = request.GET.copy()
    query.pop("cursor", None)
    found = []
    for key in TABS:
        query["tab"] = key
        found.append({"label": LABELS[key], "url": f"?{query.urlencode()}", "active": key == tab, "count": counts[key]})
    return found


def _event_rows(request: MemberRequest, tab: str, wanted: Narrowing) -> dict[str, Any]:
    page = keyset_page(events_of(tab, request.scope, wanted), ORDERING, request.GET.get("cursor", ""))
    people = roots(page.rows)
    friends = friends_left(people)
    columns = [one for one in listing.columns(request.permissions) if one.key not in OWN_COLUMNS]
    loaded = [(one, one.load(people)) for one in columns] if tab == "win_back" else []
    now = clock.now()
    rows = []
    for event in page.rows:
        person = root_of(event)
        if person is None:
            continue
        rows.append(
            {
                "event": event,
                "person": person,
                "friend": friends.get(person.pk),
                "is_opted_out": is_opted_out(person, now),
                "kept_days": kept_days(event),
                "cells": [{"column": column, "value": values.get(person.pk)} for column, values in loaded],
            }
        )
    return {"rows": rows, "columns": [column for column, _values in loaded], **pager(request, page)}


def _alarm_rows(request: MemberRequest, alarms: Any) -> dict[str, Any]:
    shown = alarms.select_related("member__account", "store")
    page = keyset_page(shown, ("-day", "-pk"), request.GET.get("cursor", ""))
    lifted = freezing.reasons_of(page.rows)
    liftable = data_scope(request.user, freezing.LIFT, grants=request.grants)
    mine = set(visible_alarms(liftable).filter(pk__in=[alarm.pk for alarm in page.rows]).values_list("pk", flat=True))
    for alarm in page.rows:
        alarm.has_login = bool(alarm.frozen_user_id or getattr(alarm.member, "account", None))
        alarm.lifting, alarm.can_lift = lifted.get(alarm.pk), alarm.pk in mine
    return {
        "rows": page.rows,
        "total": alarms.count(),
        "can_handle": "contacts.edit" in request.permissions,
        **pager(request, page),
    }
