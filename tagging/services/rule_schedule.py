"""Rules with a schedule: at a time of the merchant's clock, everybody who matches then, once per time.

A time is a row (RuleSlot), written with the rows of its people in one transaction, so that a restart neither loses nor repeats it. One
that we come to too late is skipped, and says so. The people are worked off in batches, those of one person together, so that rules of
the same time take their turns.
"""

import calendar
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as day_time
from typing import Any

from django.db import transaction
from django.db.models import Min, QuerySet

from conditions.compiler import UnknownField
from conditions.drain import LOCK
from conditions.people import families
from conditions.sweeps import room
from conditions.windows import zone
from scrm.lib import clock
from tagging.matching import all_who_match, insert_select
from tagging.models import Rule, RuleEvent, RuleSlot
from tagging.queries import enabled_rules
from tagging.services import rule_events, rule_running
from tagging.services.broken import break_rule, check_rule
from tagging.triggers import minute_of
from tenants import jobs, locks

LANE = "rules"
BATCH = 500
LATEST = timedelta(hours=6)  # behind its time: what was meant for the morning is not done at night


def next_slot(when: dict[str, Any], after: datetime) -> datetime | None:
    """The first time of a schedule after an instant; None for a trigger that is no schedule.

    A clock time that a change to summer time leaves out is the one an hour later; one that comes twice is the first.
    """
    if when.get("kind") != "schedule":
        return None
    minutes = minute_of(when["time"]) or 0
    at, local = day_time(minutes // 60, minutes % 60), after.astimezone(zone()).date() - timedelta(days=1)
    for ahead in range(70):
        day = local + timedelta(days=ahead)
        slot = datetime.combine(day, at, zone()).astimezone(UTC)
        if _is_day(when, day) and slot > after:
            return slot
    raise ValueError(f"no day within ten weeks suits {when}")


def _is_day(when: dict[str, Any], day: date) -> bool:
    if when["every"] == "week":
        return day.isoweekday() == int(when["weekday"])
    if when["every"] == "month":
        return day.day == min(int(when["day"]), calendar.monthrange(day.year, day.month)[1])
    return True


def plan(rule: Rule) -> None:
    """Wake the lane when the rule's time comes."""
    if rule.next_run_at is not None:
        jobs.nudge(LANE, due_at=rule.next_run_at)


# --- The lane ---------------------------------------------------------------------------------------------------


def drain(deadline: datetime) -> bool:
    """Begin the times that are due and work off their people, until nothing is or the slice is over; True when some are left."""
    stumbled: set[int] = set()  # rules that wait for the sweep, so that they hold up no other
    while clock.wall() < deadline:
        if not _begin_one() and not _work_off_some(stumbled):
            return False
    return True


def next_due() -> datetime | None:
    """The next time of a schedule."""
    found: datetime | None = _scheduled().aggregate(at=Min("next_run_at"))["at"]
    return found


def count_due() -> int:
    """What is to be done at this instant, for sandbox drivers."""
    return _scheduled().filter(next_run_at__lte=clock.now()).count() + _waiting().count()


def _scheduled() -> QuerySet[Rule]:
    return Rule.objects.filter(state=Rule.State.ON, next_run_at__isnull=False)


def _waiting() -> QuerySet[RuleEvent]:
    return RuleEvent.objects.filter(state=RuleEvent.State.WAITING, trigger_key__startswith="slot:", job_id__isnull=True)


@transaction.atomic
def _begin_one() -> bool:
    """Write a time that is due, with its people; False when there is none."""
    locks.lock_in_transaction(LOCK)  # as whoever switches a rule on or off
    now = clock.now()
    rule = (
        _scheduled().select_for_update().filter(next_run_at__lte=now).order_by("next_run_at", "position", "pk").first()
    )
    if rule is None or rule.next_run_at is None:
        return False
    slot = rule.next_run_at
    if not check_rule(rule):
        return True
    is_missed = now - slot > LATEST
    people = 0 if is_missed else _note_people(rule, slot, now)
    if rule.state != Rule.State.ON:
        return True
    RuleSlot.objects.create(
        rule=rule, slot_at=slot, rule_version=rule.version, seen_at=now, is_missed=is_missed, people=people
    )
    rule.next_run_at = next_slot(rule.when, slot)
    rule.save(update_fields=["next_run_at"])
    plan(rule)
    return True


def _note_people(rule: Rule, slot: datetime, now: datetime) -> int:
    prefix = f"slot:{slot.isoformat()}:"
    try:
        with transaction.atomic():
            return insert_keyed(rule, prefix, slot, now)
    except UnknownField as error:
        break_rule(rule, str(error))
        return 0


def insert_keyed(rule: Rule, prefix: str, at: datetime, now: datetime, job_id: int | None = None) -> int:
    """A waiting row for each who matches now, its key the prefix and her id; how many. One statement."""
    constants = {
        "rule": rule.pk, "rule_version": rule.version, "happened_at": at, "written_at": now, "chain": "[]", "outcome": "{}",
        "state": RuleEvent.State.WAITING.value, "job_id": job_id,
    }  # fmt: skip
    with room():
        return insert_select(RuleEvent, all_who_match(rule.tree, now), constants, keyed=("trigger_key", prefix))


@transaction.atomic
def _work_off_some(stumbled: set[int]) -> bool:
    """One batch of people, each with everything that waits for her; False when nobody waits. A rule that stumbles joins `stumbled`,
    and its people wait for the sweep."""
    locks.lock_in_transaction(LOCK)
    waiting = _waiting().exclude(rule_id__in=stumbled)
    people = list(waiting.order_by("contact_id").values_list("contact_id", flat=True).distinct()[:BATCH])
    if people:
        stumbled |= work_off(waiting.filter(contact_id__in=people), clock.now())
    return bool(people)


def work_off(waiting: QuerySet[RuleEvent], now: datetime) -> set[int]:
    """Work off these rows, rule by rule in their order; the rules that stumbled. Under conditions.drain.LOCK."""
    rows: dict[int, list[RuleEvent]] = defaultdict(list)
    for row in waiting.select_for_update(of=("self",)).order_by("pk"):
        rows[row.rule_id].append(row)
    turn, stumbled = rule_running.Turn(now), set[int]()
    for rule in enabled_rules().filter(pk__in=list(rows)):
        if not rule_running.attempt_events(rule, _once_each(rule, rows.pop(rule.pk), now), turn):
            stumbled.add(rule.pk)
    for left in rows.values():
        rule_events.settle(left, now, "off")
    return stumbled


def _once_each(rule: Rule, rows: Sequence[RuleEvent], now: datetime) -> list[RuleEvent]:
    """Without those of who became one person with another since their time (or job) noted them both: that says so. Her own row stays
    rather than that of whom she took in; whom the rule acted on before they were one, it does not act on again."""
    root_of = families({row.contact_id for row in rows})
    taken = _acted_on(rule, rows, root_of)
    kept, twins = list[RuleEvent](), list[RuleEvent]()
    for row in sorted(rows, key=lambda row: (root_of.get(row.contact_id) != row.contact_id, row.pk)):
        place = (_occasion(row), root_of.get(row.contact_id, row.contact_id))
        (twins if place in taken else kept).append(row)
        taken.add(place)
    rule_events.settle(twins, now, "twin")
    return kept


def _acted_on(rule: Rule, rows: Sequence[RuleEvent], root_of: dict[int, int]) -> set[tuple[str, int]]:
    """(occasion, root) of those whose other contacts the rule acted on already. No query where nobody was merged."""
    here = {row.contact_id for row in rows}
    others = {pk: root_id for pk, root_id in root_of.items() if pk not in here}
    if not others:
        return set()
    keys = {f"{occasion}:{pk}" for occasion in {_occasion(row) for row in rows} for pk in others}
    done = RuleEvent.objects.filter(rule=rule, trigger_key__any_of=keys, state=RuleEvent.State.DONE)
    return {(_occasion(row), others[row.contact_id]) for row in done if row.contact_id in others}


def _occasion(row: RuleEvent) -> str:
    """The time or the job that noted it (insert_keyed)."""
    return row.trigger_key.rpartition(":")[0]
