"""Looking at WeCom again: which units are due for it, reminders, and a person's wish to look now."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from campaigns.models import Dispatch, Push
from campaigns.services import asking, stopping
from campaigns.services.broadcasts import LANE
from campaigns.states import DispatchState
from scrm.lib import clock
from scrm.lib.errors import TryLater
from tenants import audit, jobs
from tenants.audit import Actor
from wecom_bridge import commands

REMIND = "groupmsg.remind"
REMINDERS = 3  # per unit and 24 hours, WeCom's limit
REMINDER_WINDOW = timedelta(hours=24)
_OPEN = (DispatchState.TASKED, DispatchState.CONFIRMED, DispatchState.STOPPING)
# Over, with people whose end is 未知 where a look is due.
_OVER = (DispatchState.DONE, DispatchState.STOPPED, DispatchState.EXPIRED, DispatchState.FAILED)
_WATCHED = Q(state__in=_OPEN) | Q(state__in=_OVER, poll_at__isnull=False)
# A look whose answer never came back is asked again after this long.
LOOK_LASTS = timedelta(minutes=30)


def poll_due(limit: int = 300) -> int:
    """Ask WeCom about the units whose time has come. How many."""
    now = clock.now()
    with transaction.atomic():
        units = list(
            Dispatch.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("sender")
            .filter(_WATCHED, poll_at__lte=now)
            .order_by("poll_at")[:limit]
        )
        for unit in units:
            unit.poll_at = asking.late_look(unit, now) if unit.state in _OVER else now + LOOK_LASTS
            _look(unit)
        Dispatch.objects.bulk_update(units, ["poll_at"])
    return len(units)


def _look(unit: Dispatch) -> None:
    """Ask what its state leaves open. A stop without an answer is wished again, and whether the guide was faster is asked."""
    if unit.state == DispatchState.TASKED:
        asking.ask_task(unit)
    elif unit.state != DispatchState.STOPPING:
        asking.ask_results(unit, "")
    elif stopping.wish_stop(unit):
        asking.ask_task(unit)


@transaction.atomic
def refresh_push(push_id: int) -> int:
    """Look at WeCom now for every unit of a push that is open or has people whose end is 未知. How many units."""
    due = Dispatch.objects.filter(_WATCHED, push_id=push_id)
    number = due.update(poll_at=clock.now())
    if number:
        jobs.nudge(LANE)
    return number


@transaction.atomic
def remind(push_id: int, *, by: Actor, dispatch_ids: list[int] | None = None) -> int:
    """Let WeCom remind the guides who have not pressed 发送 (remind_groupmsg_send): 3 per unit in 24 hours.

    How many were reminded. Raises TryLater when none may be reminded now.
    """
    push, now = Push.objects.get(pk=push_id), clock.now()
    units = (
        Dispatch.objects.select_for_update(of=("self",))
        .select_related("sender")
        .filter(push=push, state=DispatchState.TASKED)
    )
    if dispatch_ids is not None:
        units = units.filter(pk__in=dispatch_ids)
    reminded = [unit for unit in units if _may_remind(unit, now)]
    if not reminded:
        raise TryLater(_("没有可提醒的导购:或者都已确认,或者 24 小时内已提醒 3 次。"), code="reminded_enough")
    for unit in reminded:
        commands.enqueue(
            REMIND, corp=unit.sender.corp_id, entity_key=f"groupmsg.poll:{unit.pk}", subject_id=unit.pk, priority=20
        )
    Dispatch.objects.bulk_update(reminded, ["reminded_count", "reminded_at"])
    audit.record("push.reminded", push, by=by, units=len(reminded))
    return len(reminded)


def _may_remind(unit: Dispatch, now: datetime) -> bool:
    """Count this reminder when allowed: the count starts again 24 hours after the first of the three."""
    if unit.reminded_at is None or now - unit.reminded_at >= REMINDER_WINDOW:
        unit.reminded_count, unit.reminded_at = 1, now
        return True
    if unit.reminded_count >= REMINDERS:
        return False
    unit.reminded_count += 1
    return True
