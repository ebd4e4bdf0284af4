"""Deciding and acting: who starts to match, what happened to whom, and the actions, in the transaction that notes them.

Rules take their turn in the order the merchant gave them. Of two that want contradictory things for one person in one batch the
first wins, and the other's record says so (`lost`). A rule does not answer to what it did itself (tagging.causes), acts on one person
so often within 24 hours and no more, and leaves a stage alone that somebody set by hand when that alone made her match.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from conditions import boundaries, dirty
from conditions.compiler import UnknownField
from conditions.consumers import read_once
from conditions.drain import RETRY_AFTER
from contacts.models import StageTransition
from contacts.services.merging import Merged
from contacts.timeline import roots_of
from scrm.lib.errors import UserError
from tagging import actions, causes
from tagging.matching import matching_ids, of_people
from tagging.models import Rule, RuleEvent, RuleMatch
from tagging.policy import runs_a_day
from tagging.queries import enabled_rules
from tagging.services import rule_events, taking_back
from tagging.services.broken import break_rule

logger = logging.getLogger(__name__)
State = Rule.State
BY_STAGE = frozenset({"contact.stage", "event.stage.changed"})
OWN_KEY = "consumer:rules"  # conditions.consumers: all of it comes again
STAGE_ALONE = "rules.stage_alone"  # beside the mark of a repeat: at first nothing but the stage had changed
Outcome = dict[str, Any]


def cap_of(rule: Rule) -> int:
    """How often within 24 hours it acts on one person."""
    return rule.daily_cap or runs_a_day()


@dataclass
class Turn:
    """One batch: what the rules before have claimed of each person, by whom, and why the batch came."""

    now: datetime
    acting: bool = True
    chain: frozenset[int] = frozenset()
    keys: frozenset[str] = frozenset()
    claimed: dict[tuple[int, Any], tuple[Any, Rule]] = field(default_factory=dict)

    def claim(self, rule: Rule, claims: Mapping[Any, Any], root_ids: Iterable[int]) -> dict[int, Rule]:
        """Take what an action claims of these people; those for whom an earlier rule wants otherwise, with that rule."""
        lost: dict[int, Rule] = {}
        for pk in root_ids:
            for key, value in claims.items():
                found = self.claimed.get((pk, key))
                if found is not None and found[0] != value and found[1].pk != rule.pk:
                    lost[pk] = found[1]
            if pk not in lost:
                for key, value in claims.items():
                    self.claimed[pk, key] = (value, rule)
        return lost


# --- Consuming marks --------------------------------------------------------------------------------------------


def reads() -> set[str]:
    """Every key some enabled rule reads, and those that say what happened and whose doing it was."""
    found: set[str] = {rule_events.KEY, causes.EVERYTHING, STAGE_ALONE}
    for rule in Rule.objects.filter(state=State.ON).only("pk", "field_keys", "trigger"):
        found.add(causes.key_of(rule.pk))
        if rule.is_match:
            found |= {*rule.field_keys, boundaries.recheck_key(rule.reader)}
    return found


def consume(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """Decide the rules that read what changed or listen to what happened, and act."""
    _decide_all(root_ids, Turn(now, chain=causes.named_in(keys), keys=keys))


def absorb(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """The same for facts of the first sync: noted, without actions."""
    _decide_all(root_ids, Turn(now, acting=False, keys=keys))


def again(keys: frozenset[str]) -> set[str]:
    """What a repeat must know of the keys seen, beside whose doing it was: that a stage set by hand is to stand."""
    rechecks = {key for key in keys if key.startswith("recheck:")}
    return {STAGE_ALONE} if _says_stage_alone(keys, *rechecks) else set()


def _decide_all(root_ids: Sequence[int], turn: Turn) -> None:
    hears = turn.acting and bool(turn.keys & {rule_events.KEY, OWN_KEY})
    waiting = rule_events.waiting_of(root_ids) if hears else {}
    rules = read_once("rules", lambda: list(enabled_rules()))
    for rule in rules:
        if rule.state != State.ON:
            continue  # it broke at others of the batch
        if rule.is_match and turn.keys & {*rule.field_keys, boundaries.recheck_key(rule.reader), OWN_KEY}:
            _attempt(rule, root_ids, turn)
        if rule.pk in waiting:
            attempt_events(rule, waiting.pop(rule.pk), turn)
    for rows in waiting.values():  # of rules that went off meanwhile
        rule_events.settle(rows, turn.now, "off")


def _attempt(rule: Rule, root_ids: Sequence[int], turn: Turn) -> None:
    """A rule that cannot work stops with its reason; one that stumbles comes again; neither holds up the others."""
    try:
        with transaction.atomic():
            _decide(rule, root_ids, turn)
    except (UnknownField, UserError) as error:
        break_rule(rule, _("需修复:%(reason)s") % {"reason": error})
    except Exception:
        logger.exception("rule %s failed for %d people; repeated in %s", rule.pk, len(root_ids), RETRY_AFTER)
        key = boundaries.recheck_key(rule.reader)
        dirty.mark(root_ids, key, *again(turn.keys), not_before=turn.now + RETRY_AFTER, backfill=not turn.acting)


def _decide(rule: Rule, root_ids: Sequence[int], turn: Turn) -> None:
    matched = matching_ids(rule.tree, root_ids, turn.now)
    open_matches = RuleMatch.objects.filter(of_people(root_ids), rule=rule, left_at__isnull=True)
    present = {match.contact_id: match.contact.root_id for match in open_matches.select_related("contact")}
    _leave(rule, {pk: root_id or pk for pk, root_id in present.items() if pk not in matched}, matched, turn)
    boundaries.schedule(rule.reader, rule.tree, root_ids, turn.now)
    if _is_own_change(rule, turn):
        left_alone = open_matches.filter(outcome={"skipped": "ring"}, contact_id__in=matched)
        for pk in left_alone.values_list("contact_id", flat=True):
            del present[pk]
        left_alone.update(left_at=turn.now)
    entered = sorted(matched - set(present))
    if entered:
        carried = {root_id for root_id in present.values() if root_id}  # matched as somebody since merged into her
        _enter(rule, entered, carried, turn)


def _is_own_change(rule: Rule, turn: Turn) -> bool:
    """Whether something that the rule reads changed by nobody's rule: whom it left alone as another rule's doing may answer to that.
    Neither time is such a change, nor two who became one."""
    is_news = turn.acting and causes.EVERYTHING not in turn.keys and not turn.keys.isdisjoint(rule.field_keys)
    return is_news and not causes.forbids(rule.pk, turn.chain)


def _leave(rule: Rule, left: dict[int, int], matched: Collection[int], turn: Turn) -> None:
    """End the matches (contact → root) of who stopped to match; what the rule put on them goes, where it says so."""
    if not left:
        return
    ended = RuleMatch.objects.filter(rule=rule, contact_id__in=left, left_at__isnull=True)
    gone = {root_id for root_id in left.values() if root_id not in matched}
    if rule.takes_back and gone and turn.acting:
        with causes.within(turn.chain | {rule.pk}):
            causes.mark(sorted(gone))
            taken = taking_back.take_back_tags(rule, sorted(gone))
        rows = [row for row in ended if left[row.contact_id] in taken]
        for row in rows:
            row.outcome = {**row.outcome, "taken_back": taken[left[row.contact_id]]}
        RuleMatch.objects.bulk_update(rows, ["outcome"], batch_size=1000)
    ended.update(left_at=turn.now)


def _enter(rule: Rule, entered: Sequence[int], carried: set[int], turn: Turn) -> None:
    outcomes: dict[int, Outcome] = {pk: {"baseline": "merged"} for pk in entered if pk in carried}
    fresh = [pk for pk in entered if pk not in carried]
    if not turn.acting:
        outcomes |= {pk: {"baseline": "first_sync"} for pk in fresh}
    elif causes.forbids(rule.pk, turn.chain):
        outcomes |= {pk: {"skipped": "ring"} for pk in fresh}
    else:
        runs = runs_within_a_day(rule, fresh, turn.now)
        tired = {pk for pk in fresh if runs[pk] >= cap_of(rule)}
        outcomes |= {pk: {"skipped": "loop"} for pk in tired}
        own = boundaries.recheck_key(rule.reader)
        held = _set_by_hand(fresh) if _says_stage_alone(turn.keys, own) else set()
        outcomes |= act(rule, [pk for pk in fresh if pk not in tired], turn, held=held)
    RuleMatch.objects.bulk_create(
        [
            RuleMatch(rule=rule, contact_id=pk, rule_version=rule.version, entered_at=turn.now, outcome=outcomes[pk])
            for pk in entered
        ],
        batch_size=2000,
    )


def runs_within_a_day(rule: Rule, root_ids: Sequence[int], now: datetime) -> Counter[int]:
    """Root id → how often the rule acted on her within the last 24 hours. Two queries."""
    since, counts = now - timedelta(days=1), Counter[int]()
    matches = RuleMatch.objects.filter(rule=rule, entered_at__gt=since)
    events = RuleEvent.objects.filter(rule=rule, settled_at__gt=since, state=RuleEvent.State.DONE)
    for rows in (matches, events):
        acted = rows.filter(of_people(root_ids), outcome__has_key="actions").values("contact_id", "contact__root_id")
        for contact_id, root_id, runs in (
            acted.annotate(runs=Count("pk")).order_by().values_list("contact_id", "contact__root_id", "runs")
        ):
            counts[root_id or contact_id] += runs
    return counts


# --- Events -----------------------------------------------------------------------------------------------------


def attempt_events(rule: Rule, rows: Sequence[RuleEvent], turn: Turn) -> bool:
    """As _attempt, for what happened: a rule that cannot work leaves it undone; one that stumbles finds it waiting (False)."""
    try:
        with transaction.atomic():
            work_off(rule, rows, turn)
    except (UnknownField, UserError) as error:
        break_rule(rule, _("需修复:%(reason)s") % {"reason": error})
        rule_events.drop_waiting(rule, "broken", turn.now)
    except Exception:
        logger.exception("rule %s failed for %d events; repeated in %s", rule.pk, len(rows), RETRY_AFTER)
        people = {row.contact_id for row in rows}
        dirty.mark(people, rule_events.KEY, not_before=turn.now + RETRY_AFTER, backfill=False)
        return False
    return True


def work_off(rule: Rule, rows: Sequence[RuleEvent], turn: Turn) -> None:
    """Judge the conditions now and act, once for each row. What was written before the rule was last switched on is left undone."""
    root_of = roots_of(row.contact_id for row in rows)
    stale = [row for row in rows if is_stale(rule, row) or row.contact_id not in root_of]
    rule_events.settle(stale, turn.now, "off")
    waiting = [row for row in rows if row not in stale]
    roots = sorted({root_of[row.contact_id] for row in waiting})
    if not roots:
        return
    matched = matching_ids(rule.tree, roots, turn.now)
    runs = runs_within_a_day(rule, roots, turn.now)
    rounds: dict[tuple[int, tuple[int, ...]], list[RuleEvent]] = defaultdict(list)
    nth: Counter[int] = Counter()
    for row in waiting:
        root_id = root_of[row.contact_id]
        reason = _reason_against(rule, row, root_id, matched, runs)
        if reason:
            row.outcome = {"skipped": reason}
            continue
        runs[root_id] += 1
        rounds[nth[root_id], tuple(row.chain)].append(row)
        nth[root_id] += 1
    for (_number, chain), group in sorted(rounds.items()):
        outcomes = act(rule, sorted({root_of[row.contact_id] for row in group}), turn, chain)
        for row in group:
            row.outcome = outcomes[root_of[row.contact_id]]
    rule_events.settle(waiting, turn.now)


def is_stale(rule: Rule, row: RuleEvent) -> bool:
    """Of before the rule was last switched on, or of another version."""
    return (
        rule.state != State.ON
        or row.rule_version != rule.version
        or bool(rule.enabled_at and row.written_at < rule.enabled_at)
    )


def _reason_against(rule: Rule, row: RuleEvent, root_id: int, matched: set[int], runs: Counter[int]) -> str:
    if causes.forbids(rule.pk, row.chain):
        return "ring"
    if root_id not in matched:
        return "unmatched"
    return "loop" if runs[root_id] >= cap_of(rule) else ""


# --- Acting -----------------------------------------------------------------------------------------------------


def act(
    rule: Rule, root_ids: Sequence[int], turn: Turn, chain: Sequence[int] = (), *, held: Collection[int] = ()
) -> dict[int, Outcome]:
    """Do the rule's actions for these people; root id → what was done, what a rule before it would not have, what was held back.

    held: those whose stage is to stay.

    Raises UserError when an action cannot run.
    """
    done: dict[int, Outcome] = {pk: {"actions": []} for pk in root_ids}
    if not root_ids:
        return done
    reasons = actions.problems_of(rule.actions)
    if reasons:
        raise UserError(reasons[0])
    with causes.within(turn.chain | {*chain, rule.pk}):
        causes.mark(root_ids)
        for action in rule.actions:
            kind = actions.find(action["kind"])
            assert kind is not None
            lost = turn.claim(rule, kind.claims(action), root_ids)
            for pk, winner in lost.items():
                done[pk].setdefault("lost", []).append({"kind": kind.key, "to": winner.name})
            free = [pk for pk in root_ids if pk not in lost]
            if kind.key == "stage":
                for pk in set(free) & set(held):
                    done[pk]["held"] = True
                free = [pk for pk in free if pk not in held]
            for pk, note in kind.run(rule, free, action, turn.now).items() if free else ():
                done[pk]["actions"].append(note)
    for outcome in done.values():
        if not outcome["actions"] and ("lost" in outcome or "held" in outcome):
            del outcome["actions"]
    return done


def _says_stage_alone(keys: frozenset[str], *repeated: str) -> bool:
    """Whether nothing but the stage changed, or had when what is repeated (by marks of these keys) was tried first: a rule would at
    once undo what was set by hand, which stands until other facts bring her again."""
    if causes.EVERYTHING in keys:
        return False
    said = {key for key in keys if not key.startswith((dirty.CAUSE, "segment:")) and key != rule_events.KEY}
    if STAGE_ALONE in said:
        return said - {STAGE_ALONE, OWN_KEY, *repeated} <= BY_STAGE
    return bool(said) and said <= BY_STAGE


def _set_by_hand(root_ids: Sequence[int]) -> set[int]:
    """Those whose stage somebody set by hand."""
    rows = StageTransition.objects.filter(contact_id__in=root_ids).order_by("contact_id", "-changed_at", "-pk")
    last = rows.distinct("contact_id").values_list("contact_id", "source")
    return {pk for pk, source in last if source == "manual"}


def on_merged(merged: Merged) -> None:
    """Two customers are one: of two open matches of a rule hers stays, and the other ends. A single one stays open, so that
    the rule does not act on her once more."""
    taken: set[int] = set()
    for contact_id in (merged.kept, *merged.moved):
        open_matches = RuleMatch.objects.filter(contact_id=contact_id, left_at__isnull=True)
        open_matches.filter(rule_id__in=taken).update(left_at=merged.at)
        taken |= set(open_matches.values_list("rule_id", flat=True))
