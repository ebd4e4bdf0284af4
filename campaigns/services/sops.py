"""SOP: what an operator plans as dated steps, released once by 审批, paused and resumed."""

from dataclasses import dataclass, field
from datetime import time, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from accounts.scope import DataScope, scope_as_json, scope_from_json
from campaigns.models import Approval, Push, Sop, SopStep, SopVersion
from campaigns.policy import send_policy
from campaigns.rendering import preview
from campaigns.services.approvals import check_approver
from campaigns.services.broadcasts import LANE
from campaigns.services.contents import create_content
from campaigns.services.stopping import stop_push
from campaigns.states import PushKind, PushState
from campaigns.triggers import find_trigger
from conditions.reading import field_keys
from conditions.schema import validate
from contacts.models import Store
from contacts.queries import visible_stores
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit, jobs
from tenants.audit import Actor

MAX_STEPS = 20
MAX_DAY = 365
DECIDE_WITHIN = timedelta(days=7)


@dataclass(frozen=True)
class Step:
    """Day N at a slot, and what is sent."""

    day: int
    slot: time
    text: str
    message_class: str = "content"
    attachments: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """A whole version. within: the author's scope: only people of its places enter, only its members send."""

    steps: list[Step]
    within: DataScope
    trigger: str = "follow_added"
    entry_tree: dict[str, Any] | None = None
    exit_tree: dict[str, Any] | None = None
    holdout_percent: int = 0


@transaction.atomic
def create_sop(name: str, plan: Plan, *, by: Actor) -> SopVersion:
    """A SOP with its first, unreleased version. Raises UserError for a taken name or a plan that cannot be sent."""
    if not name.strip():
        raise UserError(_("请给 SOP 起个名字。"), code="no_name", fields={"name": "required"})
    if Sop.objects.filter(name=name.strip()).exclude(state="off").exists():
        raise UserError(_("已有同名的 SOP,请换个名字。"), code="name_taken", fields={"name": "taken"})
    sop = Sop.objects.create(name=name.strip(), created_by_id=by.id, created_at=clock.now())
    audit.record("sop.created", sop, by=by)
    return _write_version(sop, 1, plan, by)


@transaction.atomic
def save_version(sop_id: int, plan: Plan, *, by: Actor) -> SopVersion:
    """The next version: whoever is under way finishes under the old one. A waiting request is void."""
    sop = Sop.objects.select_for_update().get(pk=sop_id)
    latest = sop.versions.aggregate(n=Max("number"))["n"] or 0
    ids = list(sop.versions.values_list("pk", flat=True))
    Approval.objects.filter(subject_kind="sop", subject_id__in=ids, state=Approval.State.PENDING).update(
        state=Approval.State.VOID, decided_at=clock.now()
    )
    audit.record("sop.edited", sop, by=by, version=latest + 1)
    return _write_version(sop, latest + 1, plan, by)


def _write_version(sop: Sop, number: int, plan: Plan, by: Actor) -> SopVersion:
    check_plan(plan)
    keys = field_keys(plan.exit_tree) if plan.exit_tree else set()
    version = SopVersion.objects.create(
        sop=sop,
        number=number,
        trigger=plan.trigger,
        entry_tree=plan.entry_tree,
        exit_tree=plan.exit_tree,
        field_keys=sorted(keys),
        within=scope_as_json(plan.within),
        holdout_percent=plan.holdout_percent,
        created_by_id=by.id,
        created_at=clock.now(),
    )
    for position, step in enumerate(sorted(plan.steps, key=lambda one: (one.day, one.slot))):
        title = _("%(name)s 第 %(day)d 天") % {"name": sop.name, "day": step.day}
        content = create_content(
            title=title,
            message_class=step.message_class,
            text=step.text,
            attachments=step.attachments,
            carrier="mass",
            by=by,
        )
        SopStep.objects.create(
            version=version, position=position, day=step.day, slot=step.slot, content_version=content
        )
    return version


def check_plan(plan: Plan) -> None:
    """Raises UserError for a plan without steps, with steps outside of the tenant's slots, or with a bad condition."""
    policy = send_policy()
    if not plan.steps:
        raise UserError(_("请至少写一步。"), code="no_steps")
    if len(plan.steps) > MAX_STEPS:
        raise UserError(_("最多 %(n)d 步。") % {"n": MAX_STEPS}, code="too_many_steps")
    if len({(step.day, step.slot) for step in plan.steps}) < len(plan.steps):
        raise UserError(_("同一天同一时段只能有一步。"), code="same_slot")
    for step in plan.steps:
        if not 0 <= step.day <= MAX_DAY:
            raise UserError(_("天数要在 0 到 %(n)d 之间。") % {"n": MAX_DAY}, code="day")
        if step.slot not in policy.slots:
            slots = "、".join(f"{slot:%H:%M}" for slot in policy.slots)
            raise UserError(_("发送时段只能是 %(slots)s。") % {"slots": slots}, code="slot")
    find_trigger(plan.trigger)
    for tree in (plan.entry_tree, plan.exit_tree):
        if tree:
            validate(tree)


# --- 审批 -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def submit_version(version_id: int, *, by: Actor) -> Approval:
    """Ask for the release of a version. Submitting twice gives the same request."""
    version = SopVersion.objects.select_related("sop").get(pk=version_id)
    if version.released_at:
        raise Conflict(_("这一版已经发布。"), code="already_released")
    pending = Approval.objects.filter(subject_kind="sop", subject_id=version.pk, state=Approval.State.PENDING).first()
    if pending:
        return pending
    now = clock.now()
    stores = list(visible_stores(scope_from_json(version.within)).values_list("pk", flat=True))
    approval = Approval.objects.create(
        subject_kind="sop",
        subject_id=version.pk,
        subject_version=version.number,
        level=_level(version, stores),
        snapshot=_snapshot(version, stores),
        requested_by_id=by.id or 0,
        requested_at=now,
        expires_at=now + DECIDE_WITHIN,
    )
    audit.record("sop.submitted", version.sop, by=by, version=version.number)
    jobs.nudge(LANE, due_at=approval.expires_at)
    return approval


def _level(version: SopVersion, store_ids: list[int]) -> str:
    """A SOP reaches whatever its author sees: everything is for hq."""
    if version.within.get("sees_all") or not store_ids:
        return "hq"
    if len(store_ids) == 1:
        return "store"
    regions = set(Store.objects.filter(pk__in=store_ids).values_list("region_id", flat=True))
    return "region" if len(regions) == 1 and None not in regions else "hq"


def _snapshot(version: SopVersion, store_ids: list[int]) -> dict[str, Any]:
    steps = version.steps.select_related("content_version__content").order_by("position")
    sendings = [step.sending for step in steps]
    shown = [
        {
            "when": _("第 %(day)d 天 %(slot)s") % {"day": sending.day, "slot": f"{sending.slot:%H:%M}"},
            "text": preview(sending.content.text),
            "shown": [],
        }
        for sending in sendings
    ]
    classes = {sending.content.content.message_class for sending in sendings}
    return {
        "name": version.sop.name,
        "text": "\n".join(f"{one['when']}: {one['text']}" for one in shown),
        "attachments": [],
        "message_class": "promotion" if "promotion" in classes else "content",
        "messages": shown,
        "audience": str(find_trigger(version.trigger).label),
        "store_ids": [] if version.within.get("sees_all") else store_ids,
        "makers": [version.created_by_id] if version.created_by_id else [],
    }


@transaction.atomic
def release_version(version_id: int, *, by: Actor, scope: DataScope) -> SopVersion:
    """通过: who enters from now on runs under this version; no push of it needs another 审批. Twice changes nothing.

    Raises Conflict when nothing waits, NotAllowed beyond her reach.
    """
    version = SopVersion.objects.select_for_update(of=("self",)).select_related("sop").get(pk=version_id)
    if version.released_at:
        return version
    approval = (
        Approval.objects.select_for_update()
        .filter(subject_kind="sop", subject_id=version.pk, state=Approval.State.PENDING)
        .first()
    )
    now = clock.now()
    if approval is None or approval.expires_at <= now:
        raise Conflict(_("这一版不在待审批中,可能已被驳回、修改或过期。请刷新。"), code="not_pending")
    is_own = check_approver(approval, by=by, scope=scope, typed_count=0)
    approval.state, approval.decided_by_id, approval.decided_at = Approval.State.APPROVED, by.id, now
    approval.is_own_release = is_own
    approval.save(update_fields=["state", "decided_by_id", "decided_at", "is_own_release"])
    version.released_at = now
    version.save(update_fields=["released_at"])
    Sop.objects.filter(pk=version.sop_id, state="draft").update(state="on")  # a paused one stays paused
    audit.record("sop.released", version.sop, by=by, version=version.number, own_release=is_own)
    return version


@transaction.atomic
def set_running(sop_id: int, *, running: bool, by: Actor) -> Sop:
    """暂停 or resume: paused, nobody enters and nothing is sent; what lies with guides is stopped, and steps whose day passes
    meanwhile are 已错过.
    """
    sop = Sop.objects.select_for_update().get(pk=sop_id)
    wanted = "on" if running else "paused"
    if sop.state not in ("on", "paused"):
        raise Conflict(_("还没有发布的版本,不能暂停或恢复。"), code="not_released")
    if sop.state != wanted:
        sop.state = wanted
        sop.save(update_fields=["state"])
        audit.record(f"sop.{'resumed' if running else 'paused'}", sop, by=by)
        if not running:
            _stop_pushes(sop, by)
        jobs.nudge(LANE)
    return sop


def _stop_pushes(sop: Sop, by: Actor) -> None:
    versions = sop.versions.values("pk")
    open_pushes = Push.objects.filter(kind=PushKind.SOP, source_id__in=versions, state=PushState.FROZEN)
    for push_id in open_pushes.order_by("pk").values_list("pk", flat=True):
        stop_push(push_id, by=by)
