"""Rules: when a person starts to match, the actions run once, in the transaction that notes the match.

Enabling notes everybody who matches already (a baseline without actions), so that a rule speaks of what happens from then on.
Facts of the first sync are noted the same way.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.urls import reverse
from django.utils.translation import gettext as _

from conditions import boundaries, dirty
from conditions.compiler import UnknownField
from conditions.drain import LOCK
from conditions.reading import field_keys, reads_field, values_read
from conditions.schema import validate
from conditions.tree import is_everyone
from contacts.services.merging import Merged
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tagging import actions
from tagging.matching import insert_select, matching_ids, matching_people, of_people
from tagging.models import Rule, RuleMatch
from tagging.queries import enabled_rules, live_segments
from tagging.segments import Use
from tagging.services.broken import break_rule, check_rule
from tenants import audit, locks
from tenants.audit import Actor

logger = logging.getLogger(__name__)
State = Rule.State
# A rule and a counter-rule may chase each other, and WeCom may refuse what a rule wishes: so often a day it acts on one person.
RUNS_A_DAY = 3
RETRY_AFTER = timedelta(minutes=1)


def reader(rule: Rule) -> str:
    """The rule's name among readers of boundaries."""
    return f"rule:{rule.pk}"


# --- Saved, enabled, disabled -----------------------------------------------------------------------------------


@transaction.atomic
def save_rule(
    rule: Rule | None, *, name: str, tree: dict[str, Any], rule_actions: list[dict[str, Any]], by: Actor
) -> Rule:
    """Create or change a rule; a changed one is a draft again until enabled. Raises ConditionInvalid or UserError."""
    validate(tree)
    if is_everyone(tree):
        raise UserError(_("规则要有条件,请至少添加一条"), fields={"tree": _("还没有条件")})
    reasons = actions.problems_of(rule_actions)
    if reasons:
        raise UserError(reasons[0], fields={"actions": reasons[0]})
    name = name.strip()
    if not name or len(name) > 60:
        raise UserError(_("请给规则起一个 60 字以内的名字"), fields={"name": _("1 到 60 个字")})
    locks.lock_in_transaction("rule_names")
    if Rule.objects.exclude(pk=rule.pk if rule else 0).filter(name=name).exists():
        raise UserError(
            _("已有名为「%(name)s」的规则,请换一个名字") % {"name": name}, fields={"name": _("名字已被使用")}
        )
    values = {"name": name, "tree": tree, "actions": rule_actions, "field_keys": sorted(field_keys(tree))}
    if rule is None:
        actor_id = by.id if by.kind == "user" else None
        rule = Rule.objects.create(created_at=clock.now(), created_by_id=actor_id, **values)
    else:
        rule = Rule.objects.select_for_update().get(pk=rule.pk)
        rule.version += 1
        rule.state, rule.last_error = State.DRAFT, ""
        for key, value in values.items():
            setattr(rule, key, value)
        rule.save(update_fields=["version", "state", "last_error", *values])
        boundaries.forget(reader(rule))
    audit.record("rule.saved", rule, by=by, version=rule.version)
    return rule


def count_matching(rule: Rule) -> int:
    """How many people match now: shown before enabling."""
    return matching_people(validate(rule.tree), clock.now()).count()


@transaction.atomic
def enable_rule(rule: Rule, *, act_on_existing: bool = False, expected: int | None = None, by: Actor) -> Rule:
    """Start to act. Who matches already is noted and left alone, or, asked for, acted upon too, in batches, soon.

    expected: the count the person saw; with act_on_existing a different one is refused. Raises Conflict, UserError.
    """
    locks.lock_in_transaction(LOCK)  # no batch of marks may run between the baseline and the switch
    rule = Rule.objects.select_for_update().get(pk=rule.pk)
    if rule.state == State.ON:
        return rule
    if not check_rule(rule):
        raise UserError(rule.last_error)
    now = clock.now()
    rule.state, rule.enabled_at, rule.last_error = State.ON, now, ""
    rule.save(update_fields=["state", "enabled_at", "last_error"])
    RuleMatch.objects.filter(rule=rule, left_at__isnull=True).update(left_at=now)
    matched = matching_people(rule.tree, now)
    if act_on_existing:
        ids = list(matched.values_list("pk", flat=True))
        if expected is not None and expected != len(ids):
            text = _("符合的客户已从 %(seen)d 人变为 %(now)d 人,请看过新的人数再启用")
            raise Conflict(text % {"seen": expected, "now": len(ids)})
        dirty.mark(ids, boundaries.recheck_key(reader(rule)), backfill=False)
    else:
        note = '{"baseline": "enabled"}'
        insert_select(
            RuleMatch, matched, {"rule": rule.pk, "rule_version": rule.version, "entered_at": now, "outcome": note}
        )
    boundaries.schedule(reader(rule), rule.tree, None, now)
    audit.record("rule.enabled", rule, by=by, version=rule.version, act_on_existing=act_on_existing)
    return rule


@transaction.atomic
def disable_rule(rule: Rule, *, by: Actor) -> None:
    """Off at once: a batch that runs now is waited for, none after it acts."""
    locks.lock_in_transaction(LOCK)
    Rule.objects.filter(pk=rule.pk, state=State.ON).update(state=State.OFF)
    boundaries.forget(reader(rule))
    audit.record("rule.disabled", rule, by=by)


# --- Consuming marks --------------------------------------------------------------------------------------------


def reads() -> set[str]:
    """Every key some enabled rule reads."""
    found: set[str] = set()
    for rule in Rule.objects.filter(state=State.ON).only("pk", "field_keys"):
        found |= {*rule.field_keys, boundaries.recheck_key(reader(rule))}
    return found


def consume(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """Decide the rules that read what changed, and act for whoever starts to match."""
    _decide_all(root_ids, keys, now, acting=True)


def absorb(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """The same for facts of the first sync: noted, without actions."""
    _decide_all(root_ids, keys, now, acting=False)


def _decide_all(root_ids: Sequence[int], keys: frozenset[str], now: datetime, *, acting: bool) -> None:
    for rule in Rule.objects.filter(state=State.ON).order_by("pk"):
        if keys & {*rule.field_keys, boundaries.recheck_key(reader(rule)), "consumer:rules"}:
            _attempt(rule, root_ids, now, acting=acting)


def _attempt(rule: Rule, root_ids: Sequence[int], now: datetime, *, acting: bool) -> None:
    """A rule that cannot work stops with its reason; one that stumbles comes again; neither holds up the others."""
    try:
        with transaction.atomic():
            _decide(rule, root_ids, now, acting=acting)
    except (UnknownField, UserError) as error:
        break_rule(rule, _("需修复:%(reason)s") % {"reason": error})
    except Exception:
        logger.exception("rule %s failed for %d people; repeated in %s", rule.pk, len(root_ids), RETRY_AFTER)
        key = boundaries.recheck_key(reader(rule))
        dirty.mark(root_ids, key, not_before=now + RETRY_AFTER, backfill=not acting)


def _decide(rule: Rule, root_ids: Sequence[int], now: datetime, *, acting: bool) -> None:
    matched = matching_ids(rule.tree, root_ids, now)
    open_matches = RuleMatch.objects.filter(of_people(root_ids), rule=rule, left_at__isnull=True)
    present = {match.contact_id: match.contact.root_id for match in open_matches.select_related("contact")}
    left = set(present) - matched
    RuleMatch.objects.filter(rule=rule, contact_id__in=left, left_at__isnull=True).update(left_at=now)
    boundaries.schedule(reader(rule), rule.tree, root_ids, now)
    entered = sorted(matched - set(present))
    if entered:
        carried = {root_id for root_id in present.values() if root_id}  # matched as somebody since merged into her
        _enter(rule, entered, carried, now, acting=acting)


def _enter(rule: Rule, entered: Sequence[int], carried: set[int], now: datetime, *, acting: bool) -> None:
    outcomes: dict[int, dict[str, Any]] = {pk: {"baseline": "merged"} for pk in entered if pk in carried}
    fresh = [pk for pk in entered if pk not in carried]
    if acting:
        tired = _acted_too_often(rule, fresh, now)
        outcomes |= {pk: {"skipped": "loop"} for pk in tired}
        outcomes |= _act(rule, [pk for pk in fresh if pk not in tired], now)
    else:
        outcomes |= {pk: {"baseline": "first_sync"} for pk in fresh}
    RuleMatch.objects.bulk_create(
        [
            RuleMatch(rule=rule, contact_id=pk, rule_version=rule.version, entered_at=now, outcome=outcomes[pk])
            for pk in entered
        ],
        batch_size=2000,
    )


def _acted_too_often(rule: Rule, root_ids: Sequence[int], now: datetime) -> set[int]:
    recent = RuleMatch.objects.filter(
        rule=rule, contact_id__in=root_ids, entered_at__gt=now - timedelta(days=1), outcome__has_key="actions"
    )
    counted = recent.values("contact_id").annotate(runs=Count("pk")).filter(runs__gte=RUNS_A_DAY).order_by()
    return set(counted.values_list("contact_id", flat=True))


def _act(rule: Rule, root_ids: Sequence[int], now: datetime) -> dict[int, dict[str, Any]]:
    done: dict[int, dict[str, Any]] = {pk: {"actions": []} for pk in root_ids}
    if not root_ids:
        return done
    reasons = actions.problems_of(rule.actions)
    if reasons:
        raise UserError(reasons[0])
    for action in rule.actions:
        kind = actions.find(action["kind"])
        assert kind is not None
        for pk, note in kind.run(rule, root_ids, action, now).items():
            done[pk]["actions"].append(note)
    return done


def on_merged(merged: Merged) -> None:
    """Two customers are one: of two open matches of a rule hers stays, and the other ends. A single one stays open, so that
    the rule does not act on her once more."""
    taken: set[int] = set()
    for contact_id in (merged.kept, *merged.moved):
        open_matches = RuleMatch.objects.filter(contact_id=contact_id, left_at__isnull=True)
        open_matches.filter(rule_id__in=taken).update(left_at=merged.at)
        taken |= set(open_matches.values_list("rule_id", flat=True))


def uses_of_segment(segment_id: int) -> Iterator[Use]:
    """Enabled rules whose condition reads a segment."""
    for rule in enabled_rules():
        if segment_id in values_read(rule.tree, "segment"):
            yield Use(_("规则「%(name)s」") % {"name": rule.name}, reverse("tagging:rule_detail", args=[rule.pk]))


def uses_of_field(key: str) -> Iterator[str]:
    """Enabled rules and live segments whose condition reads a field."""
    for rule in enabled_rules():
        if reads_field(rule.tree, key):
            yield _("规则「%(name)s」") % {"name": rule.name}
    for segment in live_segments().filter(kind="dynamic"):
        if reads_field(segment.tree, key):
            yield _("人群「%(name)s」") % {"name": segment.name}


def uses_of_stage(stage_id: int) -> Iterator[str]:
    """Enabled rules whose condition reads a stage or whose action leads to it, and segments that read it."""
    for rule in enabled_rules():
        leads = any(one.get("kind") == "stage" and one.get("stage") == stage_id for one in rule.actions)
        if leads or stage_id in values_read(rule.tree, "contact.stage"):
            yield _("规则「%(name)s」") % {"name": rule.name}
    for segment in live_segments().filter(kind="dynamic"):
        if stage_id in values_read(segment.tree, "contact.stage"):
            yield _("人群「%(name)s」") % {"name": segment.name}
