"""Rules: saved as versions, put in order, switched on and off. What they do is rule_running's.

Enabling notes everybody who matches already (a baseline without actions), so that a rule speaks of what happens from then on.
Facts of the first sync are noted the same way.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from conditions import boundaries, dirty
from conditions.drain import LOCK
from conditions.models import DirtyMark
from conditions.reading import field_keys
from conditions.schema import validate
from conditions.sweeps import room
from conditions.tree import is_everyone
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from scrm.lib.numbers import whole_number
from tagging import actions, matching, naming, triggers
from tagging.matching import all_who_match, insert_select
from tagging.models import Rule, RuleMatch, RuleVersion
from tagging.policy import MOST_RUNS_A_DAY
from tagging.queries import enabled_rules
from tagging.services import rule_events, rule_schedule
from tagging.services.broken import check_rule
from tagging.services.rule_authority import refuse_beyond
from tenants import audit, locks
from tenants.audit import Actor
from tenants.services.policies import change_policy

State = Rule.State
ORDER_LOCK = "rule_order"

# --- Saved, enabled, disabled -----------------------------------------------------------------------------------


@transaction.atomic
def save_rule(
    rule: Rule | None,
    *,
    name: str,
    tree: dict[str, Any],
    rule_actions: list[dict[str, Any]],
    by: Actor,
    trigger: dict[str, Any] | None = None,
    daily_cap: int | None = None,
    takes_back: bool = False,
) -> Rule:
    """Create or change a rule, as a new version; a changed one is a draft again until enabled. trigger None: starts to match.

    Raises ConditionInvalid, UserError, or NotAllowed for an action that `by` may not do herself.
    """
    validate(tree)
    when = trigger or {"kind": "match"}
    is_match = when.get("kind") == "match"
    _check(when, tree, rule_actions, daily_cap, takes_back=takes_back)
    refuse_beyond(rule_actions, by)
    name = name.strip()
    if not name or len(name) > 60:
        raise UserError(_("请给规则起一个 60 字以内的名字"), fields={"name": _("1 到 60 个字")})
    locks.lock_in_transaction("rule_names")
    if Rule.objects.exclude(pk=rule.pk if rule else 0).filter(name=name).exists():
        raise UserError(
            _("已有名为「%(name)s」的规则,请换一个名字") % {"name": name}, fields={"name": _("名字已被使用")}
        )
    now = clock.now()
    values = {
        "name": name, "tree": tree, "actions": rule_actions, "field_keys": sorted(field_keys(tree)),
        "trigger": None if is_match else when, "daily_cap": daily_cap, "takes_back": takes_back,
    }  # fmt: skip
    if rule is None:
        actor_id = by.id if by.kind == "user" else None
        last = Rule.objects.aggregate(last=Max("position"))["last"]
        rule = Rule.objects.create(created_at=now, created_by_id=actor_id, position=(last or 0) + 1, **values)
    else:
        locks.lock_in_transaction(LOCK)  # what runs of it now ends before it is another
        rule = Rule.objects.select_for_update().get(pk=rule.pk)
        keep_version(rule, saved_by_id=rule.created_by_id)  # of before versions were kept
        rule.version += 1
        rule.state, rule.last_error, rule.next_run_at = State.DRAFT, "", None
        for key, value in values.items():
            setattr(rule, key, value)
        rule.save(update_fields=["version", "state", "last_error", "next_run_at", *values])
        boundaries.forget(rule.reader)
        rule_events.drop_waiting(rule, "off", now)
    keep_version(rule, saved_by_id=by.id if by.kind == "user" else None)
    audit.record("rule.saved", rule, by=by, version=rule.version)
    return rule


def _check(
    when: dict[str, Any], tree: dict[str, Any], rule_actions: list[dict[str, Any]], cap: int | None, *, takes_back: bool
) -> None:
    reasons = triggers.problems_of(when)
    if reasons:
        raise UserError(reasons[0], fields={"trigger": reasons[0]})
    is_match = when["kind"] == "match"
    if is_match and is_everyone(tree):
        raise UserError(_("规则要有条件,请至少添加一条"), fields={"tree": _("还没有条件")})
    if takes_back and not is_match:
        raise UserError(_("「不再符合时撤销」只用于「客户开始符合条件」的规则,请取消勾选。"))
    if cap is not None and not 1 <= cap <= MOST_RUNS_A_DAY:
        raise UserError(_("每位客户每天的次数请写 1 到 %(most)d,或留空") % {"most": MOST_RUNS_A_DAY})
    reasons = actions.problems_of(rule_actions) or actions.contradictions_in(rule_actions)
    if reasons:
        raise UserError(reasons[0], fields={"actions": reasons[0]})


def keep_version(rule: Rule, *, saved_by_id: int | None) -> None:
    """Keep the rule as it is under its number, unless that is kept already."""
    RuleVersion.objects.bulk_create(
        [
            RuleVersion(
                rule=rule, number=rule.version, trigger=rule.trigger, tree=rule.tree, actions=rule.actions,
                daily_cap=rule.daily_cap, takes_back=rule.takes_back, saved_at=clock.now(), saved_by_id=saved_by_id,
            )
        ],
        ignore_conflicts=True,
    )  # fmt: skip


@transaction.atomic
def shift_rule(rule_id: int, *, later: bool, by: Actor) -> None:
    """One place up or down in the order; at its end nothing moves."""
    locks.lock_in_transaction(ORDER_LOCK)
    ids = list(Rule.objects.order_by("position", "pk").values_list("pk", flat=True))
    at = ids.index(rule_id)
    to = at + 1 if later else at - 1
    if not 0 <= to < len(ids):
        return
    ids[at], ids[to] = ids[to], ids[at]
    place_rules(ids)
    audit.record("rule.moved", Rule.objects.get(pk=rule_id), by=by, place=to + 1)


def place_rules(ids: Sequence[int]) -> None:
    """Number the rules in this order."""
    Rule.objects.bulk_update([Rule(pk=pk, position=place) for place, pk in enumerate(ids, start=1)], ["position"])


@transaction.atomic
def save_default_cap(given: str, *, by: Actor) -> int:
    """How often within 24 hours a rule acts on one person where it says nothing itself. Raises UserError."""
    most = whole_number(given)
    if most is None or not 1 <= most <= MOST_RUNS_A_DAY:
        raise UserError(_("每位客户每天的次数请写 1 到 %(most)d") % {"most": MOST_RUNS_A_DAY})
    change_policy("tagging", runs_a_day=most)
    audit.record("rule.cap_saved", None, by=by, runs_a_day=most)
    return most


def count_matching(rule: Rule) -> int:
    """How many people match now: shown before enabling."""
    return matching.count_matching(validate(rule.tree), clock.now())


@transaction.atomic
def enable_rule(rule: Rule, *, act_on_existing: bool = False, expected: int | None = None, by: Actor) -> Rule:
    """Start to act. Who matches already is noted and left alone, or, asked for, acted upon too, in batches, soon.

    expected: the count the person saw; with act_on_existing a different one is refused. Raises Conflict, UserError; NotAllowed as for saving.
    """
    locks.lock_in_transaction(LOCK)  # no batch of marks may run between the baseline and the switch
    rule = Rule.objects.select_for_update().get(pk=rule.pk)
    if rule.state == State.ON:
        return rule
    refuse_beyond(rule.actions, by)
    if not check_rule(rule):
        raise UserError(rule.last_error)
    now = clock.now()
    rule.state, rule.enabled_at, rule.last_error = State.ON, now, ""
    rule.next_run_at = rule_schedule.next_slot(rule.when, now)
    rule.save(update_fields=["state", "enabled_at", "last_error", "next_run_at"])
    RuleMatch.objects.filter(rule=rule, left_at__isnull=True).update(left_at=now)
    rule_events.drop_waiting(rule, "off", now)
    if rule.is_match:
        _note_who_matches(rule, act_on_existing=act_on_existing, expected=expected)
    else:
        rule_schedule.plan(rule)
    audit.record("rule.enabled", rule, by=by, version=rule.version, act_on_existing=act_on_existing and rule.is_match)
    return rule


def _note_who_matches(rule: Rule, *, act_on_existing: bool, expected: int | None) -> None:
    now = clock.now() if rule.enabled_at is None else rule.enabled_at
    matched = all_who_match(rule.tree, now)
    if act_on_existing:
        with room():
            count = _mark_all(matched, boundaries.recheck_key(rule.reader))
        if expected is not None and expected != count:
            text = _("符合的客户已从 %(seen)d 人变为 %(now)d 人,请看过新的人数再启用")
            raise Conflict(text % {"seen": expected, "now": count})
    else:
        note = '{"baseline": "enabled"}'
        noted = {"rule": rule.pk, "rule_version": rule.version, "entered_at": now, "outcome": note}
        with room():
            insert_select(RuleMatch, matched, noted)
    boundaries.schedule(rule.reader, rule.tree, None, now)


def _mark_all(matched: QuerySet[Any], key: str) -> int:
    """A mark for each; how many. A rule that is off has no others of its key, and the loop waits for us."""
    sql, params = matched.values_list("pk").query.sql_with_params()
    dirty.mark_selected(f"SELECT matched.id, %s::text FROM ({sql}) AS matched (id)", [key, *params])
    return DirtyMark.objects.filter(field_key=key, not_before__isnull=True).count()


@transaction.atomic
def disable_rule(rule: Rule, *, by: Actor) -> None:
    """Off at once: a batch that runs now is waited for, none after it acts, and what waits for the rule is never done."""
    locks.lock_in_transaction(LOCK)
    Rule.objects.filter(pk=rule.pk, state=State.ON).update(state=State.OFF, next_run_at=None)
    boundaries.forget(rule.reader)
    rule_events.drop_waiting(rule, "off", clock.now())
    audit.record("rule.disabled", rule, by=by)


# --- Contradictions ---------------------------------------------------------------------------------------------


def conflicts_among(wanted: Sequence[Rule]) -> dict[int, list[tuple[Rule, str, bool]]]:
    """Of these rules, those whose actions contradict a live rule's: rule id → (the other, its action in words, whether the first of the
    two is this one and so wins)."""
    live = list(enabled_rules())
    with naming.read_together([*wanted, *live]):
        return _conflicts(wanted, live)


def _conflicts(wanted: Sequence[Rule], live: Sequence[Rule]) -> dict[int, list[tuple[Rule, str, bool]]]:
    claims = {rule.pk: [(action, actions.claims_of(action)) for action in rule.actions] for rule in {*wanted, *live}}
    found: dict[int, list[tuple[Rule, str, bool]]] = {}
    for rule in wanted:
        mine: dict[Any, set[Any]] = {}
        for _action, decided in claims[rule.pk]:
            for key, value in decided.items():
                mine.setdefault(key, set()).add(value)
        for other in live:
            against = [
                action
                for action, theirs in claims[other.pk]
                if any(mine.get(key, {value}) != {value} for key, value in theirs.items())
            ]
            if other.pk != rule.pk and against:
                wins = (rule.position, rule.pk) < (other.position, other.pk)
                found.setdefault(rule.pk, []).append((other, actions.in_words(against), wins))
    return found


def moves_back(rule: Rule) -> bool:
    """Whether it reads the stage and sets one: what somebody moves by hand may make it act, once other facts change."""
    return "contact.stage" in rule.field_keys and any(action.get("kind") == "stage" for action in rule.actions)


def movers_back() -> Iterator[str]:
    """The enabled rules of that sort, for whoever is about to move people by hand."""
    for rule in enabled_rules():
        if moves_back(rule):
            yield _("规则「%(name)s」:%(then)s") % {"name": rule.name, "then": actions.in_words(rule.actions)}
