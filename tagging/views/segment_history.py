"""A segment's sizes by day, and who came and went between two of them."""

from datetime import date, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.access import MemberRequest, requires
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page, pager
from scrm.ui.charts import Chart, Series
from tagging.models import Segment
from tagging.services.segment_history import segment_diff, size_history
from tenants.context import current_tenant

DAYS = 90


@require_GET
@requires("segments.view")
def segment_history(request: MemberRequest, pk: int) -> HttpResponse:
    """?from=2026-11-01&to=2026-11-08&side=went: who came, or went, from the end of one day to the end of the other."""
    segment = get_object_or_404(Segment, pk=pk)
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    since, until, error = _days(request, today)
    context: dict[str, Any] = {
        "segment": segment, "chart": _chart(segment, today), "since": since, "until": until, "today": today, "error": error,
        "sees_all": request.scope.sees_all,
    }  # fmt: skip
    if not error:
        try:
            context |= _difference(request, segment, since, until)
        except UserError as refused:
            context["error"] = str(refused.message)
    status = 422 if context["error"] else 200
    return render(request, "tagging/segment_history.html", context, status=status)


def _difference(request: MemberRequest, segment: Segment, since: date, until: date) -> dict[str, Any]:
    found = segment_diff(segment, since, until)
    visible = visible_contacts(request.scope).values("pk")
    came, went = found.came.filter(pk__in=visible), found.went.filter(pk__in=visible)
    side = "went" if request.GET.get("side") == "went" else "came"
    shown = went if side == "went" else came
    page = keyset_page(shown.select_related("stage", "owner"), ("-pk",), request.GET.get("cursor", ""))
    kept = f"?from={since.isoformat()}&to={until.isoformat()}"
    counts = {"came": came.count(), "went": went.count()}
    tabs = [
        {"label": label, "url": f"{kept}&side={key}", "active": key == side, "count": counts[key]}
        for key, label in (("came", _("新进入")), ("went", _("已离开")))
    ]
    return {"tabs": tabs, "people": page.rows, "total": counts[side], **pager(request, page)}


def _days(request: MemberRequest, today: date) -> tuple[date, date, str]:
    """The days asked for, by default the last week's ends; and what is wrong with them."""
    since, until = today - timedelta(days=7), today
    try:
        since = date.fromisoformat(request.GET.get("from") or since.isoformat())
        until = date.fromisoformat(request.GET.get("to") or until.isoformat())
    except ValueError:
        return since, until, _("日期写作 2026-01-31 这样,并且要真有这一天")
    if not 2000 <= since.year <= 2100 or not 2000 <= until.year <= 2100:
        return today - timedelta(days=7), today, _("日期要在 2000 到 2100 年之间")
    return since, until, ""


def _chart(segment: Segment, today: date) -> Chart | None:
    """The size of each of the last days; None before two of them have one: a single point is no line."""
    rows = size_history(segment, today - timedelta(days=DAYS - 1), today)
    known = [(day, size) for day, size in rows if size is not None]
    if len(known) < 2:
        return None
    return Chart(
        "segment-size", "line", _("人数"), [f"{day:%m-%d}" for day, _size in known],
        [Series(_("人数"), [size for _day, size in known])], category_label=_("日期"), unit=_("人"),
    )  # fmt: skip
