"""Stopping units: at the deadline, or because somebody stopped the push. What is sent stays sent."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns import changes
from campaigns.models import Delivery, Dispatch, Push
from campaigns.services.broadcasts import LANE
from campaigns.services.marking import settle
from campaigns.states import OPEN_DELIVERY, DeliveryState, DispatchState, PushState
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants import audit, jobs
from tenants.audit import Actor
from wecom_bridge import commands
from wecom_bridge.models import OutboundCommand

CANCEL = "groupmsg.cancel"
# No task at WeCom yet: they end here and now.
_HERE = (DispatchState.WAITING, DispatchState.AGREED)
_AT_WECOM = (DispatchState.TASKED,)
LOOK_AGAIN = timedelta(seconds=30)
# A stop WeCom has not answered is wished again after this long: its command may have been given up.
STOP_AGAIN = timedelta(minutes=30)


def end_overdue(limit: int = 500) -> int:
    """At 确认截止时间: what no guide agreed to has expired; what WeCom has is stopped there. How many units."""
    now = clock.now()
    with transaction.atomic():
        units = list(
            Dispatch.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("push", "sender")
            .filter(push__state=PushState.FROZEN, push__confirm_by__lte=now, stop_wanted_at__isnull=True)
            .filter(state__in=[*_HERE, *_AT_WECOM, DispatchState.CREATING])[:limit]
        )
        _stop(units, now)
    return len(units)


@transaction.atomic
def stop_push(push_id: int, *, by: Actor) -> Push:
    """Stop what is not sent. Units without a task end at once; the others when WeCom has confirmed the stop.

    Stopping twice changes nothing. Raises Conflict when the push is over.
    """
    push = Push.objects.select_for_update().get(pk=push_id)
    if push.stop_wanted_at:
        return push
    if push.state != PushState.FROZEN:
        raise Conflict(_("这次群发已经结束,没有可停的了。"), code="over")
    now = clock.now()
    push.stop_wanted_at = now
    push.save(update_fields=["stop_wanted_at"])
    units = Dispatch.objects.select_for_update(of=("self",)).select_related("push", "sender").filter(push=push)
    _stop(list(units.filter(state__in=[*_HERE, *_AT_WECOM, DispatchState.CREATING])), now)
    audit.record("push.stopped", push, by=by)
    jobs.nudge(LANE)
    return push


def _stop(units: list[Dispatch], now: datetime) -> None:
    """Runs in the caller's transaction, over locked units."""
    for unit in units:
        unit.stop_wanted_at = unit.stop_wanted_at or now
    Dispatch.objects.bulk_update(units, ["stop_wanted_at"])
    _end_here([unit for unit in units if unit.state in _HERE], now)
    for unit in units:
        if unit.state == DispatchState.TASKED:
            ask_wecom(unit)
        elif unit.state == DispatchState.CREATING:
            # The call may have left already: its answer, or the cancelled command, says which.
            unit.poll_at = now + LOOK_AGAIN
            unit.save(update_fields=["poll_at"])
            jobs.nudge(LANE, due_at=unit.poll_at)


def _outcome(push: Push) -> tuple[DispatchState, DeliveryState, str]:
    if push.stop_wanted_at:
        return DispatchState.STOPPED, DeliveryState.STOPPED, "stopped"
    return DispatchState.EXPIRED, DeliveryState.EXPIRED, "deadline"


def _end_here(units: Iterable[Dispatch], now: datetime) -> None:
    by_push: dict[Push, list[int]] = {}
    for unit in units:
        by_push.setdefault(unit.push, []).append(unit.pk)
    for push, ids in by_push.items():
        unit_state, delivery_state, reason = _outcome(push)
        Dispatch.objects.filter(pk__in=ids).update(state=unit_state, reason=reason, ended_at=now, poll_at=None)
        still_open = Delivery.objects.filter(dispatch_id__in=ids, state__in=OPEN_DELIVERY)
        settle(still_open, state=delivery_state, reason=reason, settled_at=now)
    changes.tell(push.pk for push in by_push)


def ask_wecom(unit: Dispatch) -> None:
    """待确认发送 → 停止中: take the task back at WeCom; the last look afterwards says whether the guide was faster.

    Until then it stays 停止中: while WeCom may still have the task, nobody may be told that it was stopped.
    """
    now = clock.now()
    unit.state, unit.poll_at = DispatchState.STOPPING, now + STOP_AGAIN
    unit.stop_wanted_at = unit.stop_wanted_at or now
    unit.save(update_fields=["state", "poll_at", "stop_wanted_at"])
    jobs.nudge(LANE, due_at=unit.poll_at)
    wish_stop(unit)


def wish_stop(unit: Dispatch) -> bool:
    """Let WeCom take the task back, unless that wish stands already. Whether it was written now."""
    wish = commands.enqueue(
        CANCEL,
        corp=unit.sender.corp_id,
        entity_key=f"groupmsg.poll:{unit.pk}",
        subject_id=unit.pk,
        dedupe_key=f"groupmsg.cancel:{unit.pk}",
        priority=20,
    )
    return wish is not None


def settle_stopped(unit: Dispatch, now: datetime) -> None:
    """The last look found no confirmation: the unit is over, by deadline or by hand."""
    _end_here([unit], now)
    jobs.nudge(LANE)


def settle_unsent(limit: int = 200) -> int:
    """Units to be stopped whose task was never asked for, or never will be known. How many ended."""
    now = clock.now()
    ended = 0
    with transaction.atomic():
        units = list(
            Dispatch.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("push")
            .filter(state=DispatchState.CREATING, stop_wanted_at__isnull=False, poll_at__lte=now)[:limit]
        )
        # Each claim wrote one; the latest is the one that counts.
        written = OutboundCommand.objects.filter(kind="groupmsg.create", subject_id__in=[unit.pk for unit in units])
        latest = {command.subject_id: command for command in written.order_by("pk")}
        for unit in units:
            ended += _settle_unsent(unit, latest.get(unit.pk), now)
    return ended


def _settle_unsent(unit: Dispatch, command: OutboundCommand | None, now: datetime) -> bool:
    is_parked = command is not None and command.state == OutboundCommand.State.PARKED
    if command is None or command.state == OutboundCommand.State.CANCELLED or (is_parked and command.sent_at is None):
        _end_here([unit], now)
        return True
    if is_parked:
        end_in_doubt(unit, now)
        return True
    unit.poll_at = now + LOOK_AGAIN * 10
    unit.save(update_fields=["poll_at"])
    return False


def end_in_doubt(unit: Dispatch, now: datetime) -> None:
    """The call may have made a task, and nobody will find out soon: its people are 未知, and stay with this guide."""
    still_open = Delivery.objects.filter(dispatch=unit, state__in=OPEN_DELIVERY)
    settle(still_open, state=DeliveryState.UNKNOWN, reason="no_result", settled_at=now)
    unit.state, unit.reason, unit.ended_at, unit.poll_at = DispatchState.FAILED, "no_result", now, None
    unit.save(update_fields=["state", "reason", "ended_at", "poll_at"])
    changes.tell([unit.push_id])


def stop_counts(push_id: int) -> dict[str, int]:
    """What stopping would do, in true numbers: people whose sending is stopped, and who are sent to already."""
    open_people = Delivery.objects.filter(push_id=push_id, state__in=OPEN_DELIVERY)
    going = open_people.filter(dispatch__state=DispatchState.CONFIRMED).count()
    return {
        "stopped": open_people.count() - going,
        "going": going,
        "sent": Delivery.objects.filter(push_id=push_id, state=DeliveryState.SENT).count(),
    }
