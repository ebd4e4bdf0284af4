"""接入体检 of a corp, as a page."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.access import MemberRequest, requires
from scrm.lib.errors import TryLater
from wecom_bridge import queries
from wecom_bridge.models import Corp, DoctorFinding
from wecom_bridge.services import doctor
from wecom_bridge.services.doctor.finding import Row

PAUSE_SECONDS = 5
LONGEST_SECONDS = 90  # an examination that was cut off holds its place no longer


def as_checks(rows: list[Row]) -> list[dict[str, str]]:
    """Rows of ui/checks."""
    return [
        {"tone": str(row.finding.state), "text": row.label, "saw": row.finding.saw, "why": row.finding.why, "fix": row.finding.fix}
        for row in rows
    ]  # fmt: skip


@contextmanager
def one_at_a_time(corp: Corp, what: str = "all") -> Iterator[None]:
    """One examination of the same at a time, and a moment between two: each holds a web worker. Raises TryLater."""
    key = f"doctor:{corp.pk}:{what}"
    if not cache.add(key, 1, LONGEST_SECONDS):
        raise TryLater(_("正在检查,或刚刚检查过。请等几秒再检查。"))
    try:
        yield
    finally:
        cache.set(key, 1, PAUSE_SECONDS)


@require_http_methods(["GET", "POST"])
@requires("bridge.view")
def doctor_page(request: MemberRequest, pk: int) -> HttpResponse:
    """GET: what was last found. POST: examine now."""
    corp = get_object_or_404(Corp, pk=pk)
    rows: list[Row] = []
    if request.method == "POST":
        with one_at_a_time(corp):
            rows = doctor.examine(corp)
    last = queries.list_findings(corp)
    checks = as_checks(rows) if rows else _remembered(last)
    context = {
        "corp": corp,
        "checks": checks,
        "summary": _sum_up(checks),
        "is_fresh": bool(rows),
        "checked_at": max((finding.checked_at for finding in last.values()), default=None),
    }
    template = "wecom_bridge/doctor.html"
    return render(request, f"{template}#findings" if request.headers.get("HX-Request") else template, context)


def _remembered(last: dict[str, DoctorFinding]) -> list[dict[str, str]]:
    """States alone, under their labels: sentences are made afresh by an examination, in the language of who asks."""
    checks = sorted(doctor.all_checks(), key=lambda check: doctor.steps.ORDER.index(check.step))
    return [
        {"tone": last[check.key].state, "text": str(check.label), "saw": last[check.key].get_state_display()}
        for check in checks
        if check.key in last
    ]


def _sum_up(checks: list[dict[str, str]]) -> list[tuple[str, str]]:
    """(how many in words, tone of the pill) per state, the worst first: one bad row hides easily among twenty."""
    tones = [check["tone"] for check in checks]
    pills = {"bad": "bad", "warn": "warn", "unknown": "idle", "ok": "ok"}
    return [
        (f"{DoctorFinding.State(state).label} {tones.count(state)}", tone)
        for state, tone in pills.items()
        if state in tones
    ]
