"""What happens to people and rules listen to: RuleEvents, written in the transaction of the fact, worked off after it by the loop."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Q

from conditions import dirty
from contacts.timeline import Fact
from scrm.lib import clock
from tagging import causes, triggers
from tagging.matching import of_people
from tagging.models import Rule, RuleEvent
from tagging.queries import enabled_rules
from tagging.segments import Change

KEY = "rules.event"  # of the marks that wake the rules for an event
State = RuleEvent.State


def on_facts(facts: Sequence[Fact]) -> None:
    """Note the facts that a rule's trigger answers to: news alone, of after the rule was switched on. WeCom tells whole seconds, so what
    happened within the second in which it was is of before."""
    if dirty.is_backfill():
        return
    kinds = {fact.kind for fact in facts if fact.contact_id and fact.source in triggers.NEWS}
    if not kinds:
        return
    for rule in enabled_rules().filter(trigger__isnull=False):
        trigger = triggers.find(rule.when.get("kind"))
        if trigger is None or not kinds & trigger.kinds(rule.when):
            continue
        wanted = triggers.events_of(rule.when)
        if wanted is not None:
            ids = [fact.id for fact in facts if fact.kind in kinds]
            answered = set(wanted.filter(pk__in=ids, occurred_at__gte=rule.enabled_at).values_list("pk", flat=True))
            note(
                rule,
                [
                    (fact.contact_id, f"fact:{fact.fact_key}", fact.occurred_at)
                    for fact in facts
                    if fact.id in answered and fact.contact_id
                ],
            )


def on_segment_changes(changes: Sequence[Change]) -> None:
    """Note who entered or left a segment that a rule's trigger names, by her own change: not by an edit or a first computing of it."""
    own = {change.segment_id: change for change in changes if change.cause != "build"}
    if not own or dirty.is_backfill():
        return
    for rule in enabled_rules().filter(trigger__kind="segment", trigger__segment__in=list(own)):
        change = own[rule.when["segment"]]
        people = change.entered if rule.when.get("way") == "enter" else change.left
        key = f"segment:{change.segment_id}:{rule.when.get('way')}:{change.at.timestamp():.6f}"
        note(rule, [(pk, f"{key}:{pk}", change.at) for pk in people])


def note(rule: Rule, rows: Sequence[tuple[int, str, datetime]]) -> None:
    """Write (contact, key, when it happened) for a rule, once each, with whose doing it was, and wake the loop."""
    if not rows:
        return
    now = clock.now()
    RuleEvent.objects.bulk_create(
        [
            RuleEvent(
                rule=rule,
                contact_id=pk,
                rule_version=rule.version,
                trigger_key=key,
                happened_at=at,
                written_at=now,
                chain=sorted(causes.of(pk)),
            )
            for pk, key, at in rows
        ],
        batch_size=1000,
        ignore_conflicts=True,
    )
    dirty.mark({pk for pk, _key, _at in rows}, KEY, backfill=False)


def waiting_of(root_ids: Sequence[int]) -> dict[int, list[RuleEvent]]:
    """Rule id → what waits of these people, locked, in the order in which it happened. Not what a schedule or a job works off."""
    rows = RuleEvent.objects.select_for_update(of=("self",)).filter(of_people(root_ids), ON_MARKS, state=State.WAITING)
    found: dict[int, list[RuleEvent]] = defaultdict(list)
    for row in rows.select_related("contact").order_by("happened_at", "pk"):
        found[row.rule_id].append(row)
    return found


ON_MARKS = Q(job_id__isnull=True) & ~Q(trigger_key__startswith="slot:")


def settle(rows: Iterable[RuleEvent], now: datetime, skipped: str = "") -> None:
    """Write what became of them: `outcome` as it stands, or left undone for a reason."""
    settled = list(rows)
    for row in settled:
        if skipped:
            row.outcome = {"skipped": skipped}
        row.state = State.SKIPPED if "skipped" in row.outcome else State.DONE
        row.settled_at = now
    RuleEvent.objects.bulk_update(settled, ["state", "outcome", "settled_at"], batch_size=1000)


def drop_waiting(rule: Rule, reason: str, now: datetime) -> None:
    """Nothing that still waits for the rule is done: it is off, broken or another by now."""
    waiting = RuleEvent.objects.filter(rule=rule, state=State.WAITING)
    waiting.update(state=State.SKIPPED, outcome={"skipped": reason}, settled_at=now)
