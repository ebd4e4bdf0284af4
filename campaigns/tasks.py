"""The campaigns lane: everything of a push that is due by the domain clock."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.db.models import Min

from campaigns.models import Approval, Dispatch, Push
from campaigns.policy import send_policy
from campaigns.services import ledger, sop_running
from campaigns.services.approvals import lapse_approvals
from campaigns.services.claiming import claim_due, claimable
from campaigns.services.closing import close_pushes
from campaigns.services.polling import poll_due
from campaigns.services.stopping import end_overdue, settle_unsent
from campaigns.states import DispatchState, PushState
from campaigns.times import is_quiet, quiet_end
from scrm.lib import clock

logger = logging.getLogger(__name__)

# Deadlines before claims: a unit whose time is over is never claimed.
STEPS: tuple[Callable[[], int], ...] = (
    ledger.refresh_due,
    lapse_approvals,
    end_overdue,
    settle_unsent,
    sop_running.run_due,
    claim_due,
    poll_due,
    close_pushes,
)
_AT_WORK = (DispatchState.WAITING, DispatchState.AGREED, DispatchState.TASKED, DispatchState.CREATING)


def drain(deadline: datetime) -> bool:
    """Do what is due until nothing is, or the slice is over; True when it stopped with work left.

    A step that raises does not keep the others from their work; its error is raised when they have done theirs.
    """
    broken: dict[Callable[[], int], Exception] = {}
    while clock.wall() < deadline:
        done = 0
        for step in STEPS:
            if step in broken:
                continue
            try:
                done += step()
            except Exception as error:
                logger.exception("step %s of the lane broke", getattr(step, "__name__", step))
                broken[step] = error
        if not done:
            break
    for failure in broken.values():
        raise failure
    return clock.wall() >= deadline


def next_due() -> datetime | None:
    """The domain instant of the next thing this lane will have to do."""
    moments = [
        Approval.objects.filter(state=Approval.State.PENDING).aggregate(at=Min("expires_at"))["at"],
        _next_claim(),
        _next_deadline(),
        Dispatch.objects.filter(poll_at__isnull=False).aggregate(at=Min("poll_at"))["at"],
        ledger.next_due(),
        sop_running.next_due(),
    ]
    known = [moment for moment in moments if moment]
    return max(min(known), clock.now()) if known else None


def _next_claim() -> datetime | None:
    now, policy = clock.now(), send_policy()
    ready = [DispatchState.AGREED, *([DispatchState.WAITING] if policy.silence_agrees else [])]
    open_pushes = Push.objects.filter(state=PushState.FROZEN, stop_wanted_at__isnull=True, dispatches__state__in=ready)
    coming = open_pushes.filter(notify_at__gt=now).aggregate(at=Min("notify_at"))["at"]
    # Units whose notice has come but wait for the ledger or the end of the quiet hours (claiming.claimable).
    waiting = open_pushes.filter(notify_at__lte=now, confirm_by__gt=now + ledger.LAST_CALL)
    last = waiting.aggregate(at=Min("confirm_by"))["at"]
    if is_quiet(now, policy) and waiting.exists():
        return quiet_end(now, policy)
    return min(filter(None, (coming, last - ledger.LAST_CALL if last else None)), default=None)


def _next_deadline() -> datetime | None:
    open_pushes = Push.objects.filter(
        state=PushState.FROZEN, dispatches__state__in=_AT_WORK, dispatches__stop_wanted_at__isnull=True
    )
    return open_pushes.aggregate(at=Min("confirm_by"))["at"]


def count_due() -> int:
    """Rows due at this instant, for sandbox drivers."""
    now, policy = clock.now(), send_policy()
    return (
        Approval.objects.filter(state=Approval.State.PENDING, expires_at__lte=now).count()
        + sop_running.count_due(now)
        + Dispatch.objects.filter(claimable(now, policy)).count()
        + Dispatch.objects.filter(poll_at__lte=now).count()
        + Dispatch.objects.filter(state=DispatchState.CREATING).count()
        + Push.objects.filter(
            state=PushState.FROZEN,
            confirm_by__lte=now,
            dispatches__state__in=_AT_WORK,
            dispatches__stop_wanted_at__isnull=True,
        ).count()
    )
