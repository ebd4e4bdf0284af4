"""A plan's run: batches cut from what waits, results asked for, the end noticed. The calls themselves are commands."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from contacts.models import HandoverKind, HandoverPlan, HandoverRow, Member, PlanState, RowState
from contacts.models.handover import ROW_OPEN
from contacts.services.handover.eligibility import WECOM_ZONE
from contacts.services.handover.planning import LANE, kind_for
from scrm.lib import clock
from tenants import jobs
from wecom_bridge.commands import Wish, enqueue_many

ASK, ASK_GROUPS, READ_RESULTS, READ_OWNER = (
    "handover.ask",
    "handover.ask_groups",
    "handover.read_results",
    "handover.read_owner",
)
BATCH = 100  # customers or groups of one call (customer-contact reference 9)
GROUPS_A_DAY, OVER_A_DAY = 300, 45009  # from one owner to another, both ways of handing over together
# A hand-over completes after 24 hours, or sooner by a callback; one call tells of 1,000 customers of a pair.
POLL = timedelta(hours=1)
OVERDUE = timedelta(hours=72)


def due(now: datetime) -> QuerySet[HandoverPlan]:
    """Plans with something to do."""
    return HandoverPlan.objects.filter(next_at__lte=now)


def drain(deadline: datetime) -> bool:
    """The lane: advance due plans, one transaction each. True when work is left."""
    while clock.wall() < deadline:
        plan_id = due(clock.now()).order_by("next_at", "pk").values_list("pk", flat=True).first()
        if plan_id is None:
            return False
        advance(plan_id)
    return due(clock.now()).exists()


def next_due() -> datetime | None:
    """The domain instant at which the next plan has something to do."""
    waiting = HandoverPlan.objects.filter(next_at__isnull=False).order_by("next_at")
    return waiting.values_list("next_at", flat=True).first()


def count_due() -> int:
    """Plans due now, for the sandbox driver."""
    return due(clock.now()).count()


def wake(plan_id: int, at: datetime) -> None:
    """There is something to do for a plan at a domain instant, in the caller's transaction."""
    plans = HandoverPlan.objects.filter(Q(next_at__isnull=True) | Q(next_at__gt=at), pk=plan_id)
    if plans.update(next_at=at):
        jobs.nudge(LANE, due_at=at)


@transaction.atomic
def advance(plan_id: int) -> None:
    """Ask for what waits, look for results, and end the plan when nothing is open."""
    plan = HandoverPlan.objects.select_for_update(of=("self",)).select_related("from_member").get(pk=plan_id)
    now = clock.now()
    if plan.next_at is None or plan.next_at > now:
        return
    _give_up_lost(plan, now)
    _cut_people(plan, now)
    held = _cut_groups(plan, now)
    _read(plan, now)
    if plan.rows.filter(state__in=ROW_OPEN).exists():
        polled = (plan.polled_at or now) + POLL
        plan.next_at = min(polled, tomorrow(now)) if held else polled
    else:
        _finish(plan, now)
    plan.save(update_fields=["state", "batches", "polled_at", "next_at", "ended_at"])


def _finish(plan: HandoverPlan, now: datetime) -> None:
    plan.next_at = None
    if plan.state == PlanState.RUNNING:
        plan.state, plan.ended_at = PlanState.DONE, now


def _give_up_lost(plan: HandoverPlan, now: datetime) -> None:
    """Waiting rows whose giver or taker went away meanwhile: the giver's need another plan, the taker's go to the fallback."""
    waiting = plan.rows.filter(state=RowState.WAITING)
    if kind_for(plan.from_member) != plan.kind:
        reason = "giver_left" if plan.kind == HandoverKind.ONJOB else "giver_back"
        waiting.update(state=RowState.FAILED, reason=reason, settled_at=now)
        return
    unfit = ~Q(status=Member.Status.ACTIVE) | Q(has_customer_contact=False)
    gone = waiting.filter(successor__in=Member.objects.filter(unfit))
    fit = Member.objects.filter(status=Member.Status.ACTIVE, has_customer_contact=True)
    for fallback_id in set(gone.filter(fallback__in=fit).values_list("fallback_id", flat=True)):
        gone.filter(fallback_id=fallback_id).update(successor_id=fallback_id, fallback=None)
    gone.update(state=RowState.FAILED, reason="successor_gone", settled_at=now)


def _cut_people(plan: HandoverPlan, now: datetime) -> None:
    waiting = plan.rows.filter(state=RowState.WAITING, follow__isnull=False)
    by_successor: dict[int, list[int]] = {}
    for pk, successor_id in waiting.order_by("pk").values_list("pk", "successor_id"):
        by_successor.setdefault(successor_id or 0, []).append(pk)
    for successor_id, pks in sorted(by_successor.items()):
        for begin in range(0, len(pks), BATCH):
            _ask(plan, ASK, successor_id, pks[begin : begin + BATCH], now)


def _cut_groups(plan: HandoverPlan, now: datetime) -> bool:
    """As many groups of each pair as the day allows. True when some wait for tomorrow."""
    waiting = plan.rows.filter(state=RowState.WAITING, group__isnull=False)
    midnight = tomorrow(now) - timedelta(days=1)
    told_off = waiting.filter(errcode=OVER_A_DAY, asked_at__gte=midnight)  # others hand groups over as well
    held = told_off.exists()
    by_successor: dict[int, list[int]] = {}
    for pk, successor_id in waiting.exclude(pk__in=told_off).order_by("pk").values_list("pk", "successor_id"):
        by_successor.setdefault(successor_id or 0, []).append(pk)
    if not by_successor:
        return held
    asked = HandoverRow.objects.filter(
        plan__from_member=plan.from_member_id, group__isnull=False, asked_at__gte=midnight
    )
    today = dict(asked.values_list("successor_id").annotate(n=Count("pk")).order_by())
    for successor_id, pks in sorted(by_successor.items()):
        room = max(GROUPS_A_DAY - today.get(successor_id, 0), 0)
        held |= len(pks) > room
        for begin in range(0, min(len(pks), room), BATCH):
            _ask(plan, ASK_GROUPS, successor_id, pks[begin : min(begin + BATCH, room)], now)
    return held


def _ask(plan: HandoverPlan, kind: str, successor_id: int, pks: list[int], now: datetime) -> None:
    """One call: its rows belong to its batch from now on."""
    plan.batches += 1
    plan.polled_at = now
    HandoverRow.objects.filter(pk__in=pks).update(
        state=RowState.ASKING, batch=plan.batches, asked_at=now, due_at=None, settled_at=None
    )
    payload: dict[str, Any] = {"batch": plan.batches, "successor": successor_id}
    key = f"{kind}:{plan.from_member_id}:{successor_id}"  # two calls of a pair in doubt at once could not be told apart
    enqueue_many(kind, [Wish(plan.from_member.corp_id, key, payload, plan.pk, f"{kind}:{plan.pk}:{plan.batches}")])


def _read(plan: HandoverPlan, now: datetime) -> None:
    """Ask what became of everything sent, each pair once an hour."""
    if plan.polled_at is not None and now - plan.polled_at < POLL:
        return
    plan.polled_at = now
    sent = plan.rows.filter(state=RowState.SENT)
    corp_id = plan.from_member.corp_id
    pairs = sent.filter(follow__isnull=False).values_list("successor_id", flat=True).distinct().order_by()
    enqueue_many(READ_RESULTS, [
        Wish(corp_id, f"{READ_RESULTS}:{plan.pk}:{pk}", {"successor": pk}, plan.pk, f"{READ_RESULTS}:{plan.pk}:{pk}")
        for pk in sorted(filter(None, pairs))
    ])  # fmt: skip
    enqueue_many(READ_OWNER, [
        Wish(corp_id, f"{READ_OWNER}:{pk}", {}, pk, f"{READ_OWNER}:{pk}")
        for pk in sent.filter(group__isnull=False).order_by("pk").values_list("pk", flat=True)
    ])  # fmt: skip


def tomorrow(now: datetime) -> datetime:
    """The next midnight, as WeCom counts days."""
    today = now.astimezone(WECOM_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)
