"""今日: the units of a guide, in the order she should look at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet

from campaigns.models import Delivery, Dispatch
from campaigns.states import DeliveryState, DispatchState, PushTarget

_D = DispatchState
TO_DECIDE = (_D.WAITING,)
TO_SEND = (_D.AGREED, _D.CREATING, _D.TASKED)


@dataclass
class Unit:
    """A unit with the counts a guide wants: who would get it, who is left out, who got it."""

    dispatch: Dispatch
    planned: int = 0
    left_out: int = 0
    sent: int = 0

    @property
    def is_waiting(self) -> bool:
        return self.dispatch.state == _D.WAITING

    @property
    def can_skip(self) -> bool:
        return self.dispatch.state in (_D.WAITING, _D.AGREED)

    @property
    def is_group(self) -> bool:
        return self.dispatch.push.target == PushTarget.GROUPS

    @property
    def is_coming(self) -> bool:
        """Agreed to; WeCom has no task yet."""
        return self.dispatch.state in (_D.AGREED, _D.CREATING)

    @property
    def must_send(self) -> bool:
        """The task lies in WeCom: she presses 发送 there."""
        return self.dispatch.state == _D.TASKED


def units_for(member_ids: Sequence[int], now: datetime, since: datetime) -> list[Unit]:
    """Open units, and those that ended since an instant; the nearest deadline first. Two queries."""
    rows = list(
        _units(member_ids)
        .filter(Q(state__in=[*TO_DECIDE, *TO_SEND, _D.STOPPING, _D.CONFIRMED]) | Q(ended_at__gte=since))
        .filter(Q(push__confirm_by__gt=now) | ~Q(state=_D.WAITING))
        .order_by("push__confirm_by", "pk")[:100]
    )
    counts = _counts([row.pk for row in rows])
    return [Unit(row, **counts.get(row.pk, {})) for row in rows]


def unit_for(member_ids: Sequence[int], dispatch_id: int) -> Unit:
    """One unit of her own. Raises Dispatch.DoesNotExist."""
    row = _units(member_ids).get(pk=dispatch_id)
    return Unit(row, **_counts([row.pk]).get(row.pk, {}))


def _units(member_ids: Sequence[int]) -> QuerySet[Dispatch]:
    return Dispatch.objects.filter(sender_id__in=member_ids).select_related("push", "sender", "store")


def _counts(dispatch_ids: list[int]) -> dict[int, dict[str, int]]:
    rows = (
        Delivery.objects.filter(dispatch_id__in=dispatch_ids)
        .values("dispatch_id")
        .annotate(
            planned=Count("pk", filter=~Q(state=DeliveryState.SKIPPED)),
            left_out=Count("pk", filter=Q(reason="guide_excluded")),
            sent=Count("pk", filter=Q(state=DeliveryState.SENT)),
        )
    )
    return {row["dispatch_id"]: {key: row[key] for key in ("planned", "left_out", "sent")} for row in rows}


def people_of(dispatch: Dispatch) -> QuerySet[Delivery]:
    """The customers or groups of a unit; those left out last."""
    return (
        Delivery.objects.filter(dispatch=dispatch).select_related("contact", "group", "follow").order_by("-state", "pk")
    )
