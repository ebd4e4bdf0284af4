"""审批: who may release what, and what a release does."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import RoleGrant, User
from accounts.scope import DataScope
from campaigns import changes
from campaigns.models import Approval, Broadcast, Delivery, Push
from campaigns.policy import send_policy
from campaigns.queries.preflight import covers, frame_of, level_of, verdicts_of
from campaigns.rendering import empty_for
from campaigns.services.broadcasts import LANE, check_complete, check_values, send_back
from campaigns.services.cutting import cut_dispatches
from campaigns.services.freezing import Frozen, freeze_groups, freeze_people, planned_count
from campaigns.states import DeliveryState, PushKind, PushTarget
from contacts.models import Store
from scrm.lib import clock
from scrm.lib.errors import Conflict, NotAllowed, UserError
from tenants import audit, jobs
from tenants.audit import SYSTEM, Actor

APPROVE = "broadcasts.approve"
State = Broadcast.State


@transaction.atomic
def approve_broadcast(
    broadcast_id: int, *, by: Actor, scope: DataScope, version: int | None = None, typed_count: int | None = None
) -> Broadcast:
    """通过: freeze the audience and cut the units. Approving twice changes nothing.

    version: the one the approver saw. typed_count: the recipients, typed by the only approver of a tenant to release her
    own. Raises Conflict when it changed, expired or left 待审批; NotAllowed when she may not release it; UserError otherwise.
    """
    broadcast = (
        Broadcast.objects.select_for_update(of=("self",))
        .select_related("content_version__content")
        .get(pk=broadcast_id)
    )
    if broadcast.state in (State.RUNNING, State.ENDED) and broadcast.push_id:
        return broadcast
    approval = _pending(broadcast, version)
    by_herself = check_approver(approval, by=by, scope=scope, typed_count=typed_count)
    check_complete(broadcast)
    push = _freeze(broadcast)
    _check_frozen(broadcast, push, scope)
    if by_herself and typed_count != planned_count(push.pk):
        raise UserError(
            _("要发给 %(n)d 人,和您输入的不一样。请核对后重新输入。") % {"n": planned_count(push.pk)},
            code="count_differs",
        )
    if not planned_count(push.pk):
        raise UserError(_("提交之后人群有变化,现在没有可触达的客户。请退回修改。"), code="nobody_reachable")
    assert broadcast.content_version is not None
    units = cut_dispatches(push, broadcast.content_version)
    _release(broadcast, approval, push, by=by, by_herself=by_herself)
    changes.tell([push.pk])
    audit.record(
        "broadcast.approved", broadcast, by=by, version=broadcast.version, count=push.audience_count,
        digest=push.audience_hash, units=units, own_release=by_herself,
    )  # fmt: skip
    jobs.nudge(LANE, due_at=push.notify_at)
    jobs.nudge(LANE, due_at=push.confirm_by)
    return broadcast


def _pending(broadcast: Broadcast, version: int | None) -> Approval:
    approval = (
        Approval.objects.select_for_update()
        .filter(subject_kind="broadcast", subject_id=broadcast.pk, state=Approval.State.PENDING)
        .first()
    )
    if broadcast.state != State.SUBMITTED or approval is None:
        raise Conflict(_("这条群发不在待审批中,可能已被撤回、驳回或修改。请刷新。"), code="not_pending")
    if approval.subject_version != broadcast.version or (version is not None and version != broadcast.version):
        raise Conflict(_("您打开之后内容又改过,请看过新的内容再审批。"), code="changed")
    if approval.expires_at <= clock.now():
        raise Conflict(_("审批已过期:离确认截止时间不到一小时。请作者改时间后重新提交。"), code="expired")
    return approval


def _check_frozen(broadcast: Broadcast, push: Push, scope: DataScope) -> None:
    """What is frozen may have grown since the request: the level, her reach and the stores' values are asked of it again.

    Raises Conflict, and the freeze is undone with it.
    """
    assert broadcast.content_version is not None
    planned = Delivery.objects.filter(push=push, state=DeliveryState.PLANNED)
    stores = Store.objects.filter(pk__in=planned.values("store")).order_by("name")
    store_ids = [store.pk for store in stores]
    level = "hq" if planned.filter(store__isnull=True).exists() else level_of(store_ids)
    if not covers(scope, level, store_ids):
        raise Conflict(
            _("提交之后人群变了,现在涉及 %(n)d 家门店,超出了您的审批范围。请作者重新提交。") % {"n": len(store_ids)},
            code="reach_grew",
        )
    check_values(empty_for(broadcast.content_version.text, stores))


def check_approver(approval: Approval, *, by: Actor, scope: DataScope, typed_count: int | None) -> bool:
    """Whether this is an own release by the tenant's only approver. Raises NotAllowed when she may not release it.

    Her own is whatever she wrote, changed or submitted.
    """
    if not covers(scope, approval.level, approval.snapshot.get("store_ids", [])):
        raise NotAllowed(
            _("这条要由%(level)s审批,超出了您的审批范围。") % {"level": approval.get_level_display()}, code="level"
        )
    if not is_own(approval, by.id):
        return False
    if approver_ids() != {by.id}:
        raise NotAllowed(_("自己写过、改过或提交的要由别人审批。"), code="own_request")
    if typed_count is None:
        raise UserError(_("您是唯一的审批人:请输入要发给的人数来确认。"), code="type_the_count")
    return True


def is_own(approval: Approval, user_id: int | None) -> bool:
    """Whether the user wrote, changed or submitted what is to be released."""
    return user_id in {approval.requested_by_id, *approval.snapshot.get("makers", [])}


def approver_ids() -> set[int]:
    """Users of the tenant who may approve anything."""
    grants = RoleGrant.objects.filter(role__permissions__contains=[APPROVE])
    return set(User.objects.filter(pk__in=grants.values("user_id"), is_active=True).values_list("pk", flat=True))


def _freeze(broadcast: Broadcast) -> Push:
    now, policy = clock.now(), send_policy()
    assert (
        broadcast.notify_at is not None and broadcast.confirm_by is not None and broadcast.content_version is not None
    )
    push = Push.objects.create(
        kind=PushKind.BROADCAST,
        target=PushTarget.GROUPS if broadcast.target == "groups" else PushTarget.PEOPLE,
        source_id=broadcast.pk,
        source_version=broadcast.version,
        title=broadcast.name,
        message_class=broadcast.content_version.content.message_class,
        holdout_percent=broadcast.holdout_percent if broadcast.target == "people" else 0,
        notify_at=broadcast.notify_at,
        confirm_by=broadcast.confirm_by,
        frozen_at=now,
    )
    verdicts = verdicts_of(broadcast, frame_of(broadcast, now=now, policy=policy, push_id=push.pk))
    frozen: Frozen
    if broadcast.target == "groups":
        frozen = freeze_groups(push, verdicts)
    else:
        frozen = freeze_people(push, verdicts, holdout_key=f"broadcast:{broadcast.pk}")
    push.audience_count, push.audience_hash = frozen.count, frozen.digest
    push.save(update_fields=["audience_count", "audience_hash"])
    return push


def _release(broadcast: Broadcast, approval: Approval, push: Push, *, by: Actor, by_herself: bool) -> None:
    now = clock.now()
    approval.state, approval.decided_by_id, approval.decided_at = Approval.State.APPROVED, by.id, now
    approval.is_own_release = by_herself
    approval.save(update_fields=["state", "decided_by_id", "decided_at", "is_own_release"])
    broadcast.state, broadcast.push, broadcast.updated_at = State.RUNNING, push, now
    broadcast.save(update_fields=["state", "push", "updated_at"])


@transaction.atomic
def reject_broadcast(broadcast_id: int, *, by: Actor, scope: DataScope, comment: str) -> Broadcast:
    """驳回 with a word to the author: back to 草稿. Raises Conflict outside 待审批, NotAllowed beyond her scope."""
    broadcast = Broadcast.objects.select_for_update().get(pk=broadcast_id)
    approval = Approval.objects.filter(
        subject_kind="broadcast", subject_id=broadcast.pk, state=Approval.State.PENDING
    ).first()
    if approval is None:
        raise Conflict(_("这条群发不在待审批中,可能已被撤回或修改。请刷新。"), code="not_pending")
    if not covers(scope, approval.level, approval.snapshot.get("store_ids", [])):
        raise NotAllowed(_("这条超出了您的审批范围。"), code="level")
    if not comment.strip():
        raise UserError(_("请写一句驳回的原因,作者会看到。"), code="no_comment", fields={"comment": "required"})
    note = _("已驳回:%(why)s") % {"why": comment.strip()}
    return send_back(broadcast, Approval.State.REJECTED, note=note, by=by, comment=comment.strip())


@transaction.atomic
def reject_other(approval_id: int, *, by: Actor, comment: str) -> Approval:
    """驳回 of something that is not a broadcast: the request is closed with the reason."""
    approval = Approval.objects.select_for_update().get(pk=approval_id)
    if approval.state != Approval.State.PENDING:
        raise Conflict(_("这条不在待审批中,可能已被处理。请刷新。"), code="not_pending")
    if not comment.strip():
        raise UserError(_("请写一句驳回的原因,作者会看到。"), code="no_comment", fields={"comment": "required"})
    approval.state, approval.decided_at, approval.decided_by_id = Approval.State.REJECTED, clock.now(), by.id
    approval.comment = comment.strip()[:200]
    approval.save(update_fields=["state", "decided_at", "decided_by_id", "comment"])
    audit.record(f"{approval.subject_kind}.rejected", approval, by=by)
    return approval


def lapse_approvals(limit: int = 100) -> int:
    """Requests not released in time become drafts again, 审批已过期. How many were handled."""
    due = Approval.objects.filter(state=Approval.State.PENDING, expires_at__lte=clock.now()).order_by("expires_at")[
        :limit
    ]
    return sum(_lapse(approval) for approval in due)


@transaction.atomic
def _lapse(due: Approval) -> bool:
    broadcast = None
    if due.subject_kind == "broadcast":  # before the request, as whoever decides it
        broadcast = Broadcast.objects.select_for_update().get(pk=due.subject_id)
    approval = Approval.objects.select_for_update(skip_locked=True).filter(pk=due.pk).first()
    if approval is None or approval.state != Approval.State.PENDING:
        return False
    if broadcast is not None:
        send_back(broadcast, Approval.State.LAPSED, note=_("审批已过期"), by=SYSTEM)
    else:
        approval.state, approval.decided_at = Approval.State.LAPSED, clock.now()
        approval.save(update_fields=["state", "decided_at"])
    return True
