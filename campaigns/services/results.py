"""What WeCom answers about a unit, written down: the task, its confirmation, what each recipient got.

Every function runs in the transaction that settles the command it answers, and may be called again with the same answer.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from campaigns import changes
from campaigns.models import Delivery, Dispatch
from campaigns.services import stopping
from campaigns.services.asking import ask_results, ask_task, first_poll, has_sent, late_look, next_poll
from campaigns.services.broadcasts import LANE
from campaigns.services.marking import mark_people, settle
from campaigns.states import FINAL_DISPATCH, DeliveryState, DispatchState, PushTarget
from contacts.models import FactSource
from contacts.services.inbound import apply_not_friends
from contacts.timeline import NewEvent, record_events
from scrm.lib import clock
from tenants import jobs

# After the guide confirmed, WeCom needs a moment for every recipient; then whoever has no result is 未知.
RESULTS_WITHIN = timedelta(hours=48)
# get_groupmsg_send_result: 0 not sent, 1 sent, 2 not a friend, 3 quota.
OUTCOMES = {1: (DeliveryState.SENT, ""), 2: (DeliveryState.FAILED, "not_friend"), 3: (DeliveryState.FAILED, "quota")}


def record_task(dispatch_id: int, *, msgid: str, fail_list: Iterable[str]) -> None:
    """WeCom has the task: the unit is 待确认发送, whom WeCom refused has failed."""
    unit = _locked(dispatch_id)
    now = clock.now()
    if unit.msgid:
        return
    if unit.state in FINAL_DISPATCH:
        _found_late(unit, msgid, now)
        return
    refused = list(fail_list)
    planned = Delivery.objects.filter(dispatch=unit, state=DeliveryState.PLANNED)
    if refused:
        _record_failed(planned.filter(external_userid__in=refused), "refused", now)
    planned.update(state=DeliveryState.TASKED)
    unit.state, unit.msgid, unit.tasked_at, unit.poll_at = DispatchState.TASKED, msgid, now, first_poll(now)
    unit.save(update_fields=["state", "msgid", "tasked_at", "poll_at"])
    changes.tell([unit.push_id])
    if unit.stop_wanted_at:
        stopping.ask_wecom(unit)
    jobs.nudge(LANE, due_at=unit.poll_at)


def _found_late(unit: Dispatch, msgid: str, now: datetime) -> None:
    """The task of a unit that was given up without an answer was made after all: it is taken back, and what was sent is read."""
    unit.msgid, unit.tasked_at, unit.poll_at = msgid, now, first_poll(now)
    unit.save(update_fields=["msgid", "tasked_at", "poll_at"])
    stopping.wish_stop(unit)
    jobs.nudge(LANE, due_at=unit.poll_at)


def record_refusal(dispatch_id: int, *, message: str) -> None:
    """WeCom will not make the task: nobody of the unit is sent to."""
    unit = _locked(dispatch_id)
    if unit.msgid or unit.state in FINAL_DISPATCH:
        return
    now = clock.now()
    _record_failed(Delivery.objects.filter(dispatch=unit, state=DeliveryState.PLANNED), "no_task", now)
    unit.state, unit.reason, unit.note, unit.ended_at = DispatchState.FAILED, "no_task", message[:200], now
    unit.poll_at = None
    unit.save(update_fields=["state", "reason", "note", "ended_at", "poll_at"])
    changes.tell([unit.push_id])
    jobs.nudge(LANE)


def _record_failed(deliveries: Any, reason: str, now: datetime) -> None:
    rows = list(deliveries.select_related("dispatch"))
    settle(deliveries, state=DeliveryState.FAILED, reason=reason, settled_at=now)
    _tell("push.failed", rows, now, reason)


def _look_late(unit: Dispatch, now: datetime) -> None:
    """Look again tomorrow while somebody of a unit that is over is 未知."""
    unknown = Delivery.objects.filter(dispatch=unit, state=DeliveryState.UNKNOWN)
    unit.poll_at = late_look(unit, now) if unit.msgid and unknown.exists() else None
    unit.save(update_fields=["poll_at"])
    if unit.poll_at:
        jobs.nudge(LANE, due_at=unit.poll_at)


def record_task_state(dispatch_id: int, task_list: Iterable[Mapping[str, Any]], *, after_stop: bool = False) -> None:
    """What get_groupmsg_task says. Confirmed: ask for the results. Not: look again, or settle a stop.

    after_stop: the question left after WeCom took the stop; only such an answer may say that nothing was sent.
    """
    unit = _locked(dispatch_id)
    if unit.state in FINAL_DISPATCH:
        return
    now = clock.now()
    task = next((row for row in task_list if row.get("userid") == unit.sender.userid), None)
    if task is not None and has_sent(task):
        if unit.confirmed_at is None:
            unit.confirmed_at = clock.from_unix(task["send_time"]) if task.get("send_time") else now
        unit.state = DispatchState.CONFIRMED  # a stop that came too late has lost the race
        unit.poll_at = next_poll(unit, now)
        unit.save(update_fields=["state", "confirmed_at", "poll_at"])
        changes.tell([unit.push_id])
        ask_results(unit, "")
        return
    if unit.state == DispatchState.STOPPING:
        if after_stop:
            stopping.settle_stopped(unit, now)
        return
    unit.poll_at = next_poll(unit, now)
    unit.save(update_fields=["poll_at"])
    jobs.nudge(LANE, due_at=unit.poll_at)


def record_stop(dispatch_id: int) -> None:
    """WeCom took the stop (or had none to take): one last look says whether the guide was faster."""
    unit = _locked(dispatch_id)
    if unit.state == DispatchState.STOPPING:
        ask_task(unit, after_stop=True)


def record_given_up(dispatch_id: int) -> None:
    """A person gave up a task whose answer was lost: nobody knows whether WeCom has it."""
    unit = _locked(dispatch_id)
    if unit.state == DispatchState.CREATING:
        stopping.end_in_doubt(unit, clock.now())


def record_stop_parked(dispatch_id: int) -> None:
    """The stop did not reach WeCom, which may still have the task: it is wished again, and never taken for done."""
    unit = _locked(dispatch_id)
    if unit.state != DispatchState.STOPPING:
        return
    unit.poll_at = clock.now() + stopping.STOP_AGAIN
    unit.save(update_fields=["poll_at"])
    jobs.nudge(LANE, due_at=unit.poll_at)


def record_no_answer(dispatch_id: int, *, after_stop: bool) -> None:
    """WeCom refused to say. The unit is looked at again; after a stop, what was at WeCom is 未知."""
    unit = _locked(dispatch_id)
    if unit.state in FINAL_DISPATCH:
        return  # poll_due has set the next late look
    now = clock.now()
    if unit.state == DispatchState.STOPPING and after_stop:
        at_wecom = Delivery.objects.filter(dispatch=unit, state=DeliveryState.TASKED)
        settle(at_wecom, state=DeliveryState.UNKNOWN, reason="no_result", settled_at=now)
        stopping.settle_stopped(unit, now)
        _look_late(unit, now)
        return
    if unit.state == DispatchState.CONFIRMED:
        _end_confirmed(unit, now)
        return
    unit.poll_at = next_poll(unit, now)
    unit.save(update_fields=["poll_at"])
    jobs.nudge(LANE, due_at=unit.poll_at)


def record_results(dispatch_id: int, send_list: Iterable[Mapping[str, Any]], next_cursor: str) -> None:
    """A page of get_groupmsg_send_result. After the last page: done, or looked at again, or the rest is 未知.

    Of a unit that is over, too: what WeCom says late still wins over 未知.
    """
    unit = _locked(dispatch_id)
    now = clock.now()
    is_group = unit.push.target == PushTarget.GROUPS
    key = "chat_id" if is_group else "external_userid"
    _settle(unit, {row[key]: row for row in send_list if row.get(key)}, now, is_group=is_group)
    if next_cursor:
        ask_results(unit, next_cursor)
        return
    if unit.state in FINAL_DISPATCH:
        _look_late(unit, now)
        return
    if unit.state == DispatchState.CONFIRMED:
        _end_confirmed(unit, now)


def _end_confirmed(unit: Dispatch, now: datetime) -> None:
    """Done when everybody is settled or RESULTS_WITHIN is over (then the rest is 未知); else it is looked at again."""
    unsettled = Delivery.objects.filter(dispatch=unit, state=DeliveryState.TASKED)
    if unsettled.exists():
        if unit.confirmed_at and now < unit.confirmed_at + RESULTS_WITHIN:
            unit.poll_at = next_poll(unit, now)
            unit.save(update_fields=["poll_at"])
            jobs.nudge(LANE, due_at=unit.poll_at)
            return
        settle(unsettled, state=DeliveryState.UNKNOWN, reason="no_result", settled_at=now)
    unit.state, unit.ended_at = DispatchState.DONE, now
    unit.save(update_fields=["state", "ended_at"])
    _look_late(unit, now)
    changes.tell([unit.push_id])
    jobs.nudge(LANE)


def _settle(unit: Dispatch, answers: Mapping[str, Mapping[str, Any]], now: datetime, *, is_group: bool) -> None:
    """Move the deliveries named in a page to what WeCom says; WeCom's word wins over an earlier expired, stopped, unknown."""
    by = "group__chat_id" if is_group else "external_userid"
    movable = (DeliveryState.TASKED, DeliveryState.EXPIRED, DeliveryState.STOPPED, DeliveryState.UNKNOWN)
    deliveries = Delivery.objects.filter(dispatch=unit, state__in=movable, **{f"{by}__in": list(answers)})
    changed: dict[str, list[Delivery]] = {"push.sent": [], "push.failed": []}
    for delivery in deliveries.select_related("group"):
        answer = answers[delivery.group.chat_id if is_group and delivery.group else delivery.external_userid]
        outcome = OUTCOMES.get(int(answer.get("status", 0)))
        if outcome is None:
            continue
        delivery.state, delivery.reason = outcome
        delivery.settled_at = now
        if outcome[0] == DeliveryState.SENT:
            delivery.sent_at = (
                clock.from_unix(answer["send_time"]) if answer.get("send_time") else unit.confirmed_at or now
            )
        changed["push.sent" if outcome[0] == DeliveryState.SENT else "push.failed"].append(delivery)
    Delivery.objects.bulk_update(
        [row for rows in changed.values() for row in rows],
        ["state", "reason", "sent_at", "settled_at"],
        batch_size=1000,
    )
    mark_people([row.contact_id for rows in changed.values() for row in rows])
    if any(changed.values()):
        changes.tell([unit.push_id])
    for kind, rows in changed.items():
        _tell(kind, rows, now)
    _end_relations(unit, [row for row in changed["push.failed"] if row.reason == "not_friend"], now)


def _end_relations(unit: Dispatch, deliveries: list[Delivery], now: datetime) -> None:
    """Who was no friend at the sending had deleted the guide: where the callback was lost, only this tells. Where WeCom does not say
    when that was, the task's beginning stands for it: an adding since then must not be ended by it."""
    at = unit.confirmed_at or unit.tasked_at or now
    pairs = {(row.external_userid, unit.sender.userid): at for row in deliveries}
    if pairs:
        apply_not_friends(unit.sender.corp, pairs)


def _tell(kind: str, deliveries: list[Delivery], now: datetime, reason: str = "") -> None:
    """The timeline's facts: one per person (or group) and push."""
    events = [
        NewEvent(
            kind=kind,
            occurred_at=delivery.sent_at or now,
            source=FactSource.PRODUCT,
            fact_key=f"{kind}:{delivery.push_id}:{delivery.target}",
            contact_id=delivery.contact_id,
            group_id=delivery.group_id,
            member_id=delivery.member_id,
            subject=f"push:{delivery.push_id}",
            payload={"reason": reason or delivery.reason} if kind == "push.failed" else {},
        )
        for delivery in deliveries
    ]
    record_events(events)


def _locked(dispatch_id: int) -> Dispatch:
    return Dispatch.objects.select_for_update(of=("self",)).select_related("push", "sender").get(pk=dispatch_id)
