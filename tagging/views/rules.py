"""自动规则: list in its order, editor, enabling with its count, what was done, versions."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, refuse_frozen, requires
from accounts.models import User
from conditions.explain import explain
from conditions.registry import Asker
from conditions.render import in_words
from conditions.schema import problems_of
from conditions.tree import EVERYONE, is_everyone
from contacts.custom import asker_of
from contacts.models import Contact
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page
from tagging import actions, naming, rule_templates, triggers
from tagging.models import Rule, RuleEvent, RuleMatch, RuleSlot, RuleVersion
from tagging.policy import runs_a_day
from tagging.rule_sight import closed_in_words, refuse_closed, trigger_closed_to
from tagging.rule_words import actions_by_version, answers_of, outcome_in_words
from tagging.services import rules
from tagging.services.rule_retrying import retry_marks
from tagging.services.rule_running import cap_of
from tagging.setting_off import sparks_of
from tagging.views import rule_forms
from tagging.views.builder import audience, builder_context, posted_tree

TONES = {"draft": "idle", "on": "ok", "off": "idle", "broken": "bad"}
LAST_SLOTS = 8


def _words(row: Any, asker: Asker) -> None:
    """When, if and then of a rule or a version, in words; of what is closed to her only that there is something (`closed`)."""
    row.closed = closed_in_words(row, asker)
    row.when_words = triggers.in_words(row.trigger or {"kind": "match"})
    is_told = not row.closed and not problems_of(row.tree) and not is_everyone(row.tree)
    row.if_words = row.closed or (in_words(row.tree) if is_told else "")
    row.then_words = actions.in_words(row.actions)


@require_GET
@requires("rules.view")
def rule_list(request: MemberRequest) -> HttpResponse:
    asker = asker_of(request)
    rows: list[Any] = list(Rule.objects.order_by("position", "pk"))
    conflicts = rules.conflicts_among(rows)
    with naming.read_together(rows):
        for row in rows:
            row.tone, row.conflicts = TONES[row.state], conflicts.get(row.pk, [])
            _words(row, asker)
    context = {
        "rows": rows,
        "cap": runs_a_day(),
        "ready_made": rule_templates.TEMPLATES,
        "can_edit": "rules.edit" in request.permissions,
    }
    return render(request, "tagging/rule_list.html", context)


@require_GET
@requires("rules.view")
def rule_detail(request: MemberRequest, pk: int) -> HttpResponse:
    rule: Any = get_object_or_404(Rule, pk=pk)
    _words(rule, asker_of(request))
    can_edit = "rules.edit" in request.permissions
    context = {
        "rule": rule,
        "tone": TONES[rule.state],
        "cap": cap_of(rule),
        "conflicts": rules.conflicts_among([rule]).get(rule.pk, []),
        "moves_back": rules.moves_back(rule),
        "can_edit": can_edit,
        **({} if rule.closed else _by_what_it_asks(request, rule, can_edit=can_edit)),
    }
    return render(request, "tagging/rule_detail.html", context)


def _by_what_it_asks(request: MemberRequest, rule: Rule, *, can_edit: bool) -> dict[str, Any]:
    """What tells of people by the rule's conditions: whom it took, when and how many, and how many match."""
    log = request.GET.get("log") or ("match" if rule.is_match else "event")
    shown, context = _log(request, rule, log)
    can_enable = can_edit and rule.state != Rule.State.ON and not problems_of(rule.tree)
    return context | {
        "runs": shown,
        "log": log,
        "has_other_log": (RuleEvent if log == "match" else RuleMatch).objects.filter(rule=rule).exists(),
        "slots": RuleSlot.objects.filter(rule=rule).order_by("-slot_at")[:LAST_SLOTS],
        "can_enable": can_enable,
        "matching": _matching(rule) if can_enable and rule.is_match else None,
    }


def _log(request: MemberRequest, rule: Rule, log: str) -> tuple[list[Any], dict[str, Any]]:
    """The page of runs, with what was done and what WeCom said to it."""
    runs: Any = _runs(rule, log).filter(contact__in=visible_contacts(request.scope))
    if log == "match" and request.GET.get("all") != "1":
        runs = runs.exclude(outcome__has_key="baseline")
    order = "-entered_at" if log == "match" else "-happened_at"
    page = keyset_page(runs, (order, "-pk"), request.GET.get("cursor", ""))
    shown: list[Any] = list(page.rows)
    _say(rule, shown)
    at = f"?log={log}&cursor="
    return shown, {
        "total": runs.count(),
        "next_url": f"{at}{page.next_cursor}" if page.next_cursor else "",
        "previous_url": f"{at}{page.previous_cursor}" if page.previous_cursor else "",
    }


def _runs(rule: Rule, log: str) -> Any:
    model: Any = RuleMatch if log == "match" else RuleEvent
    return model.objects.filter(rule=rule).select_related("contact")


def _matching(rule: Rule) -> int | None:
    """How many match now; None when that takes too long to wait for."""
    try:
        return rules.count_matching(rule)
    except UserError:
        return None


def _say(rule: Rule, runs: list[Any]) -> None:
    did = actions_by_version(rule, [run.rule_version for run in runs])
    answers = answers_of(rule, [run.contact_id for run in runs])
    for run in runs:
        run.done = outcome_in_words(run.outcome, rule, did.get(run.rule_version, []))
        if getattr(run, "state", "") == RuleEvent.State.WAITING:
            run.done = _("等待执行")
        run.at = run.entered_at if isinstance(run, RuleMatch) else run.happened_at
        run.answers = answers.get(run.contact_id, []) if "actions" in run.outcome else []
        run.can_retry = any(mark.state == "failed" for mark in run.answers)


@require_http_methods(["GET", "POST"])
@requires("rules.edit")
def rule_edit(request: MemberRequest, pk: int | None = None) -> HttpResponse:
    rule = get_object_or_404(Rule, pk=pk) if pk else None
    if rule is not None:
        refuse_closed(rule, asker_of(request))
    given, tree, status = _starting_point(request, rule)
    errors: list[str] = []
    mode = request.GET.get("mode", "simple")
    if request.method == "POST":
        tree, errors = posted_tree(request)
        given = rule_forms.posted(request, rule)
        mode = request.POST.get("show") or request.POST.get("mode", "simple")
        status = 422 if errors and request.POST.get("save") else 200
        closed = trigger_closed_to(given["trigger"] or {}, asker_of(request).permissions)
        if closed and request.POST.get("save") and not errors:
            errors, status = [closed], 422
        if request.POST.get("save") and not errors:
            try:
                saved = rules.save_rule(rule, tree=tree, by=request.actor, **given)
                return redirect("tagging:rule_detail", saved.pk)
            except UserError as error:
                errors, status = [str(error.message)], error.status
    builder = builder_context(request, tree, mode=mode)
    context = {
        "rule": rule,
        "errors": errors,
        "given": given,
        "default_cap": runs_a_day(),
        "parts": rule_forms.action_parts(request, given["rule_actions"]),
        "dropped": request.POST.getlist("drop_action"),
        **rule_forms.trigger_part(request, given["trigger"]),
        **builder,
        **audience(request, builder["tree"]),
    }
    return render(request, "tagging/rule_edit.html", context, status=status)


def _starting_point(request: MemberRequest, rule: Rule | None) -> tuple[dict[str, Any], dict[str, Any], int]:
    if rule is not None:
        return rule_forms.stored(rule), rule.tree, 200
    ready = rule_templates.find(request.GET.get("ready", ""))
    return {**rule_forms.EMPTY, **(ready.make() if ready else {})}, EVERYONE, 200


@require_POST
@requires("rules.edit")
def rule_trigger(request: MemberRequest) -> HttpResponse:
    """The form's part of the trigger, after another kind was chosen."""
    return render(
        request, "tagging/_rule_trigger.html", rule_forms.trigger_part(request, triggers.from_post(request.POST))
    )


@require_POST
@requires("rules.edit")
def rule_act(request: MemberRequest, pk: int, act: str) -> HttpResponse:
    """enable, disable, earlier, later."""
    rule = get_object_or_404(Rule, pk=pk)
    if act in ("earlier", "later"):
        rules.shift_rule(rule.pk, later=act == "later", by=request.actor)
        return redirect("tagging:rule_list")
    if act == "enable":
        refuse_frozen(request)  # even from now on it acts on everybody, by a schedule on all at once
        refuse_closed(rule, asker_of(request))
        rules.enable_rule(
            rule,
            act_on_existing=request.POST.get("act_on_existing") == "on",
            expected=whole_number(request.POST.get("expected")),
            by=request.actor,
        )
    else:
        rules.disable_rule(rule, by=request.actor)
    return redirect("tagging:rule_detail", rule.pk)


@require_POST
@requires("rules.edit")
def rule_cap(request: MemberRequest) -> HttpResponse:
    """How often a day a rule acts on one person, where it says nothing itself."""
    most = rules.save_default_cap(request.POST.get("runs_a_day", ""), by=request.actor)
    messages.success(request, _("已保存:每条规则对每位客户 24 小时内最多执行 %(n)d 次") % {"n": most})
    return redirect("tagging:rule_list")


@require_GET
@requires("rules.view")
def rule_history(request: MemberRequest, pk: int) -> HttpResponse:
    """The versions, newest first, each with what it changed."""
    rule = get_object_or_404(Rule, pk=pk)
    page = keyset_page(RuleVersion.objects.filter(rule=rule), ("-number",), request.GET.get("cursor", ""), size=20)
    shown: list[Any] = list(page.rows)
    oldest = shown[-1].number if shown else 0
    before: Any = RuleVersion.objects.filter(rule=rule, number__lt=oldest).order_by("-number").first()
    names = dict(User.objects.filter(pk__in={row.saved_by_id for row in shown}).values_list("pk", "display_name"))
    asker = asker_of(request)
    for row in [*shown, *([before] if before else [])]:
        _words(row, asker)
    for row, earlier in zip(shown, [*shown[1:], before], strict=False):  # of no version there is no earlier one
        row.saved_by = names.get(row.saved_by_id or 0, "")
        row.changes = _changes(earlier, row) if earlier else []
    context = {
        "rule": rule,
        "versions": shown,
        "next_url": f"?cursor={page.next_cursor}" if page.next_cursor else "",
        "previous_url": f"?cursor={page.previous_cursor}" if page.previous_cursor else "",
    }
    return render(request, "tagging/rule_history.html", context)


def _changes(before: Any, after: Any) -> list[dict[str, str]]:
    """What differs between two versions: the part, as it was, as it is."""
    none, yes = _("无"), _("是")
    parts = [
        (_("当"), before.when_words, after.when_words),
        (_("如果"), before.if_words or _("全部客户"), after.if_words or _("全部客户")),
        (_("就"), before.then_words, after.then_words),
        (_("每位客户 24 小时内最多"), str(before.daily_cap or _("默认")), str(after.daily_cap or _("默认"))),
        (_("不再符合时撤销"), yes if before.takes_back else none, yes if after.takes_back else none),
    ]
    return [{"part": part, "before": was, "after": now} for part, was, now in parts if was != now]


@require_GET
@requires("rules.view")
def rule_why(request: MemberRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Why the rule did, or did not, take this customer."""
    rule: Any = get_object_or_404(Rule, pk=pk)
    contact = get_object_or_404(visible_contacts(request.scope), pk=contact_pk)
    problems, asker = problems_of(rule.tree), asker_of(request)
    _words(rule, asker)
    past = [] if rule.closed else _past(rule, contact)
    context = {
        "rule": rule,
        "contact": contact,
        "clauses": [] if problems else explain(rule.tree, contact.pk, clock.now(), asker),
        "problems": problems,
        "sparks": None if rule.closed else sparks_of(rule, contact),
        "runs": past,
        "answers": [] if rule.closed else answers_of(rule, [contact.pk]).get(contact.pk, []),
        "can_edit": "rules.edit" in request.permissions,
        "now": clock.now(),
    }
    return render(request, "tagging/rule_why.html", context)


def _past(rule: Rule, contact: Contact) -> list[Any]:
    """What it did about one customer and whoever was merged into her, the last first. By ids, which an index finds."""
    people = contact.family_ids
    past: list[Any] = [
        *RuleMatch.objects.filter(rule=rule, contact__in=people).order_by("-entered_at")[:20],
        *RuleEvent.objects.filter(rule=rule, contact__in=people).order_by("-happened_at")[:20],
    ]
    _say(rule, past)
    return sorted(past, key=lambda run: run.at, reverse=True)[:20]


@require_POST
@requires("rules.edit")
def rule_retry(request: MemberRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Ask WeCom once more for the tags it refused the rule on this customer."""
    rule = get_object_or_404(Rule, pk=pk)
    contact = get_object_or_404(visible_contacts(request.scope), pk=contact_pk)
    refuse_closed(rule, asker_of(request))
    count = retry_marks(rule, contact.pk, by=request.actor)
    messages.success(request, _("已重新提交 %(n)d 个标签") % {"n": count})
    return redirect("tagging:rule_why", rule.pk, contact.pk)
