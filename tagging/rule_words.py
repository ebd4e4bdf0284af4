"""What became of a run, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from tagging import actions
from tagging.models import FollowTag, Rule, RuleVersion
from tagging.services.rule_running import cap_of


def actions_by_version(rule: Rule, numbers: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Version number → its actions. One query."""
    rows = RuleVersion.objects.filter(rule=rule, number__in=set(numbers)).values_list("number", "actions")
    return {rule.version: rule.actions, **dict(rows)}


def outcome_in_words(outcome: Mapping[str, Any], rule: Rule, did: Sequence[Mapping[str, Any]]) -> str:
    """One line: what was done, what was not, and why. did: the actions of the version that ran."""
    parts = []
    if "actions" in outcome:
        lost = {one.get("kind") for one in outcome.get("lost", ())}
        parts.append(actions.in_words([action for action in did if action.get("kind") not in lost]))
    for one in outcome.get("lost", ()):
        kind = actions.find(one.get("kind", ""))
        text = _("「%(action)s」没有执行:与排在前面的规则「%(rule)s」矛盾")
        parts.append(text % {"action": kind.label if kind else one.get("kind"), "rule": one.get("to")})
    if outcome.get("held"):
        parts.append(_("阶段没有改:刚由人工设定,等客户下次因别的变化符合时再改"))
    if outcome.get("taken_back"):
        parts.append(_("不再符合,去掉了它打的 %(n)d 个标签") % {"n": outcome["taken_back"]})
    if outcome.get("undone"):
        parts.append(_("已撤销"))
    parts.append(_reason(outcome, rule))
    return ";".join(part for part in parts if part)


def _reason(outcome: Mapping[str, Any], rule: Rule) -> str:
    known = {
        "enabled": _("启用时已符合,未执行"),
        "first_sync": _("首次同步发现,未执行"),
        "merged": _("合并前已执行过"),
        "loop": _("24 小时内已执行 %(n)d 次,达到上限,未再执行") % {"n": cap_of(rule)},
        "ring": _("由规则自己(或它引起的规则)造成,未执行"),
        "off": _("规则已停用,未执行"),
        "broken": _("规则需修复,未执行"),
        "unmatched": _("当时不符合条件,未执行"),
        "tags_merged": _("合并标签时已符合,未执行"),
        "twin": _("与同一次里的另一位客户已合并为一人,只执行一次"),
        "stopped": _("补跑已停止,未执行"),
    }
    return known.get(str(outcome.get("baseline") or outcome.get("skipped") or ""), "")


def answers_of(rule: Rule, contact_ids: Sequence[int]) -> dict[int, list[FollowTag]]:
    """Contact (as named, or her root) → tags the rule wished that WeCom refused or has not answered yet. One query."""
    marks = FollowTag.objects.filter(rule=rule).exclude(state=FollowTag.State.ON, last_error="")
    rows = marks.filter(contact_id__in=contact_ids) | marks.filter(contact__root_id__in=contact_ids)
    found: dict[int, list[FollowTag]] = {}
    for row in rows.select_related("tag", "follow__member", "contact").order_by("pk"):
        for pk in {row.contact_id, row.contact.root_id or row.contact_id}:
            found.setdefault(pk, []).append(row)
    return found
