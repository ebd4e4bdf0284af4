"""接入向导: six steps in the console's order, each with its own check, ending green with the first sync."""

from typing import Any

from django.db.models import F
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access import MemberRequest, requires
from scrm.lib.errors import UserError
from wecom_bridge import queries
from wecom_bridge.models import Corp
from wecom_bridge.services import checklist, doctor, onboarding, verifyfiles
from wecom_bridge.views.doctor import as_checks, one_at_a_time

TEMPLATE = "wecom_bridge/onboarding.html"


@require_safe
@requires("bridge.manage")
def start(request: MemberRequest) -> HttpResponse:
    """The corp that is not synced yet, else the first; without one, what is to come."""
    corp = Corp.objects.order_by(F("last_synced_at").asc(nulls_first=True), "id").first()
    if corp is not None:
        return redirect("bridge_wizard", pk=corp.pk)
    return render(request, TEMPLATE, _context(request, None))


@require_safe
@requires("bridge.manage")
def wizard(request: MemberRequest, pk: int) -> HttpResponse:
    """The steps of one corp."""
    return render(request, TEMPLATE, _context(request, get_object_or_404(Corp, pk=pk)))


@require_POST
@requires("bridge.manage")
def check(request: MemberRequest, pk: int) -> HttpResponse:
    """检查: the step that was asked for, now."""
    corp = get_object_or_404(Corp, pk=pk)
    key = request.POST.get("step", "")
    if key not in {step.key for step in doctor.steps.STEPS}:
        raise Http404
    with one_at_a_time(corp, key):
        rows = doctor.examine(corp, only=[key])
    context = _context(request, corp) | {"checked": key, "checks": as_checks(rows)}
    return render(request, f"{TEMPLATE}#wizard" if request.headers.get("HX-Request") else TEMPLATE, context)


@require_POST
@requires("bridge.manage")
def upload(request: MemberRequest, pk: int) -> HttpResponse:
    """The console's WW_verify_….txt."""
    corp = get_object_or_404(Corp, pk=pk)
    file = request.FILES.get("file")
    if file is None:
        raise UserError(_("请先选择控制台给的 WW_verify_….txt 文件。"))
    verifyfiles.keep_file(str(file.name), file.read(verifyfiles.MAX_BYTES + 1), by=request.actor)
    return redirect("bridge_wizard", pk=corp.pk)


@require_POST
@requires("bridge.manage")
def link(request: MemberRequest, pk: int) -> HttpResponse:
    """Make a 接入清单 link, or take it back."""
    corp = get_object_or_404(Corp, pk=pk)
    current = checklist.current_link(corp)
    if request.POST.get("act") == "revoke":
        if current is not None:
            checklist.revoke_link(current, by=request.actor)
    else:
        checklist.make_link(corp, by=request.actor)
    return redirect(f"{reverse('bridge_wizard', kwargs={'pk': corp.pk})}#checklist")


def _context(request: MemberRequest, corp: Corp | None) -> dict[str, Any]:
    stages = onboarding.list_stages(corp)
    done = [stage.state == "done" for stage in stages]
    now = done.index(False) if False in done else len(done)
    states = ["done" if is_done else "now" if i == now else "next" for i, is_done in enumerate(done)]
    link_row = checklist.current_link(corp) if corp else None
    return {
        "corp": corp,
        "stages": stages,
        "steps": [{"label": stage.step.title, "state": state} for stage, state in zip(stages, states, strict=True)],
        "is_ready": onboarding.is_ready(stages),
        "files": queries.list_verify_files(),
        "link": link_row,
        "link_url": request.build_absolute_uri(reverse("bridge_checklist", args=[checklist.token_of(link_row)]))
        if link_row
        else "",
    }
