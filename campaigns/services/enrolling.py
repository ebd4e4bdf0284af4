"""Who enters a SOP, and when each step will be due for her. Called with the facts newly written, in their transaction."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from accounts.scope import scope_from_json
from campaigns.models import Enrollment, EnrollmentStep, SopStep, SopVersion
from campaigns.policy import SendPolicy, send_policy
from campaigns.schedule import slot_of
from campaigns.services.broadcasts import LANE
from campaigns.services.marking import mark_runs
from campaigns.triggers import LIVE_SOURCES, all_triggers
from conditions.compiler import compile_tree
from conditions.people import people
from conditions.schema import is_sound
from contacts.models import Follow
from contacts.timeline import Fact, roots_of
from scrm.lib import clock
from tenants import jobs

logger = logging.getLogger(__name__)


def on_facts(events: Sequence[Fact]) -> None:
    """Enrol whom the facts start a SOP for: live facts only, once per fact, once at a time per SOP."""
    kinds = {trigger.kind: trigger.key for trigger in all_triggers()}
    relevant = [event for event in events if event.kind in kinds and event.contact_id and event.source in LIVE_SOURCES]
    if not relevant:
        return
    for version in running_versions({kinds[event.kind] for event in relevant}):
        enrol(version, [event for event in relevant if kinds[event.kind] == version.trigger], now=clock.now())


def running_versions(trigger_keys: Iterable[str]) -> list[SopVersion]:
    """The latest released version of each SOP that runs and has one of the triggers. One query, and the steps'."""
    rows = (
        SopVersion.objects.filter(sop__state="on", released_at__isnull=False)
        .order_by("sop_id", "-number")
        .distinct("sop_id")
        .select_related("sop")
        .prefetch_related("steps")
    )
    wanted = set(trigger_keys)
    return [row for row in rows if row.trigger in wanted]


def enrol(version: SopVersion, events: Sequence[Fact], *, now: datetime) -> int:
    """Enrol the people of the facts in a version. How many entered. A constant number of queries."""
    roots = roots_of(event.contact_id for event in events if event.contact_id)
    inside = [event for event in events if event.contact_id in roots and _is_within(version, event)]
    allowed = _entering(version, {roots[event.contact_id or 0] for event in inside}, now)
    follows = _follows_of(inside)
    first: dict[int, Fact] = {}
    for event in sorted(inside, key=lambda one: (one.occurred_at, one.id)):
        root = roots[event.contact_id or 0]
        if root in allowed:
            first.setdefault(root, event)
    rows = [
        Enrollment(
            version=version,
            sop_id=version.sop_id,
            target=f"c{root}",
            contact_id=root,
            follow_id=follows.get((event.identity_id, event.member_id)),
            trigger_key=event.fact_key[:120],
            entered_at=event.occurred_at,
            is_holdout=is_held_out(root, version),
        )
        for root, event in first.items()
    ]
    Enrollment.objects.bulk_create(rows, ignore_conflicts=True)
    return _schedule(version, [row.trigger_key for row in rows], now)


def _is_within(version: SopVersion, event: Fact) -> bool:
    scope = scope_from_json(version.within)
    if scope.sees_all:
        return True
    return (
        event.store_id in scope.store_ids or event.region_id in scope.region_ids or event.dealer_id in scope.dealer_ids
    )


def _entering(version: SopVersion, root_ids: set[int], now: datetime) -> set[int]:
    if not version.entry_tree:
        return root_ids
    if not is_sound(version.entry_tree):
        logger.warning("the entry condition of SOP version %s names what is gone, and holds for nobody", version.pk)
        return set()
    return set(people().filter(compile_tree(version.entry_tree, now), pk__in=root_ids).values_list("pk", flat=True))


def _follows_of(events: Sequence[Fact]) -> dict[tuple[int | None, int | None], int]:
    rows = Follow.objects.filter(
        identity_id__in=[event.identity_id for event in events], member_id__in=[event.member_id for event in events]
    )
    return {(identity, member): pk for pk, identity, member in rows.values_list("pk", "identity_id", "member_id")}


def holdout_key(version: SopVersion) -> str:
    """One draw for the whole run: she is held out of every step or of none."""
    return f"sop:{version.pk}"


def is_held_out(root_id: int, version: SopVersion) -> bool:
    """The draw of services.freezing, in Python."""
    digest = hashlib.md5(f"{root_id}:{holdout_key(version)}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % 10_000 < version.holdout_percent * 100


def _schedule(version: SopVersion, trigger_keys: Sequence[str], now: datetime) -> int:
    """Steps of the enrolments just made: those already past are 已错过, never sent late."""
    fresh = list(Enrollment.objects.filter(sop_id=version.sop_id, trigger_key__in=trigger_keys, steps__isnull=True))
    steps, policy = list(version.steps.all()), send_policy()
    planned = [_step(enrollment, step, now, policy) for enrollment in fresh for step in steps]
    EnrollmentStep.objects.bulk_create(planned, batch_size=1000)
    mark_runs(fresh)
    move_on(fresh, now)
    for slot in {step.slot_at for step in planned if step.state == "due"}:
        jobs.nudge(LANE, due_at=slot)
    return len(fresh)


def _step(enrollment: Enrollment, step: SopStep, now: datetime, policy: SendPolicy) -> EnrollmentStep:
    sending = step.sending
    slot_at = slot_of(enrollment.entered_at, sending.day, sending.slot, policy)
    state: Any = "missed" if slot_at <= now else "due"
    return EnrollmentStep(enrollment=enrollment, step=step, slot_at=slot_at, state=state)


def move_on(enrollments: Sequence[Enrollment], now: datetime) -> None:
    """Set each running one's next due slot; who has none left is 已走完. Two statements."""
    due: dict[int, datetime] = {}
    rows = EnrollmentStep.objects.filter(enrollment__in=[row.pk for row in enrollments], state="due")
    for enrollment_id, slot_at in rows.values_list("enrollment_id", "slot_at"):
        due[enrollment_id] = min(slot_at, due.get(enrollment_id, slot_at))
    over = [row for row in enrollments if row.pk not in due and row.state == Enrollment.State.RUNNING]
    for row in enrollments:
        row.next_due_at = due.get(row.pk)
    for row in over:
        row.state, row.ended_at, row.end_reason = Enrollment.State.DONE, now, "finished"
    mark_runs(over)
    Enrollment.objects.bulk_update(enrollments, ["next_due_at", "state", "ended_at", "end_reason"], batch_size=1000)
