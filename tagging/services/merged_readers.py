"""What names a tag that is merged into another: rules, segments and stages name the other from then on, and back."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from conditions import boundaries
from conditions.compiler import UnknownField
from conditions.sweeps import room
from contacts.models import Stage
from contacts.services.stage_answers import note_answers
from tagging import actions
from tagging.matching import all_who_match, insert_select, of_people
from tagging.models import Rule, RuleEvent, RuleMatch, Segment
from tagging.services import own_changes
from tagging.services.rules import keep_version
from tagging.services.segment_state import set_stale
from tagging.tag_readers import tags_named, with_tags_replaced
from tenants import audit
from tenants.audit import SYSTEM

# Reader.kind of what follows a merge by itself; pre-tags look the tag up when somebody arrives.
KINDS = ("rule", "segment", "stage", "pretag")
BASELINE = '{"baseline": "tags_merged"}'


def rewrite(old: int, kept: int) -> list[dict[str, Any]]:
    """Everything that names the old tag names the kept one. What was changed: what it said before, and its version afterwards."""
    done: list[dict[str, Any]] = []
    for rule in Rule.objects.select_for_update().order_by("pk"):
        if old in tags_named(rule.tree) or any(old in actions.tags_of(one) for one in rule.actions):
            before = {"tree": rule.tree, "actions": rule.actions}
            acts = [_replaced_action(one, old, kept) for one in rule.actions]
            done.append(
                {"kind": "rule", **before, **_save_rule(rule, with_tags_replaced(rule.tree, {old: kept}), acts)}
            )
    for segment in Segment.objects.select_for_update().filter(kind="dynamic").order_by("pk"):
        if old in tags_named(segment.tree):
            before = {"tree": segment.tree}
            done.append(
                {"kind": "segment", **before, **_save_segment(segment, with_tags_replaced(segment.tree, {old: kept}))}
            )
    for stage in Stage.objects.select_for_update().filter(rule__isnull=False).order_by("pk"):
        if old in tags_named(stage.rule):
            before = {"tree": stage.rule}
            done.append({"kind": "stage", **before, **_save_stage(stage, with_tags_replaced(stage.rule, {old: kept}))})
    return done


def restore(done: Iterable[dict[str, Any]]) -> None:
    """What is still as the merge left it says what it said before."""
    for one in done:
        if one["kind"] == "rule":
            rule = Rule.objects.select_for_update().filter(pk=one["pk"], version=one["version"]).first()
            if rule is not None:
                _save_rule(rule, one["tree"], one["actions"])
        elif one["kind"] == "segment":
            segment = Segment.objects.select_for_update().filter(pk=one["pk"], tree_version=one["version"]).first()
            if segment is not None:
                _save_segment(segment, one["tree"])
        else:
            stage = Stage.objects.select_for_update().filter(pk=one["pk"], rule=one["now"]).first()
            if stage is not None:
                _save_stage(stage, one["tree"])


def settle(tag_ids: Sequence[int], moved: QuerySet[Any], rewritten: Iterable[dict[str, Any]], now: datetime) -> None:
    """Whoever answers to a rule or a stage because tags were merged is noted and left alone; segments are computed anew.

    moved: root ids of those whose tags moved. rewritten: what now says another thing, for others too.
    """
    wanted = set(tag_ids)
    anew = {one["pk"] for one in rewritten if one["kind"] == "rule"}
    for rule in Rule.objects.filter(state=Rule.State.ON, trigger__isnull=True):
        if wanted & tags_named(rule.tree):
            _note_matches(rule, None if rule.pk in anew else moved, now)
    live = Segment.objects.select_for_update().filter(archived_at__isnull=True, kind="dynamic").order_by("pk")
    stale = [one for one in live.exclude(state=Segment.State.FAILED) if wanted & tags_named(one.tree)]
    set_stale(stale, now, are_as_new=True)
    if any(wanted & tags_named(stage.rule) for stage in Stage.objects.filter(is_archived=False, rule__isnull=False)):
        note_answers(by=SYSTEM)


def _note_matches(rule: Rule, moved: QuerySet[Any] | None, now: datetime) -> None:
    """moved: nobody else answers otherwise by the merge, so whoever of the others has a change of her own waiting is decided by that.
    None: everybody may."""
    try:
        matched = all_who_match(rule.tree, now)
    except UnknownField:
        return  # it stops by itself at the next decision
    standing = RuleMatch.objects.filter(rule=rule, left_at__isnull=True).exclude(contact__in=matched.values("pk"))
    if moved is not None:
        recheck = boundaries.recheck_key(rule.reader)
        alone = own_changes.waiting([*rule.field_keys, recheck], ["consumer:rules"], now).exclude(person__in=moved)
        matched, standing = matched.exclude(pk__in=alone), standing.exclude(of_people(alone))
    constants = {"rule": rule.pk, "rule_version": rule.version, "entered_at": now, "outcome": BASELINE}
    with room():
        standing.update(left_at=now)
        insert_select(RuleMatch, matched, constants)
    boundaries.schedule(rule.reader, rule.tree, None, now)


def _replaced_action(action: Any, old: int, kept: int) -> Any:
    """An action that puts or takes off tags, with the kept one in the old one's place; of one on both sides the adding stays."""
    if old not in actions.tags_of(action):
        return action
    changed = dict(action)
    for side in ("add", "remove"):
        if isinstance(changed.get(side), list):
            changed[side] = list(dict.fromkeys(kept if pk == old else pk for pk in changed[side]))
    if isinstance(changed.get("add"), list) and isinstance(changed.get("remove"), list):
        changed["remove"] = [pk for pk in changed["remove"] if pk not in changed["add"]]
    return changed


def _save_rule(rule: Rule, tree: Any, acts: Any) -> dict[str, Any]:
    rule.tree, rule.actions, rule.version = tree, acts, rule.version + 1
    rule.save(update_fields=["tree", "actions", "version"])
    keep_version(rule, saved_by_id=None)
    # It says the same of the kept tag: what waits for it is not of another rule.
    RuleEvent.objects.filter(rule=rule, state=RuleEvent.State.WAITING).update(rule_version=rule.version)
    audit.record("rule.retagged", rule, by=SYSTEM, version=rule.version)
    return {"pk": rule.pk, "version": rule.version}


def _save_segment(segment: Segment, tree: Any) -> dict[str, Any]:
    """What computes it now is of another condition: it loses its token and writes nothing."""
    segment.tree, segment.tree_version, segment.builder = tree, segment.tree_version + 1, ""
    segment.save(update_fields=["tree", "tree_version", "builder"])
    audit.record("segment.retagged", segment, by=SYSTEM, version=segment.tree_version)
    return {"pk": segment.pk, "version": segment.tree_version}


def _save_stage(stage: Stage, tree: Any) -> dict[str, Any]:
    stage.rule = tree
    stage.save(update_fields=["rule"])
    audit.record("stage.retagged", stage, by=SYSTEM)
    return {"pk": stage.pk, "now": tree}
