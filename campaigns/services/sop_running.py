"""SOP steps whose slot has come: one push per (version, step, slot), frozen when it is cut, then only shrinking; and exits."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, QuerySet
from django.utils.translation import gettext as _

from accounts.scope import scope_from_json
from campaigns import changes
from campaigns.models import Delivery, Dispatch, Enrollment, EnrollmentStep, Push, SopStep, SopVersion
from campaigns.policy import SendPolicy, send_policy
from campaigns.queries.audience import ids_sql
from campaigns.queries.verdicts import Frame, people_verdicts
from campaigns.services import ledger
from campaigns.services.broadcasts import LANE
from campaigns.services.cutting import cut_dispatches
from campaigns.services.enrolling import holdout_key, move_on
from campaigns.services.freezing import freeze_people
from campaigns.services.marking import mark_runs, settle
from campaigns.states import DeliveryState, DispatchState, PushKind, PushTarget
from campaigns.times import default_confirm_by
from conditions.compiler import compile_tree
from conditions.people import people
from conditions.schema import is_sound
from contacts.models import Contact
from contacts.services.merging import Merged
from contacts.timeline import roots_of
from scrm.lib import clock
from tenants import jobs

logger = logging.getLogger(__name__)

# Excluded for good: what follows would not reach her either.
ENDING = {"opt_out", "not_friend"}


def run_due(limit: int = 20) -> int:
    """Cut the pushes of steps whose slot has come. How many (step, slot) were handled.

    One that raises is stepped over; its error is raised when the others are done.
    """
    handled = 0
    broken: dict[tuple[int, datetime], Exception] = {}
    for slot in _due_slots(clock.now())[:limit]:
        try:
            handled += _run_one(*slot)
        except Exception as error:
            logger.exception("step %s of slot %s could not be cut", *slot)
            broken[slot] = error
    for failure in broken.values():
        raise failure
    return handled


def _due_steps(now: datetime) -> QuerySet[EnrollmentStep]:
    return EnrollmentStep.objects.filter(
        state="due", slot_at__lte=now, enrollment__state=Enrollment.State.RUNNING, enrollment__sop__state="on"
    )


def _due_slots(now: datetime) -> list[tuple[int, datetime]]:
    """(step, slot) whose people are due and need not wait for the ledger, oldest first."""
    found = list(_due_steps(now).order_by("slot_at", "step_id").values_list("step_id", "slot_at").distinct())
    if not found:
        return []
    policy = send_policy()
    waits = bool(ledger.corps_to_wait_for(now, policy))
    return [(step, at) for step, at in found if not (waits and now < _last_call(at, policy))]


@transaction.atomic
def _run_one(step_id: int, slot_at: datetime) -> bool:
    now = clock.now()
    rows = _due_steps(now).filter(step_id=step_id, slot_at=slot_at)
    _lock_runs(Enrollment.objects.filter(pk__in=rows.values("enrollment")))
    steps = list(rows.select_for_update(of=("self",)).select_related("enrollment").order_by("pk"))
    if not steps:
        return False
    step = SopStep.objects.select_related("version__sop", "content_version__content").get(pk=step_id)
    staying = _exit_by_tree(step.version, steps, now)
    if default_confirm_by(slot_at, send_policy()) <= now or _is_cut(step, slot_at):
        _mark(staying, "missed")  # too late, or frozen without her: never sent late, nobody is added
    elif staying:
        _cut(step, slot_at, staying, now)
    move_on([row.enrollment for row in steps], now)
    return True


def _lock_runs(runs: QuerySet[Enrollment]) -> list[Enrollment]:
    """Runs before their steps, and in one order: exits, merges and slots take the same people at once."""
    return list(runs.select_for_update(of=("self",)).order_by("pk"))


def _last_call(slot_at: datetime, policy: SendPolicy) -> datetime:
    return default_confirm_by(slot_at, policy) - ledger.LAST_CALL


def _is_cut(step: SopStep, slot_at: datetime) -> bool:
    return Push.objects.filter(
        kind=PushKind.SOP, source_id=step.version_id, source_version=step.pk, slot_at=slot_at
    ).exists()


def _mark(steps: Sequence[EnrollmentStep], state: str) -> None:
    EnrollmentStep.objects.filter(pk__in=[row.pk for row in steps]).update(state=state)


def _cut(step: SopStep, slot_at: datetime, rows: Sequence[EnrollmentStep], now: datetime) -> None:
    policy, version, sending = send_policy(), step.version, step.sending
    push = Push.objects.create(
        kind=PushKind.SOP,
        target=PushTarget.PEOPLE,
        source_id=version.pk,
        source_version=step.pk,
        slot_at=slot_at,
        title=_("%(name)s 第 %(day)d 天") % {"name": version.sop.name, "day": sending.day},
        message_class=sending.content.content.message_class,
        holdout_percent=version.holdout_percent,
        notify_at=slot_at,
        confirm_by=default_confirm_by(slot_at, policy),
        frozen_at=now,
    )
    frame = Frame(
        at=max(slot_at, now), now=now, message_class=push.message_class, policy=policy,
        within=scope_from_json(version.within), push_id=push.pk,
    )  # fmt: skip
    audience = Contact.objects.filter(pk__in=_contact_ids(rows))
    frozen = freeze_people(push, people_verdicts(ids_sql(audience), frame), holdout_key=holdout_key(version))
    push.audience_count, push.audience_hash = frozen.count, frozen.digest
    push.save(update_fields=["audience_count", "audience_hash"])
    cut_dispatches(push, sending.content)
    _write_outcomes(push, rows, now)
    changes.tell([push.pk])
    jobs.nudge(LANE, due_at=push.confirm_by)


def _contact_ids(rows: Sequence[EnrollmentStep]) -> list[int]:
    return [row.enrollment.contact_id for row in rows if row.enrollment.contact_id]


def _write_outcomes(push: Push, rows: Sequence[EnrollmentStep], now: datetime) -> None:
    """What the freeze made of each enrolment's step; who can never be reached again leaves the SOP."""
    roots = roots_of(_contact_ids(rows))
    reasons = dict(Delivery.objects.filter(push=push).values_list("contact_id", "reason"))
    for row in rows:
        row.push_id = push.pk
        row.reason = reasons.get(roots.get(row.enrollment.contact_id or 0, 0), "")
        row.state = "skipped" if row.reason else "pushed"
    EnrollmentStep.objects.bulk_update(rows, ["push_id", "reason", "state"], batch_size=1000)
    leaving = [row.enrollment for row in rows if row.reason in ENDING]
    _leave(leaving, {row.enrollment_id: row.reason for row in rows}, now)


# --- Exits ----------------------------------------------------------------------------------------------------------


def exit_keys() -> set[str]:
    """The fields that exit conditions of running enrolments read."""
    running = Enrollment.objects.filter(version=OuterRef("pk"), state=Enrollment.State.RUNNING)
    rows = SopVersion.objects.filter(Exists(running), exit_tree__isnull=False)
    return {key for keys in rows.values_list("field_keys", flat=True) for key in keys}


def consume_exits(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """Somebody's fields changed: who matches the exit condition of her SOP leaves it."""
    running = Enrollment.objects.filter(state=Enrollment.State.RUNNING, contact_id__in=root_ids)
    versions = SopVersion.objects.filter(exit_tree__isnull=False, enrollments__in=running).distinct()
    for version in versions:
        if keys & set(version.field_keys):
            rows = _lock_runs(running.filter(version=version))
            matching = _matching(version, [row.contact_id for row in rows if row.contact_id], now)
            _leave([row for row in rows if row.contact_id in matching], "exit_rule", now)


def _matching(version: SopVersion, contact_ids: Collection[int], now: datetime) -> set[int]:
    """Which of the contacts match the exit condition now, by the id asked for."""
    if not version.exit_tree or not is_sound(version.exit_tree):
        return set()
    roots = roots_of(contact_ids)
    matched = set(
        people().filter(compile_tree(version.exit_tree, now), pk__in=set(roots.values())).values_list("pk", flat=True)
    )
    return {pk for pk, root in roots.items() if root in matched}


def _exit_by_tree(version: SopVersion, rows: list[EnrollmentStep], now: datetime) -> list[EnrollmentStep]:
    """Asked again before each step: a condition may have come true by time alone. Who stays."""
    matching = _matching(version, _contact_ids(rows), now)
    leaving = [row.enrollment for row in rows if row.enrollment.contact_id in matching]
    _leave(leaving, "exit_rule", now)
    return [row for row in rows if row.enrollment.contact_id not in matching]


def _leave(enrollments: Sequence[Enrollment], reason: str | dict[int, str], now: datetime) -> None:
    """退出: what is due is 未执行, and what no task exists for yet shrinks."""
    if not enrollments:
        return
    for row in enrollments:
        why = reason if isinstance(reason, str) else reason[row.pk]
        row.state, row.ended_at, row.end_reason, row.next_due_at = Enrollment.State.EXITED, now, why, None
    Enrollment.objects.bulk_update(enrollments, ["state", "ended_at", "end_reason", "next_due_at"], batch_size=1000)
    mark_runs(enrollments)
    EnrollmentStep.objects.filter(enrollment__in=enrollments, state="due").update(state="skipped", reason="exited")
    versions = {row.version_id for row in enrollments}
    theirs = Delivery.objects.filter(
        push__kind=PushKind.SOP, push__source_id__in=versions, target__in=_targets(enrollments),
        state=DeliveryState.PLANNED,
    )  # fmt: skip
    # Locked, so that no claim counts them while they leave.
    units = Dispatch.objects.filter(pk__in=theirs.values("dispatch")).select_for_update(of=("self",)).order_by("pk")
    open_units = [unit.pk for unit in units if unit.state in (DispatchState.WAITING, DispatchState.AGREED)]
    shrinking = theirs.filter(dispatch_id__in=open_units)
    pushes = set(shrinking.values_list("push_id", flat=True))
    settle(shrinking, state=DeliveryState.SKIPPED, reason="exited", settled_at=now)
    changes.tell(pushes)


def _targets(enrollments: Sequence[Enrollment]) -> set[str]:
    """Under which deliveries of theirs were frozen: a merge since leaves the old one on them."""
    people_ids = [row.contact_id for row in enrollments if row.contact_id]
    branches = Contact.objects.filter(root_id__in=people_ids).values_list("pk", flat=True)
    return {row.target for row in enrollments} | {f"c{pk}" for pk in branches}


def on_merged(merged: Merged) -> None:
    """Two customers are one: of two runs of one SOP the moved one ends, so that nobody gets a step twice; any other goes on as hers."""
    running = Enrollment.objects.filter(state=Enrollment.State.RUNNING)
    taken = set(running.filter(contact_id=merged.kept).values_list("sop_id", flat=True))
    leaving: list[Enrollment] = []
    going_on: list[Enrollment] = []
    for row in _lock_runs(running.filter(contact_id__in=merged.moved)):
        (leaving if row.sop_id in taken else going_on).append(row)
        taken.add(row.sop_id)
    for row in going_on:
        row.target, row.contact_id = f"c{merged.kept}", merged.kept
    Enrollment.objects.bulk_update(going_on, ["target", "contact"])
    _leave(leaving, "merged", merged.at)


def leave_all(enrollments: QuerySet[Enrollment], reason: str, now: datetime) -> None:
    """End these customers' runs that are under way, for a reason from outside the SOP."""
    _leave(_lock_runs(enrollments.filter(state=Enrollment.State.RUNNING)), reason, now)


def foretell_merge(merged: Merged) -> list[str]:
    """What on_merged would do, for whoever is about to merge."""
    people = [merged.kept, *merged.moved]
    running = Enrollment.objects.filter(state=Enrollment.State.RUNNING, contact_id__in=people)
    names: dict[str, int] = Counter(running.order_by("sop__name").values_list("sop__name", flat=True))
    twice = [_("SOP「%(name)s」在两边都在跑,只继续一个") % {"name": name} for name, count in names.items() if count > 1]
    return twice + [_("SOP「%(name)s」继续跑") % {"name": name} for name, count in names.items() if count == 1]


def next_due() -> datetime | None:
    """The domain instant of the next step of anybody; of one that waits for the ledger, the end of its waiting."""
    now = clock.now()
    running = Enrollment.objects.filter(state=Enrollment.State.RUNNING, sop__state="on")
    found: datetime | None = running.aggregate(at=Min("next_due_at"))["at"]
    if found is None or found > now:
        return found
    policy = send_policy()
    waits = now < _last_call(found, policy) and bool(ledger.corps_to_wait_for(now, policy))
    return _last_call(found, policy) if waits else found


def count_due(now: datetime) -> int:
    """Steps due now that need not wait for the ledger, by (step, slot)."""
    return len(_due_slots(now))
