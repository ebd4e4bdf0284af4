"""The form of a rule: when, if, then."""

from typing import Any

from accounts.access import MemberRequest
from contacts.custom import asker_of
from scrm.lib.numbers import whole_number
from tagging import actions, triggers
from tagging.models import Rule
from tagging.rule_sight import triggers_open_to
from tagging.services.rule_authority import why_not


def posted(request: MemberRequest, rule: Rule | None) -> dict[str, Any]:
    """Everything but the tree: trigger, actions, name, how often, whether it takes back. rule: the one that is edited."""
    post = request.POST
    cap = post.get("daily_cap", "").strip()
    return {
        "name": post.get("name", ""),
        "trigger": triggers.from_post(post),
        "rule_actions": _posted_actions(request, rule),
        "daily_cap": (whole_number(cap) or 0) if cap else None,
        "takes_back": post.get("takes_back") == "on" and post.get("trigger", "match") == "match",
    }


def _posted_actions(request: MemberRequest, rule: Rule | None) -> list[dict[str, Any]]:
    """What the form says; and what stands there that she may not set, whose part of the form is shut and so not sent, unless she took
    it away."""
    given = actions.from_post(request.POST)
    sent, ask = {action["kind"] for action in given}, why_not(request.user, request.grants)
    dropped = set(request.POST.getlist("drop_action"))
    kept = [
        action
        for action in (rule.actions if rule else [])
        if (kind := actions.find(action.get("kind", ""))) and kind.key not in sent | dropped and ask(kind)
    ]
    return [*given, *kept]


def stored(rule: Rule) -> dict[str, Any]:
    """The same, of a rule as it stands."""
    return {
        "name": rule.name, "trigger": rule.when, "rule_actions": rule.actions, "daily_cap": rule.daily_cap,
        "takes_back": rule.takes_back,
    }  # fmt: skip


EMPTY: dict[str, Any] = {
    "name": "",
    "trigger": {"kind": "match"},
    "rule_actions": [],
    "daily_cap": None,
    "takes_back": False,
}


def trigger_part(request: MemberRequest, params: dict[str, Any]) -> dict[str, Any]:
    """What templates/tagging/_rule_trigger.html needs: what she may let a rule hear, and what stands."""
    permissions = asker_of(request).permissions
    chosen = triggers.find(params.get("kind")) or triggers.MATCH
    return {
        "trigger": params,
        "trigger_kind": chosen,
        "trigger_kinds": triggers_open_to(permissions, params),
        "trigger_options": chosen.options(params, permissions),
    }


def action_parts(request: MemberRequest, chosen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every kind of action that she may set with its part of the form; those of the rule are open. One that somebody else set is shown
    in words, with why she may not."""
    mine = {action.get("kind", ""): action for action in chosen}
    ask = why_not(request.user, request.grants)
    shown = [(kind, ask(kind)) for kind in actions.all_kinds() if kind.template]
    return [_action_part(kind, mine.get(kind.key), why) for kind, why in shown if not why or kind.key in mine]


def _action_part(kind: actions.Kind, action: dict[str, Any] | None, why: str) -> dict[str, Any]:
    if why:
        return {"kind": kind, "is_chosen": True, "why_not": why, "words": kind.in_words(action or {})}
    return {"kind": kind, "is_chosen": action is not None, "o": kind.options(action or {})}
