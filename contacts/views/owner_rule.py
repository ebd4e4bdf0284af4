"""归属规则: which guide a customer is credited to by default, how many that would change, and applying it."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from contacts.policy import BASES, RULES, people_policy
from contacts.services import owner_rules
from contacts.views.exports import job_status
from tenants.ledger.models import Job

KINDS = {"count": owner_rules.COUNT, "apply": owner_rules.APPLY}


@require_http_methods(["GET", "POST"])
@requires("ownership.edit")
def owner_rule(request: MemberRequest) -> HttpResponse:
    """Choose the rule. Nobody is moved by that."""
    if request.method == "POST":
        owner_rules.save_rule(
            request.POST.get("kind", ""), request.POST.get("basis", ""), tells_clashes=request.POST.get("tells_clashes") == "on",
            by=request.actor,
        )  # fmt: skip
        messages.success(request, _("已保存。现有客户的归属没有变,要按新规则整理,请在下面先算有多少位会变。"))
        return redirect("contacts:owner_rule")
    policy, job = people_policy(), owner_rules.last_job()
    context = {
        "policy": policy,
        "rules": RULES.items(),
        "bases": BASES.items(),
        "job": _status(job) if job else None,
        "can_apply": bool(job and job.kind == owner_rules.COUNT and job.state == Job.State.DONE and job.result.get("moved")),
        "is_running": bool(job and not job.is_over),
        "moved": job.result.get("moved") if job else None,
    }  # fmt: skip
    return render(request, "contacts/owner_rule.html", context)


@require_POST
@requires("ownership.edit")
def owner_rule_start(request: MemberRequest) -> HttpResponse:
    """Count, or apply."""
    kind = KINDS.get(request.POST.get("what", ""))
    if kind is None:
        raise Http404
    owner_rules.start(kind, by=request.actor)
    return redirect("contacts:owner_rule")


@require_GET
@requires("ownership.edit")
def owner_rule_status(request: MemberRequest, pk: int) -> HttpResponse:
    """The progress fragment."""
    job = get_object_or_404(Job, pk=pk, kind__in=list(KINDS.values()))
    return render(request, "ui/progress.html", _status(job))


def _status(job: Job) -> dict[str, Any]:
    words = {
        owner_rules.COUNT: _("看过 %(seen)d 位客户,其中 %(moved)d 位的归属会变"),
        owner_rules.APPLY: _("看过 %(seen)d 位客户,%(moved)d 位的归属已改"),
    }
    is_done = job.state == Job.State.DONE
    said = words[job.kind] % {"seen": job.done, "moved": int(job.result.get("moved", 0))}
    return {
        **job_status(job), "url": reverse("contacts:owner_rule_status", args=[job.pk]), "result": said if is_done else job.last_error,
        "result_url": reverse("contacts:owner_rule") if is_done else "", "result_label": _("刷新"),
    }  # fmt: skip
