"""试算 and 补跑 of a rule: what it would have done, and running it over who matches now."""

from datetime import date
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import MemberRequest, refuse_frozen, requires
from conditions.schema import problems_of
from contacts.custom import asker_of
from contacts.queries import visible_contacts
from contacts.views.exports import job_status
from scrm.lib.numbers import whole_number
from tagging import actions
from tagging.models import Rule
from tagging.rule_sight import refuse_closed
from tagging.services import rule_backfill, rule_dry_run, rules
from tenants.ledger.models import Job

LAST_JOBS = 10


def _open_rule(request: MemberRequest, pk: int) -> Rule:
    """The rule, where nothing it asks is closed to her. Raises NotAllowed."""
    rule = get_object_or_404(Rule, pk=pk)
    refuse_closed(rule, asker_of(request))
    return rule


@require_http_methods(["GET", "POST"])
@requires("rules.edit")
def rule_dry(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask for so many days; then progress and what came of it, the last one of this version."""
    rule = _open_rule(request, pk)
    if request.method == "POST":
        rule_dry_run.start(rule, whole_number(request.POST.get("days")), by=request.actor)
        return redirect("tagging:rule_dry", rule.pk)
    job = rule_dry_run.latest(rule)
    found: dict[str, Any] = rule_dry_run.figures(job) if job else {}
    for one in found.get("days", ()):
        one["day"] = date.fromisoformat(one["day"])
    sample = (job.result.get("ids") or [])[: rule_dry_run.SAMPLE] if job else []
    context = {
        "rule": rule,
        "job": job,
        "status": _status(job),
        "found": found,
        "sample": visible_contacts(request.scope).filter(pk__in=sample).order_by("pk"),
        "then": actions.in_words(rule.actions),
        "conflicts": rules.conflicts_among([rule]).get(rule.pk, []),
        "seconds": rule_backfill.seconds_for(found.get("calls", 0)),
        "days": job.params["days"] if job else 30,
        "most": rule_dry_run.LONGEST,
    }
    return render(request, "tagging/rule_dry.html", context)


@require_http_methods(["GET", "POST"])
@requires("rules.edit")
def rule_fill(request: MemberRequest, pk: int) -> HttpResponse:
    """How many, what, how long; then the one under way and those before."""
    rule = _open_rule(request, pk)
    if request.method == "POST":
        refuse_frozen(request)
        rule_backfill.start(rule, expected=whole_number(request.POST.get("expected")), by=request.actor)
        return redirect("tagging:rule_fill", rule.pk)
    jobs = [_shown(job) for job in rule_backfill.jobs_of(rule)[:LAST_JOBS]]
    is_running = any(not one["job"].is_over for one in jobs)
    waiting = rule_backfill.count_at_wecom(rule)
    can_start = rule.state == Rule.State.ON and not is_running and not problems_of(rule.tree)
    context = {
        "rule": rule,
        "jobs": jobs,
        "is_open": is_running or any(one["undo"] and not one["undo"].is_over for one in jobs),
        "can_start": can_start,
        "count": rules.count_matching(rule) if can_start else None,
        "then": actions.in_words(rule.actions),
        "waiting": waiting,
        "seconds": rule_backfill.seconds_for(waiting),
    }
    return render(request, "tagging/rule_fill.html", context)


def _shown(job: Job) -> dict[str, Any]:
    undo = rule_backfill.undo_of(job)
    return {
        "job": job, "status": _status(job), "counts": rule_backfill.counts_of(job), "undo": undo, "undo_status": _status(undo),
    }  # fmt: skip


def _status(job: Job | None) -> dict[str, Any] | None:
    if job is None:
        return None
    return {**job_status(job), "result": job.last_error if job.state == Job.State.FAILED else ""}


@require_POST
@requires("rules.edit")
def rule_fill_act(request: MemberRequest, pk: int, job_pk: int, act: str) -> HttpResponse:
    """stop, undo."""
    rule = get_object_or_404(Rule, pk=pk)
    job = get_object_or_404(rule_backfill.jobs_of(rule), pk=job_pk)
    if act == "stop":
        rule_backfill.stop(job, by=request.actor)
    else:
        refuse_frozen(request)
        refuse_closed(rule, asker_of(request))
        rule_backfill.ask_undo(job, by=request.actor)
    return redirect("tagging:rule_fill", rule.pk)
