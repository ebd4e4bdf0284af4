"""A customer who runs through a SOP was taken over: her coming steps are the successor's, and what was cut for the guide before is
cut anew, once, at the next slot.

A frozen push gets nobody new, and a unit gives nobody away before it is over: so she leaves the unit, and the step is due again,
where one voice finds the successor. What WeCom has a task of is waited for: only when it is over without having sent is the step
due again. A step moves once (`moved_from`), whatever happens after.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from campaigns import changes
from campaigns.models import Delivery, Dispatch, Enrollment, EnrollmentStep, Push
from campaigns.policy import send_policy
from campaigns.services.broadcasts import LANE
from campaigns.services.enrolling import move_on
from campaigns.services.marking import mark_runs, settle
from campaigns.states import DeliveryState, DispatchState, PushKind
from campaigns.times import next_slot
from contacts.models import Follow, Member, Relation
from contacts.queries import family_of
from contacts.successions import TakenOver
from contacts.timeline import roots_of
from scrm.lib import clock
from tenants import jobs

# WeCom takes 24 hours for a hand-over (customer-contact reference 9). What came to nothing within them is made up for; what a
# leaver's customers missed before is past, and never sent late.
MEANWHILE = timedelta(hours=26)
_D, _S = DeliveryState, Enrollment.State


def take_over(taken: Sequence[TakenOver]) -> None:
    """The successor goes on. A constant number of statements; three where nobody runs through a SOP."""
    now, moved = clock.now(), {one.old_follow_id: one.new_follow_id for one in taken}
    old = dict(Follow.objects.filter(pk__in=moved).values_list("pk", "member__status"))
    contacts = Follow.objects.filter(pk__in=moved).values_list("contact_id", flat=True)
    family = family_of(roots_of(contacts).values())
    runs = _runs(family, since=now - MEANWHILE)
    if not runs:
        return
    for run in runs:
        run.follow_id = moved.get(run.follow_id or 0, run.follow_id)
    Enrollment.objects.bulk_update(runs, ["follow"], batch_size=1000)
    steps = list(_movable(runs).filter(slot_at__gte=now - MEANWHILE))
    pushes = {step.push_id for step in steps if step.push_id}
    theirs = Delivery.objects.filter(push_id__in=pushes, follow_id__in=moved, contact_id__in=family)
    open_units = _lock_open(theirs)
    voices = {(one.push_id, family[one.contact_id or 0]): one for one in theirs}
    again: list[EnrollmentStep] = []
    leaving: list[int] = []
    for step in steps:
        voice = voices.get((step.push_id or 0, family[step.enrollment.contact_id or 0]))
        if step.state == "skipped":
            again.append(step)
        elif voice is not None and voice.state == _D.PLANNED and voice.dispatch_id in open_units:
            leaving.append(voice.pk)
            again.append(step)
        elif voice is not None and _came_to_nothing(voice, is_gone=old[voice.follow_id or 0] == Member.Status.LEFT):
            again.append(step)
    _leave_units(leaving, open_units, now)
    _due_again(again, now)


def _runs(family: Collection[int], *, since: datetime | None = None) -> list[Enrollment]:
    """Those under way, and those that ended since: with their last step cut, or because nobody was her friend for a moment."""
    ended = Q(state=_S.DONE, end_reason="finished") | Q(state=_S.EXITED, end_reason="not_friend")
    rows = Enrollment.objects.filter(contact_id__in=family, sop__state__in=("on", "paused"))
    rows = rows.filter(Q(state=_S.RUNNING) | (ended & Q(ended_at__gte=since) if since else ended))
    return list(rows.select_for_update(of=("self",)).order_by("pk"))


def _movable(runs: Sequence[Enrollment]) -> QuerySet[EnrollmentStep]:
    """Steps of these runs that were cut, or found nobody who could speak, and did not move yet."""
    nobody = Q(state="skipped", reason__in=("no_guide", "not_friend"))
    rows = EnrollmentStep.objects.filter(Q(state="pushed") | nobody, enrollment__in=runs, moved_from__isnull=True)
    return rows.select_related("enrollment").order_by("pk")


def _came_to_nothing(voice: Delivery, *, is_gone: bool) -> bool:
    """Found no friend at the claim, or left unsaid by a guide who is gone. The silence of one at work is her answer."""
    if voice.state == _D.EXPIRED:
        return is_gone and voice.reason == "deadline"
    return voice.state == _D.SKIPPED and voice.reason == "not_friend"


def _lock_open(deliveries: QuerySet[Delivery]) -> set[int]:
    """Their units without a task. One that somebody holds is passed over: its claim finds that she is no friend (see carry_on)."""
    units = Dispatch.objects.filter(
        pk__in=deliveries.filter(state=_D.PLANNED).values("dispatch"), stop_wanted_at__isnull=True,
        state__in=(DispatchState.WAITING, DispatchState.AGREED),
    )  # fmt: skip
    locked = units.select_for_update(of=("self",), skip_locked=True).order_by("pk")
    return set(locked.values_list("pk", flat=True))


def _leave_units(delivery_ids: Collection[int], unit_ids: Collection[int], now: datetime) -> None:
    """They stay in the sum of their push; a unit with nobody left is over."""
    if not delivery_ids:
        return
    leaving = Delivery.objects.filter(pk__in=delivery_ids, state=_D.PLANNED)
    pushes = set(leaving.values_list("push_id", flat=True))
    settle(leaving, state=_D.SKIPPED, reason="handed_over", settled_at=now)
    left = Delivery.objects.filter(dispatch=OuterRef("pk"), state=_D.PLANNED)
    Dispatch.objects.filter(~Exists(left), pk__in=unit_ids).update(
        state=DispatchState.DONE, reason="nobody_left", ended_at=now
    )
    changes.tell(pushes)
    jobs.nudge(LANE)


def carry_on(push_ids: Collection[int], now: datetime) -> None:
    """These pushes are over: whom WeCom did not send to because she was taken over meanwhile has her step again.

    Runs in the transaction that ends them, over locked pushes.
    """
    over = Delivery.objects.filter(
        Q(state=_D.EXPIRED, reason="deadline") | Q(state__in=(_D.FAILED, _D.SKIPPED), reason="not_friend"),
        push__in=Push.objects.filter(pk__in=push_ids, kind=PushKind.SOP), follow__relation=Relation.TRANSFERRED,
        settled_at__gte=F("follow__relation_since"),
    )  # fmt: skip
    pairs = list(over.values_list("push_id", "contact_id"))
    if not pairs:
        return
    roots = roots_of(contact_id for _push, contact_id in pairs if contact_id)
    family, wanted = family_of(roots.values()), {(push, roots[contact]) for push, contact in pairs if contact}
    steps = _movable(_runs(family)).filter(push_id__in=push_ids, state="pushed")
    _due_again([one for one in steps if (one.push_id or 0, family[one.enrollment.contact_id or 0]) in wanted], now)


def _due_again(steps: Sequence[EnrollmentStep], now: datetime) -> None:
    """At the next slot. A run that had ended goes on, unless another of the same SOP began since."""
    running = Enrollment.objects.filter(target__in={one.enrollment.target for one in steps}, state=_S.RUNNING)
    first = {(sop, target): pk for sop, target, pk in running.values_list("sop_id", "target", "pk")}
    going = [
        one
        for one in steps
        if first.setdefault((one.enrollment.sop_id, one.enrollment.target), one.enrollment_id) == one.enrollment_id
    ]
    if not going:
        return
    slot = next_slot(now, send_policy())
    for step in going:
        step.moved_from, step.slot_at, step.state, step.reason, step.push_id = step.slot_at, slot, "due", "", None
    EnrollmentStep.objects.bulk_update(going, ["moved_from", "slot_at", "state", "reason", "push_id"], batch_size=1000)
    runs = list({one.enrollment_id: one.enrollment for one in going}.values())
    # Of a run that had ended for want of a friend, what was still to come comes after all.
    coming = EnrollmentStep.objects.filter(enrollment__in=runs, state="skipped", reason="exited", slot_at__gt=now)
    coming.update(state="due", reason="")
    for run in runs:
        run.state, run.ended_at, run.end_reason = _S.RUNNING, None, ""
    mark_runs(runs)
    move_on(runs, now)
    jobs.nudge(LANE, due_at=slot)
