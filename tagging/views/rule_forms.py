"""The form of a rule: when, if, then."""

from typing import Any

from accounts.access import MemberRequest
from scrm.lib.numbers import whole_number
from tagging import actions, triggers
from tagging.models import Rule


def posted(request: MemberRequest) -> dict[str, Any]:
    """Everything but the tree: trigger, actions, name, how often, whether it takes back."""
    post = request.POST
    cap = post.get("daily_cap", "").strip()
    return {
        "name": post.get("name", ""),
        "trigger": triggers.from_post(post),
        "rule_actions": actions.from_post(post),
        "daily_cap": (whole_number(cap) or 0) if cap else None,
        "takes_back": post.get("takes_back") == "on" and post.get("trigger", "match") == "match",
    }


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


def trigger_part(params: dict[str, Any]) -> dict[str, Any]:
    """What templates/tagging/_rule_trigger.html needs."""
    chosen = triggers.find(params.get("kind")) or triggers.MATCH
    return {
        "trigger": params,
        "trigger_kind": chosen,
        "trigger_kinds": triggers.all_triggers(),
        "trigger_options": chosen.options(params),
    }


def action_parts(chosen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every kind of action with its part of the form; those of the rule are open."""
    mine = {action.get("kind", ""): action for action in chosen}
    return [
        {"kind": kind, "is_chosen": kind.key in mine, "o": kind.options(mine.get(kind.key, {}))}
        for kind in actions.all_kinds()
        if kind.template
    ]
