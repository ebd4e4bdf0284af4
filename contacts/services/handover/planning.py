"""A plan and what people do with it: draft, change, start, stop, ask again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from contacts.models import HandoverKind, HandoverPlan, HandoverRow, Member, PlanState, RowState
from contacts.models.handover import PLAN_NEXT, ROW_AGAIN
from contacts.services.handover.eligibility import YEAR, Preview, fitness, preview
from contacts.services.handover.words import say_unfit
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text, insert_rows
from scrm.lib.errors import Conflict, UserError
from tenants import audit, jobs
from tenants.audit import Actor

LANE = "handover"
MESSAGE_LIMIT = 200  # characters of transfer_success_msg (customer-contact reference 9)


@dataclass(frozen=True)
class Settings:
    """What the planner's form holds. successors: members the person may choose, already within her scope."""

    successors: Sequence[Member]
    fallback: Member | None
    split: str
    message: str = ""
    with_groups: bool = True
    moves_ownership: bool = True
    moves_remarks: bool = False


@transaction.atomic
def open_plan(member: Member, *, by: Actor) -> HandoverPlan:
    """The guide's open plan, or a new draft: 离职 for one who left, 在职 otherwise."""
    found = HandoverPlan.objects.filter(from_member=member, state__in=(PlanState.DRAFT, PlanState.RUNNING)).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            plan = HandoverPlan.objects.create(
                kind=kind_for(member), from_member=member, created_by_id=by.id if by.kind == "user" else None,
                created_at=clock.now(),
            )  # fmt: skip
    except IntegrityError:  # somebody else opened it in the same moment
        return HandoverPlan.objects.get(from_member=member, state__in=(PlanState.DRAFT, PlanState.RUNNING))
    audit.record("handover.drafted", plan, by=by, member=member.pk, kind=plan.kind)
    return plan


def kind_for(member: Member) -> HandoverKind:
    return HandoverKind.RESIGNED if member.status == Member.Status.LEFT else HandoverKind.ONJOB


@transaction.atomic
def change_plan(plan_id: int, given: Settings, *, by: Actor) -> HandoverPlan:
    """Write the planner's form into a draft. Raises UserError for a message that is too long, a successor who cannot take over."""
    plan = _locked(plan_id)
    if plan.state != PlanState.DRAFT:
        raise Conflict(_("计划已经开始,不能再修改。需要调整时请先停止,再新建计划。"))
    _refuse_unfit(plan, [*given.successors, *([given.fallback] if given.fallback else [])])
    message = clean_text(given.message.strip())
    if len(message) > MESSAGE_LIMIT:
        raise UserError(_("给客户的话最多 %(n)d 个字,请缩短。") % {"n": MESSAGE_LIMIT})
    plan.kind = kind_for(plan.from_member)
    plan.successor_ids = sorted({one.pk for one in given.successors})
    plan.fallback, plan.split, plan.message = given.fallback, given.split, message
    plan.with_groups, plan.moves_ownership = given.with_groups, given.moves_ownership
    plan.moves_remarks = given.moves_remarks
    plan.save(update_fields=[
        "kind", "successor_ids", "fallback", "split", "message", "with_groups", "moves_ownership", "moves_remarks",
    ])  # fmt: skip
    audit.record("handover.changed", plan, by=by, successors=plan.successor_ids, split=plan.split)
    return plan


def _refuse_unfit(plan: HandoverPlan, members: Sequence[Member]) -> None:
    for one in fitness(members, clock.now()):
        if one.member.pk == plan.from_member_id:
            raise UserError(_("接替成员不能是原成员本人,请选择其他成员。"))
        if one.member.corp_id != plan.from_member.corp_id:
            raise UserError(_("%(name)s 属于另一个企业,客户不能跨企业转移。") % {"name": one.member})
        if one.unfit:
            raise UserError(
                _("%(name)s 不能接替:%(why)s。请选择其他成员。") % {"name": one.member, "why": say_unfit(one.unfit)}
            )


@transaction.atomic
def start_plan(plan_id: int, *, expected: int, by: Actor) -> HandoverPlan:
    """Freeze who goes to whom and let it run. Raises Conflict when it would not be as many as the person saw."""
    plan, now = _locked(plan_id), clock.now()
    if plan.state != PlanState.DRAFT:
        raise Conflict(_("计划已经开始过了。"))
    if plan.kind != kind_for(plan.from_member):
        raise Conflict(_("%(name)s 的在职状态变了,请保存一次设置,核对预览后再开始。") % {"name": plan.from_member})
    seen = preview(plan, now)
    if not seen.eligible:
        raise UserError(_("没有可以转移的客户或客户群。请选择接替成员,或查看每一项的原因。"))
    if seen.eligible != expected:
        raise Conflict(
            _("您看到的是 %(expected)d 项,现在可转移的是 %(count)d 项。请核对预览后重新开始。")
            % {"expected": expected, "count": seen.eligible}
        )
    _write_rows(plan, seen)
    _move(plan, PlanState.RUNNING)
    plan.started_at = plan.next_at = now
    plan.save(update_fields=["state", "started_at", "next_at"])
    audit.record("handover.started", plan, by=by, eligible=seen.eligible, excluded=len(seen.lines) - seen.eligible)
    jobs.nudge(LANE)
    return plan


def _write_rows(plan: HandoverPlan, seen: Preview) -> None:
    fallback = plan.fallback_id
    insert_rows(HandoverRow, [
        {
            "plan_id": plan.pk, "follow_id": line.follow_id, "group_id": line.group_id,
            "successor_id": None if line.reason else line.successor_id,
            "fallback_id": fallback if line.follow_id and not line.reason and fallback != line.successor_id else None,
            "state": (RowState.EXCLUDED if line.reason else RowState.WAITING).value, "reason": line.reason,
        }
        for line in seen.lines
    ])  # fmt: skip


@transaction.atomic
def stop_plan(plan_id: int, *, by: Actor) -> HandoverPlan:
    """Nothing further is asked for. What WeCom has begun takes its course and is still followed to its end."""
    plan, now = _locked(plan_id), clock.now()
    if plan.state == PlanState.DRAFT:
        raise Conflict(_("草稿还没有开始,直接删除即可。"))
    if plan.state != PlanState.RUNNING:
        raise Conflict(_("计划已经结束了。"))
    waiting = plan.rows.filter(state=RowState.WAITING)
    count = waiting.update(state=RowState.STOPPED, settled_at=now)
    _move(plan, PlanState.STOPPED)
    plan.ended_at, plan.next_at = now, now
    plan.save(update_fields=["state", "ended_at", "next_at"])
    audit.record("handover.stopped", plan, by=by, count=count)
    jobs.nudge(LANE)
    return plan


@transaction.atomic
def delete_draft(plan_id: int, *, by: Actor) -> None:
    """A draft that is not wanted any more."""
    plan = _locked(plan_id)
    if plan.state != PlanState.DRAFT:
        raise Conflict(_("计划已经开始,不能删除。"))
    audit.record("handover.deleted", plan, by=by, member=plan.from_member_id)
    plan.delete()


@transaction.atomic
def ask_again(plan_id: int, *, by: Actor) -> int:
    """What came to nothing is asked for once more, from the same successor, but for those who refused. How many."""
    plan, now = _locked(plan_id), clock.now()
    if plan.state not in (PlanState.RUNNING, PlanState.DONE):
        raise Conflict(_("计划已停止,不能重新发起。请新建计划。"))
    if plan.kind != kind_for(plan.from_member):
        raise Conflict(_("%(name)s 的在职状态变了,请新建计划。") % {"name": plan.from_member})
    rows = plan.rows.filter(state__in=ROW_AGAIN)
    try:
        with transaction.atomic():
            count = rows.update(state=RowState.WAITING, reason="", errcode=None, batch=None, settled_at=None)
            if plan.state == PlanState.DONE and count:
                _move(plan, PlanState.RUNNING)
    except IntegrityError:
        raise Conflict(_("其中有客户已在另一个继承计划中,请等那个计划结束后再重新发起。")) from None
    if not count:
        raise UserError(_("没有可以重新发起的客户或客户群。"))
    plan.next_at, plan.ended_at = now, None
    try:
        with transaction.atomic():
            plan.save(update_fields=["state", "next_at", "ended_at"])
    except IntegrityError:
        raise Conflict(_("这位成员已有新的继承计划,请在新计划里处理。")) from None
    audit.record("handover.asked_again", plan, by=by, count=count)
    jobs.nudge(LANE)
    return count


def deadline_of(plan: HandoverPlan) -> datetime | None:
    """Until when WeCom lets a leaver's customers be handed over."""
    return deadline_for(plan.from_member) if plan.kind == HandoverKind.RESIGNED else None


def deadline_for(member: Member) -> datetime | None:
    """The same for a member without a plan; None for one at work."""
    return member.left_at + YEAR if member.left_at and kind_for(member) == HandoverKind.RESIGNED else None


def _locked(plan_id: int) -> HandoverPlan:
    return (
        HandoverPlan.objects.select_for_update(of=("self",)).select_related("from_member", "fallback").get(pk=plan_id)
    )


def _move(plan: HandoverPlan, state: PlanState) -> None:
    """Raises ValueError for a step the states do not know."""
    if state not in PLAN_NEXT[plan.state]:
        raise ValueError(f"a handover plan does not go from {plan.state} to {state}")
    plan.state = state
