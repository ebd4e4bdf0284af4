"""What a guide does in 今日: 同意, 不发 with a reason, leaving somebody out. Silence is not sent."""

from collections.abc import Collection

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from campaigns import changes
from campaigns.models import Delivery, Dispatch
from campaigns.services.broadcasts import LANE
from campaigns.services.marking import settle
from campaigns.states import SKIP_REASONS, DeliveryState, DispatchState
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit, jobs
from tenants.audit import Actor

_AGREED = (
    DispatchState.AGREED, DispatchState.CREATING, DispatchState.TASKED, DispatchState.CONFIRMED, DispatchState.DONE,
)  # fmt: skip


@transaction.atomic
def agree(dispatch_id: int, *, member_ids: Collection[int], by: Actor) -> Dispatch:
    """同意: the unit becomes a WeCom task at 通知时间, at once when that has passed. Agreeing twice changes nothing.

    member_ids: the members the log-in is. Raises Conflict after the deadline, or when the unit was skipped, stopped or failed.
    """
    dispatch = _own(dispatch_id, member_ids)
    if dispatch.state in _AGREED:
        return dispatch
    _check_waiting(dispatch)
    if not Delivery.objects.filter(dispatch=dispatch, state=DeliveryState.PLANNED).exists():
        raise UserError(_("客户都已排除,没有可发的人。请选「不发」。"), code="nobody_left")
    dispatch.state, dispatch.agreed_at, dispatch.agreed_by_id = DispatchState.AGREED, clock.now(), by.id
    dispatch.save(update_fields=["state", "agreed_at", "agreed_by_id"])
    audit.record("dispatch.agreed", dispatch, by=by, push=dispatch.push_id)
    changes.tell([dispatch.push_id])
    jobs.nudge(LANE, due_at=dispatch.push.notify_at)
    return dispatch


@transaction.atomic
def skip(dispatch_id: int, *, member_ids: Collection[int], reason: str, note: str = "", by: Actor) -> Dispatch:
    """不发, with a reason of SKIP_REASONS (`other` needs a note). Until the WeCom task exists also after 同意.

    Skipping twice changes nothing. Raises Conflict too late, UserError without a reason.
    """
    if reason not in SKIP_REASONS:
        raise UserError(_("请选一个不发的原因。"), code="no_reason", fields={"reason": "required"})
    if reason == "other" and not note.strip():
        raise UserError(_("选「其他」时请写一句说明。"), code="no_note", fields={"note": "required"})
    dispatch = _own(dispatch_id, member_ids)
    if dispatch.state == DispatchState.SKIPPED:
        return dispatch
    if dispatch.state != DispatchState.AGREED:
        _check_waiting(dispatch)
    now = clock.now()
    dispatch.state, dispatch.reason, dispatch.note = DispatchState.SKIPPED, reason, note.strip()[:200]
    dispatch.ended_at, dispatch.agreed_at, dispatch.agreed_by_id = now, None, None  # 已同意 does not count her
    dispatch.save(update_fields=["state", "reason", "note", "ended_at", "agreed_at", "agreed_by_id"])
    planned = Delivery.objects.filter(dispatch=dispatch, state=DeliveryState.PLANNED)
    settle(planned, state=DeliveryState.SKIPPED, reason="guide_skipped", settled_at=now)
    audit.record("dispatch.skipped", dispatch, by=by, push=dispatch.push_id, reason=reason)
    changes.tell([dispatch.push_id])
    jobs.nudge(LANE)
    return dispatch


@transaction.atomic
def exclude(
    dispatch_id: int, delivery_ids: Collection[int], *, member_ids: Collection[int], reason: str, by: Actor
) -> int:
    """不发给 some of the unit's customers (导购排除): they stay in the sum. How many were left out now.

    Raises Conflict once agreed or past the deadline, UserError without a reason.
    """
    if not reason.strip():
        raise UserError(_("请写一句不发给这位客户的原因。"), code="no_reason", fields={"reason": "required"})
    dispatch = _own(dispatch_id, member_ids)
    _check_waiting(dispatch)
    left_out = settle(
        Delivery.objects.filter(dispatch=dispatch, pk__in=delivery_ids, state=DeliveryState.PLANNED),
        state=DeliveryState.SKIPPED, reason="guide_excluded", note=reason.strip()[:60], settled_at=clock.now(),
    )  # fmt: skip
    if left_out:
        Dispatch.objects.filter(pk=dispatch.pk).update(planned=F("planned") - left_out)
        audit.record("dispatch.excluded", dispatch, by=by, push=dispatch.push_id, count=left_out)
        changes.tell([dispatch.push_id])
    return left_out


def _own(dispatch_id: int, member_ids: Collection[int]) -> Dispatch:
    return (
        Dispatch.objects.select_for_update(of=("self",))
        .select_related("push")
        .get(pk=dispatch_id, sender_id__in=list(member_ids))
    )


def _check_waiting(dispatch: Dispatch) -> None:
    if dispatch.push.confirm_by <= clock.now():
        raise Conflict(_("已过确认截止时间,这条不会再发。"), code="past_deadline")
    if dispatch.state == DispatchState.SKIPPED:
        raise Conflict(_("您已选择不发,不能再改。需要发的话请联系运营。"), code="already_skipped")
    if dispatch.state != DispatchState.WAITING or dispatch.stop_wanted_at or dispatch.push.stop_wanted_at:
        raise Conflict(
            _("这条现在是「%(state)s」,不能再改。") % {"state": dispatch.get_state_display()}, code="not_waiting"
        )
