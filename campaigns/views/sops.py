"""SOP: the list, the day list with its preview, 在跑客户."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, require_also, requires
from campaigns.forms.sops import EXITS, SopForm, StepFormSet, steps_of
from campaigns.models import Enrollment, Sop, SopVersion
from campaigns.queries import broadcasts as pushes
from campaigns.queries import sops as queries
from campaigns.rendering import allowed_variables, preview, sample_values
from campaigns.services import sops
from campaigns.services.sops import Plan
from campaigns.triggers import find_trigger
from conditions.render import in_words
from scrm.lib.errors import NotAllowed, UserError

TONES = {"draft": "idle", "on": "run", "paused": "warn", "off": "bad"}


def get_sop_or_404(request: MemberRequest, pk: int) -> Sop:
    """A SOP the request's scope sees."""
    return get_object_or_404(queries.visible_sops(request.scope), pk=pk)


@requires("sops.view")
def sop_list(request: MemberRequest) -> HttpResponse:
    rows = list(queries.visible_sops(request.scope))
    ids = [row.pk for row in rows]
    versions, counts = queries.latest_versions(ids), queries.enrollment_counts(ids, request.scope)
    lines = [
        {"row": row, "version": versions.get(row.pk), "tone": TONES[row.state], "counts": counts.get(row.pk, {})}
        for row in rows
    ]
    return render(request, "campaigns/sop_list.html", {"lines": lines, "can_edit": "sops.edit" in request.permissions})


@requires("sops.view")
def sop_detail(request: MemberRequest, pk: int) -> HttpResponse:
    sop = get_sop_or_404(request, pk)
    version = queries.latest_versions([sop.pk])[sop.pk]
    counts = queries.step_counts(version)
    steps = [
        {"step": step, "text": preview(step.sending.content.text), "counts": counts.get(step.pk, {})}
        for step in version.steps.select_related("content_version__content")
    ]
    recent = list(queries.pushes_of(sop.versions.values_list("pk", flat=True)))
    progress = pushes.progress_of(recent, request.scope)
    context = {
        "sop": sop,
        "version": version,
        "steps": steps,
        "tone": TONES[sop.state],
        "can_pause": sop.state == "on",
        "can_resume": sop.state == "paused",
        "sample_sender": sample_values()["导购名"],
        "trigger": find_trigger(version.trigger).label,
        "exit": in_words(version.exit_tree) if version.exit_tree else "",
        "pending": queries.waiting_request(version),
        "people": queries.enrollment_counts([sop.pk], request.scope).get(sop.pk, {}),
        "pushes": [(push, progress[push.pk]) for push in recent],
        "can_edit": "sops.edit" in request.permissions and queries.sees_whole(sop, request.scope),
        "can_approve": "broadcasts.approve" in request.permissions,
    }
    return render(request, "campaigns/sop_detail.html", context)


@requires("sops.view")
def sop_people(request: MemberRequest, pk: int) -> HttpResponse:
    require_also(request, "contacts.view")
    sop = get_sop_or_404(request, pk)
    state = request.GET.get("state", Enrollment.State.RUNNING)
    rows = queries.running_customers(sop, request.scope, state if state in Enrollment.State.values else "")
    page = Paginator(rows, 50).get_page(request.GET.get("page"))
    tabs = [
        {"label": label, "url": f"?state={value}", "active": value == state}
        for value, label in Enrollment.State.choices
    ]
    return render(request, "campaigns/sop_people.html", {"sop": sop, "page": page, "tabs": tabs})


def _get_changeable(request: MemberRequest, pk: int) -> Sop:
    """A SOP she may change. Raises Http404 for one she does not see, NotAllowed for one that reaches beyond her scope."""
    sop = get_sop_or_404(request, pk)
    if not queries.sees_whole(sop, request.scope):
        raise NotAllowed(_("这个 SOP 还涉及您看不到的门店,请由看得到全部门店的人修改。"), code="scope")
    return sop


@requires("sops.edit")
def sop_edit(request: MemberRequest, pk: int | None = None) -> HttpResponse:
    sop = _get_changeable(request, pk) if pk else None
    version = queries.latest_versions([sop.pk])[sop.pk] if sop else None
    form = SopForm(request.POST or None, initial=_initial(version), is_new=sop is None)
    days = StepFormSet(request.POST or None, initial=_days(version), prefix="steps")
    if request.method == "POST" and form.is_valid() and days.is_valid():
        plan = _plan(form, days, request, version)
        try:
            if sop is None:
                saved = sops.create_sop(form.cleaned_data["name"], plan, by=request.actor)
            else:
                saved = sops.save_version(sop.pk, plan, by=request.actor)
        except UserError as error:
            form.add_error(next((name for name in error.fields if name in form.fields), None), error.message)
        else:
            messages.success(request, _("已保存为第 %(n)d 版,提交审批后生效。") % {"n": saved.number})
            return redirect("campaigns:sop_detail", saved.sop_id)
    has_errors = form.errors or (days.is_bound and days.total_error_count())
    context = {"form": form, "days": days, "sop": sop, "variables": allowed_variables("mass")}
    return render(request, "campaigns/sop_edit.html", context, status=422 if has_errors else 200)


def _plan(form: SopForm, days: Any, request: MemberRequest, version: SopVersion | None) -> Plan:
    """What was typed; conditions that this page cannot show stay as they are."""
    data = form.cleaned_data
    chosen = EXITS.get(data["exit"])
    kept = version.exit_tree if version and version.exit_tree not in (None, *EXITS.values()) else None
    return Plan(
        steps=steps_of(days),
        within=request.scope,
        trigger=data["trigger"],
        entry_tree=version.entry_tree if version else None,
        exit_tree=chosen or kept,
        holdout_percent=data["holdout_percent"],
    )


def _initial(version: SopVersion | None) -> dict[str, Any]:
    if version is None:
        return {"trigger": "follow_added", "holdout_percent": 0}
    chosen = next((key for key, tree in EXITS.items() if tree == version.exit_tree), "")
    return {
        "name": version.sop.name, "trigger": version.trigger, "exit": chosen, "holdout_percent": version.holdout_percent,
    }  # fmt: skip


def _days(version: SopVersion | None) -> list[dict[str, Any]]:
    if version is None:
        return []
    return [
        {
            "day": sending.day,
            "slot": f"{sending.slot:%H:%M}",
            "text": sending.content.text,
            "message_class": sending.content.content.message_class,
        }
        for sending in (step.sending for step in version.steps.select_related("content_version__content"))
    ]


@require_POST
@requires("sops.edit")
def sop_submit(request: MemberRequest, pk: int) -> HttpResponse:
    sop = _get_changeable(request, pk)
    sops.submit_version(queries.latest_versions([sop.pk])[sop.pk].pk, by=request.actor)
    messages.success(request, _("已提交审批。"))
    return redirect("campaigns:sop_detail", pk)


@require_POST
@requires("sops.edit")
def sop_pause(request: MemberRequest, pk: int) -> HttpResponse:
    sop = _get_changeable(request, pk)
    sops.set_running(sop.pk, running=request.POST.get("running") == "1", by=request.actor)
    return redirect("campaigns:sop_detail", pk)
