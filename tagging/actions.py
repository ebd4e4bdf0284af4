"""What a rule may do. Other apps register further kinds (an SOP to join, a notice to send).

An action is stored as {"kind": …, **parameters}. `run` is set-based, inside the rule's transaction; WeCom hears of it through
the outbox.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from tagging.models import Rule


@dataclass(frozen=True)
class Kind:
    """problems(action): sentences, empty when it can run. in_words(action): 打标签「老客」. run(rule, root ids, action, now): root id
    → what was done, for the record; a person left out got nothing. tags(action): ids of tags it names. claims(action): what of a
    person it decides, and how: of two actions with one key and different values only one can be had. calls(action, people): how
    often WeCom would be called for a query of people. permission: what it takes to do the same by hand; whoever lets a rule do it holds
    it over everybody. template: its part of the form, drawn with options(the action as it is), read by from_post (None: not
    wanted). contradictions(action): sentences why it cannot be saved so; one that was saved before goes on."""

    key: str
    label: str | Promise
    problems: Callable[[Mapping[str, Any]], list[str]]
    in_words: Callable[[Mapping[str, Any]], str]
    run: Callable[[Rule, Sequence[int], Mapping[str, Any], datetime], Mapping[int, Any]]
    permission: str
    tags: Callable[[Mapping[str, Any]], set[int]] = lambda action: set()
    claims: Callable[[Mapping[str, Any]], Mapping[Any, Any]] = lambda action: {}
    calls: Callable[[Mapping[str, Any], QuerySet[Any]], int] = lambda action, people: 0
    contradictions: Callable[[Mapping[str, Any]], list[str]] = lambda action: []
    template: str = ""
    options: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda action: {}
    from_post: Callable[[QueryDict], dict[str, Any] | None] = lambda post: None


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Add a kind. Raises ValueError when the key is taken by another."""
    if _kinds.get(kind.key, kind) != kind:
        raise ValueError(f"rule action {kind.key} is registered twice")
    _kinds[kind.key] = kind


def all_kinds() -> list[Kind]:
    """Every kind, in order of registration."""
    return list(_kinds.values())


def find(key: str) -> Kind | None:
    """The kind of a key, or None."""
    return _kinds.get(key)


def problems_of(actions: Any) -> list[str]:
    """Why a list of actions cannot run; empty when it can."""
    if not isinstance(actions, list) or not actions:
        return [_("请至少选择一个动作")]
    found: list[str] = []
    for action in actions:
        kind = _kinds.get(action.get("kind", "")) if isinstance(action, dict) else None
        found += kind.problems(action) if kind else [_("不认识的动作,请删除后重选")]
    return found


def contradictions_in(actions: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a person is to correct in actions that could run (problems_of); empty when nothing is."""
    return [text for action in actions if (kind := find(action["kind"])) for text in kind.contradictions(action)]


def in_words(actions: Sequence[Mapping[str, Any]]) -> str:
    """All actions in one readable line."""
    words = [kind.in_words(action) for action in actions if (kind := _kinds.get(action.get("kind", "")))]
    return ";".join(words)


def tags_of(action: Any) -> set[int]:
    """Ids of tags the action names."""
    kind = _kinds.get(action.get("kind", "")) if isinstance(action, dict) else None
    return kind.tags(action) if kind else set()


def claims_of(action: Any) -> Mapping[Any, Any]:
    """What of a person an action decides."""
    kind = _kinds.get(action.get("kind", "")) if isinstance(action, dict) else None
    return kind.claims(action) if kind else {}


def from_post(post: QueryDict) -> list[dict[str, Any]]:
    """The actions of a posted form, in the order of the kinds."""
    found = [(kind.key, kind.from_post(post)) for kind in all_kinds()]
    return [{"kind": key, **action} for key, action in found if action is not None]
