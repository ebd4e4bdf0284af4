"""At 通知时间: agreed units become WeCom tasks. The claim re-checks everybody; the audience only shrinks."""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q

from accounts.scope import EVERYTHING
from campaigns import changes
from campaigns.models import Delivery, Dispatch, Push
from campaigns.policy import SendPolicy, send_policy
from campaigns.queries.verdicts import Frame, delivery_verdicts, group_delivery_verdicts
from campaigns.services.broadcasts import LANE
from campaigns.services.ledger import LAST_CALL, corps_to_wait_for
from campaigns.services.marking import mark_people
from campaigns.states import DeliveryState, DispatchState, PushTarget
from campaigns.times import is_quiet
from scrm.lib import clock
from tenants import jobs
from tenants.locks import lock_in_transaction
from wecom_bridge import commands

CREATE = "groupmsg.create"
STOOD_LONG_ENOUGH = timedelta(hours=2)
# A claim's re-check is good for so long; a call that could not leave within it is claimed, and checked, anew.
CLAIM_HOLDS = timedelta(minutes=10)


def claimable(now: datetime, policy: SendPolicy) -> Q:
    """Units that may become WeCom tasks now; none in quiet hours. Those of a corp whose ledger is too old wait for it while their deadline allows."""
    if is_quiet(now, policy):
        return Q(pk__in=())
    due = Q(
        push__notify_at__lte=now,
        push__confirm_by__gt=now,
        push__stop_wanted_at__isnull=True,
        stop_wanted_at__isnull=True,
    )
    ready = Q(state=DispatchState.AGREED)
    if policy.silence_agrees:
        ready |= Q(state=DispatchState.WAITING, push__frozen_at__lte=F("push__notify_at") - STOOD_LONG_ENOUGH)
    waits = Q(sender__corp_id__in=corps_to_wait_for(now, policy), push__confirm_by__gt=now + LAST_CALL)
    return due & ready & ~(waits & Q(push__target=PushTarget.PEOPLE))


def claim_due(limit: int = 50) -> int:
    """Claim one push's due units; how many were handled. Call until it answers 0.

    One transaction: lock the units, shrink the audience, ask for the tasks. Units of a sender whose equal message is still
    unsettled wait: a lost answer is told apart by sender and content alone.
    """
    now, policy = clock.now(), send_policy()
    with transaction.atomic():
        lock_in_transaction("campaigns.claim")  # caps are counted and spent by one claim at a time
        units = _lock(now, policy, limit)
        if not units:
            return 0
        push = units[0].push
        shrink(push, [unit.pk for unit in units], now=now, policy=policy)
        left = _planned_counts(units)
        for unit in units:
            _ask(unit, left.get(unit.pk, 0), now)
        changes.tell([push.pk])
    return len(units)


def _lock(now: datetime, policy: SendPolicy, limit: int) -> list[Dispatch]:
    unsettled = Dispatch.objects.filter(
        sender=OuterRef("sender"), content_digest=OuterRef("content_digest"), state=DispatchState.CREATING
    )
    ready = Dispatch.objects.filter(claimable(now, policy)).filter(~Exists(unsettled))
    first = ready.order_by("push__notify_at", "push_id").values_list("push_id", flat=True).first()
    if first is None:
        return []
    rows = (
        ready.filter(push_id=first)
        .select_for_update(of=("self",), skip_locked=True)
        .select_related("push", "sender")
        .order_by("sender_id", "content_digest", "chunk")[:limit]
    )
    seen: set[tuple[int, str]] = set()
    alone = []
    for unit in rows:
        if (unit.sender_id, unit.content_digest) not in seen:
            seen.add((unit.sender_id, unit.content_digest))
            alone.append(unit)
    return alone


def shrink(push: Push, dispatch_ids: list[int], *, now: datetime, policy: SendPolicy) -> int:
    """Write skipped(reason) for the planned whom the world forbids by now. How many. Two statements."""
    frame = Frame(
        at=now,
        now=now,
        message_class=push.message_class,
        policy=policy,
        within=EVERYTHING,
        push_id=push.pk,
        counts_planned=False,
    )
    judge = group_delivery_verdicts if push.target == PushTarget.GROUPS else delivery_verdicts
    statement, params = judge(dispatch_ids, frame)
    table = Delivery._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"{statement} UPDATE {table} SET state = 'skipped', reason = verdict.reason, settled_at = %(now)s FROM verdict"
            f" WHERE {table}.id = verdict.delivery_id AND verdict.reason <> '' AND {table}.state = 'planned'"
            f" RETURNING {table}.contact_id",
            params | {"now": now},
        )
        left_out = [contact_id for (contact_id,) in cursor.fetchall()]
    mark_people(left_out)
    return len(left_out)


def _planned_counts(units: list[Dispatch]) -> dict[int, int]:
    planned = Delivery.objects.filter(dispatch__in=units, state=DeliveryState.PLANNED)
    return dict(planned.values_list("dispatch_id").annotate(n=Count("pk")).order_by())


def _ask(unit: Dispatch, left: int, now: datetime) -> None:
    if unit.agreed_at is None:
        unit.agreed_at = now  # silence agrees, by the tenant's own choice; agreed_by stays empty
    unit.planned = left
    if not left:
        unit.state, unit.reason, unit.ended_at = DispatchState.DONE, "nobody_left", now
        unit.save(update_fields=["state", "reason", "ended_at", "planned", "agreed_at"])
        return
    unit.state, unit.claimed_at = DispatchState.CREATING, now
    unit.save(update_fields=["state", "claimed_at", "planned", "agreed_at"])
    commands.enqueue(
        CREATE,
        corp=unit.sender.corp_id,
        entity_key=f"groupmsg:{unit.sender_id}:{unit.content_digest}",
        subject_id=unit.pk,
        # A unit is claimed again only after the command of its earlier claim was cancelled without a call.
        dedupe_key=f"groupmsg.create:{unit.pk}:{now.isoformat()}",
    )


def may_leave(unit: Dispatch, now: datetime, policy: SendPolicy) -> bool:
    """Whether the call for a claimed unit may still be made: not stopped, in time, not in quiet hours, checked just now."""
    is_wanted = unit.stop_wanted_at is None and unit.push.stop_wanted_at is None
    is_checked = unit.claimed_at is not None and now - unit.claimed_at <= CLAIM_HOLDS
    return is_wanted and is_checked and now < unit.push.confirm_by and not is_quiet(now, policy)


def unclaim(dispatch_id: int) -> None:
    """No call was made for a claimed unit: it is agreed as before, and is claimed again or ends at its deadline.

    One to be stopped is left to the stop; one without recipients is over. Runs in the transaction that cancels the command.
    """
    unit = Dispatch.objects.select_for_update(of=("self",)).select_related("push").get(pk=dispatch_id)
    if unit.state != DispatchState.CREATING or unit.stop_wanted_at is not None:
        return
    if Delivery.objects.filter(dispatch=unit, state=DeliveryState.PLANNED).exists():
        unit.state, unit.claimed_at = DispatchState.AGREED, None
    else:
        unit.state, unit.reason, unit.ended_at = DispatchState.DONE, "nobody_left", clock.now()
    unit.save(update_fields=["state", "reason", "claimed_at", "ended_at"])
    changes.tell([unit.push_id])
    jobs.nudge(LANE)
