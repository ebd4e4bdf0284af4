"""自动规则: list, editor, enabling with its count, what was done."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from conditions.explain import explain
from conditions.render import in_words
from conditions.schema import problems_of
from conditions.tree import EVERYONE
from contacts.custom import asker_of
from contacts.models import Stage
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page
from tagging import actions
from tagging.models import Rule, RuleMatch, TagGroup
from tagging.queries import live_tags, recent_runs
from tagging.services import rules
from tagging.views.builder import audience, builder_context, posted_tree

TONES = {"draft": "idle", "on": "ok", "off": "idle", "broken": "bad"}


@require_GET
@requires("rules.view")
def rule_list(request: MemberRequest) -> HttpResponse:
    rows: list[Any] = list(Rule.objects.order_by("name"))
    for row in rows:
        row.tone = TONES[row.state]
        row.when, row.then = in_words(row.tree), actions.in_words(row.actions)
    return render(request, "tagging/rule_list.html", {"rows": rows, "can_edit": "rules.edit" in request.permissions})


@require_GET
@requires("rules.view")
def rule_detail(request: MemberRequest, pk: int) -> HttpResponse:
    rule = get_object_or_404(Rule, pk=pk)
    runs = recent_runs(rule).filter(contact__in=visible_contacts(request.scope))
    if request.GET.get("all") != "1":
        runs = runs.exclude(outcome__has_key="baseline")
    page = keyset_page(runs, ("-entered_at", "-pk"), request.GET.get("cursor", ""))
    shown: list[Any] = list(page.rows)
    for run in shown:
        run.done = _done(run.outcome, rule)
    can_edit = "rules.edit" in request.permissions
    context = {
        "rule": rule,
        "tone": TONES[rule.state],
        "when": in_words(rule.tree),
        "then": actions.in_words(rule.actions),
        "runs": shown,
        "total": runs.count(),
        "next_url": f"?cursor={page.next_cursor}" if page.next_cursor else "",
        "previous_url": f"?cursor={page.previous_cursor}" if page.previous_cursor else "",
        "can_edit": can_edit,
        "matching": rules.count_matching(rule)
        if can_edit and rule.state != Rule.State.ON and not problems_of(rule.tree)
        else None,
    }
    return render(request, "tagging/rule_detail.html", context)


def _done(outcome: dict[str, Any], rule: Rule) -> str:
    if "actions" in outcome:
        return actions.in_words(rule.actions)
    if outcome.get("skipped") == "loop":
        return _("24 小时内已执行 %(n)d 次,为避免循环未再执行") % {"n": rules.RUNS_A_DAY}
    return {
        "enabled": _("启用时已符合,未执行"),
        "first_sync": _("首次同步发现,未执行"),
        "merged": _("合并前已执行过"),
    }.get(outcome.get("baseline", ""), "")


@require_http_methods(["GET", "POST"])
@requires("rules.edit")
def rule_edit(request: MemberRequest, pk: int | None = None) -> HttpResponse:
    rule = get_object_or_404(Rule, pk=pk) if pk else None
    name, chosen = (rule.name, rule.actions) if rule else ("", [])
    tree, status = (rule.tree if rule else EVERYONE), 200
    errors: list[str] = []
    mode = request.GET.get("mode", "simple")
    if request.method == "POST":
        tree, errors = posted_tree(request)
        name, chosen = request.POST.get("name", ""), _posted_actions(request)
        mode = request.POST.get("show") or request.POST.get("mode", "simple")
        status = 422 if errors and request.POST.get("save") else 200
        if request.POST.get("save") and not errors:
            try:
                saved = rules.save_rule(rule, name=name, tree=tree, rule_actions=chosen, by=request.actor)
                return redirect("tagging:rule_detail", saved.pk)
            except UserError as error:
                errors, status = [str(error.message)], 422
    builder = builder_context(request, tree, mode=mode)
    context = {
        "rule": rule,
        "name": name,
        "errors": errors,
        **_action_context(chosen),
        **builder,
        **audience(request, builder["tree"]),
    }
    return render(request, "tagging/rule_edit.html", context, status=status)


def _posted_actions(request: MemberRequest) -> list[dict[str, Any]]:
    post = request.POST
    ids = {side: [int(pk) for pk in post.getlist(f"tags_{side}") if pk.isdecimal()] for side in ("add", "remove")}
    found: list[dict[str, Any]] = []
    if ids["add"] or ids["remove"]:
        whose = "all" if post.get("whose") == "all" else "owner"
        found.append({"kind": "tag", "whose": whose, **{side: pks for side, pks in ids.items() if pks}})
    if post.get("stage", "").isdecimal():
        found.append({"kind": "stage", "stage": int(post["stage"])})
    return found


def _action_context(chosen: list[dict[str, Any]]) -> dict[str, Any]:
    tag = next((one for one in chosen if one.get("kind") == "tag"), {})
    stage = next((one for one in chosen if one.get("kind") == "stage"), {})
    tags = live_tags().exclude(group__kind=TagGroup.Kind.PERSONAL).order_by("-group__order", "group_id", "-order", "pk")
    return {
        "tag_choices": list(tags),
        "adds": tag.get("add", []),
        "removes": tag.get("remove", []),
        "whose": tag.get("whose", "owner"),
        "stages": Stage.objects.filter(is_archived=False),
        "stage_chosen": stage.get("stage"),
    }


@require_POST
@requires("rules.edit")
def rule_act(request: MemberRequest, pk: int, act: str) -> HttpResponse:
    """enable, disable."""
    rule = get_object_or_404(Rule, pk=pk)
    if act == "enable":
        rules.enable_rule(
            rule,
            act_on_existing=request.POST.get("act_on_existing") == "on",
            expected=whole_number(request.POST.get("expected")),
            by=request.actor,
        )
    else:
        rules.disable_rule(rule, by=request.actor)
    return redirect("tagging:rule_detail", rule.pk)


@require_GET
@requires("rules.view")
def rule_why(request: MemberRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Why the rule did, or did not, take this customer."""
    rule = get_object_or_404(Rule, pk=pk)
    contact = get_object_or_404(visible_contacts(request.scope), pk=contact_pk)
    problems = problems_of(rule.tree)
    past: list[Any] = list(RuleMatch.objects.filter(rule=rule, contact=contact).order_by("-entered_at")[:20])
    for run in past:
        run.done = _done(run.outcome, rule)
    context = {
        "rule": rule,
        "contact": contact,
        "clauses": [] if problems else explain(rule.tree, contact.pk, clock.now(), asker_of(request)),
        "problems": problems,
        "runs": past,
        "now": clock.now(),
    }
    return render(request, "tagging/rule_why.html", context)
