"""群发 before its release: drafts, edits and the request for 审批."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.scope import DataScope, scope_as_json
from campaigns.models import Approval, Broadcast, ContentVersion
from campaigns.policy import send_policy
from campaigns.queries.audience import describe, unfinished_segment
from campaigns.queries.preflight import Preflight, run_preflight
from campaigns.rendering import carrier_of, check_message
from campaigns.services.contents import create_content, revise_content
from campaigns.times import RELEASE_MARGIN, check_times, default_confirm_by, default_notify_at
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit, jobs
from tenants.audit import Actor

LANE = "campaigns"
State = Broadcast.State


@dataclass(frozen=True)
class Draft:
    """What an author may set. None leaves a part as it is; `within` is the author's scope, kept with the audience."""

    name: str | None = None
    message_class: str | None = None
    text: str | None = None
    attachments: list[dict[str, Any]] | None = None
    audience: dict[str, Any] | None = None
    within: DataScope | None = None
    holdout_percent: int | None = None
    notify_at: datetime | None = None
    confirm_by: datetime | None = None


@transaction.atomic
def create_broadcast(draft: Draft, *, target: str = "people", by: Actor) -> Broadcast:
    """A new draft, with times proposed by the tenant's slots. Raises UserError for content its carrier cannot carry."""
    now, policy = clock.now(), send_policy()
    notify_at = draft.notify_at or default_notify_at(now, policy)
    broadcast = Broadcast.objects.create(
        name=(draft.name or "")[:60],
        target=target,
        content_version=_write_content(None, draft, target, by),
        audience=draft.audience or {},
        within=scope_as_json(draft.within) if draft.within else {},
        holdout_percent=draft.holdout_percent or 0,
        notify_at=notify_at,
        confirm_by=draft.confirm_by or default_confirm_by(notify_at, policy),
        created_by_id=by.id,
        created_at=now,
        updated_at=now,
    )
    audit.record("broadcast.created", broadcast, by=by)
    return broadcast


@transaction.atomic
def edit_broadcast(broadcast_id: int, draft: Draft, *, by: Actor) -> Broadcast:
    """Change a draft or a request: the version rises and a waiting 审批 is void. Nothing different changes nothing.

    Raises Conflict once released, UserError for content its carrier cannot carry.
    """
    broadcast = (
        Broadcast.objects.select_for_update(of=("self",))
        .select_related("content_version__content")
        .get(pk=broadcast_id)
    )
    if broadcast.state not in (State.DRAFT, State.SUBMITTED):
        raise Conflict(_("这条群发已经通过审批,不能再改。可以停止它,再复制一条。"), code="already_released")
    changed = _apply(broadcast, draft, by)
    if not changed:
        return broadcast
    was_submitted = broadcast.state == State.SUBMITTED
    broadcast.version += 1
    broadcast.state = State.DRAFT
    broadcast.updated_at = clock.now()
    broadcast.draft_note = _("内容已修改,请重新提交审批") if was_submitted else broadcast.draft_note
    broadcast.save(update_fields=[*changed, "version", "state", "updated_at", "draft_note"])
    Approval.objects.filter(subject_kind="broadcast", subject_id=broadcast.pk, state=Approval.State.PENDING).update(
        state=Approval.State.VOID, decided_at=clock.now()
    )
    audit.record("broadcast.edited", broadcast, by=by, fields=changed, version=broadcast.version)
    return broadcast


def _apply(broadcast: Broadcast, draft: Draft, by: Actor) -> list[str]:
    """Set what differs; the names of the columns that changed."""
    wanted: dict[str, Any] = {
        "name": draft.name,
        "audience": draft.audience,
        "within": scope_as_json(draft.within) if draft.within else None,
        "holdout_percent": draft.holdout_percent,
        "notify_at": draft.notify_at,
        "confirm_by": draft.confirm_by,
    }
    content = _write_content(broadcast.content_version, draft, broadcast.target, by)
    if content != broadcast.content_version:
        wanted["content_version"] = content
    changed = [name for name, value in wanted.items() if value is not None and getattr(broadcast, name) != value]
    for name in changed:
        setattr(broadcast, name, wanted[name])
    if (
        draft.message_class
        and broadcast.content_version
        and broadcast.content_version.content.message_class != draft.message_class
    ):
        broadcast.content_version.content.message_class = draft.message_class
        broadcast.content_version.content.save(update_fields=["message_class"])
        changed.append("content_version")
    return changed


def _write_content(current: ContentVersion | None, draft: Draft, target: str, by: Actor) -> ContentVersion | None:
    if draft.text is None and draft.attachments is None:
        return current
    carrier = carrier_of(target)
    text = draft.text if draft.text is not None else (current.text if current else "")
    attachments = draft.attachments if draft.attachments is not None else (current.attachments if current else [])
    if current is not None:
        return revise_content(current.content_id, text=text, attachments=attachments, carrier=carrier, by=by)
    return create_content(
        title=draft.name or _("未命名"), message_class=draft.message_class or "content",
        text=text, attachments=attachments, carrier=carrier, by=by,
    )  # fmt: skip


def preflight_of(broadcast: Broadcast) -> Preflight:
    """The preflight of a broadcast as it stands. Raises UserError without an audience."""
    return run_preflight(broadcast, now=clock.now(), policy=send_policy())


@transaction.atomic
def submit_broadcast(broadcast_id: int, *, by: Actor) -> Approval:
    """草稿 → 待审批, with what the approver will be shown. Submitting twice gives the same request.

    Raises UserError: something is missing, the times cannot be kept, nobody can be reached, a variable has no value.
    """
    broadcast = (
        Broadcast.objects.select_for_update(of=("self",))
        .select_related("content_version__content")
        .get(pk=broadcast_id)
    )
    pending = Approval.objects.filter(
        subject_kind="broadcast", subject_id=broadcast.pk, state=Approval.State.PENDING
    ).first()
    if broadcast.state == State.SUBMITTED and pending:
        return pending
    if broadcast.state != State.DRAFT:
        raise Conflict(_("只有草稿能提交审批。"), code="not_a_draft")
    now, policy = clock.now(), send_policy()
    check_complete(broadcast)
    check_times(broadcast.notify_at, broadcast.confirm_by, now=now, policy=policy)
    found = run_preflight(broadcast, now=now, policy=policy)
    check_reach(found)
    assert broadcast.confirm_by is not None and broadcast.content_version is not None
    approval = Approval.objects.create(
        subject_kind="broadcast",
        subject_id=broadcast.pk,
        subject_version=broadcast.version,
        level=found.level,
        snapshot=_snapshot(broadcast, found),
        requested_by_id=by.id or 0,
        requested_at=now,
        expires_at=broadcast.confirm_by - RELEASE_MARGIN,
    )
    broadcast.state, broadcast.draft_note, broadcast.updated_at = State.SUBMITTED, "", now
    broadcast.save(update_fields=["state", "draft_note", "updated_at"])
    audit.record("broadcast.submitted", broadcast, by=by, version=broadcast.version, planned=found.planned)
    jobs.nudge(LANE, due_at=approval.expires_at)
    return approval


def _snapshot(broadcast: Broadcast, found: Preflight) -> dict[str, Any]:
    content = broadcast.content_version
    assert content is not None
    return {
        "name": broadcast.name,
        "text": content.text,
        "attachments": content.attachments,
        "content_version": content.pk,
        "message_class": content.content.message_class,
        "audience": describe(broadcast.audience),
        "store_ids": found.store_ids,
        "times": _times_in_words(broadcast),
        "holdout_percent": broadcast.holdout_percent,
        "chosen": sorted(broadcast.audience.get("groups") or broadcast.audience.get("contacts") or []),
        "preflight": found.as_json(),
        "makers": _makers(broadcast),
    }


def _times_in_words(broadcast: Broadcast) -> str:
    zone = send_policy().zone
    assert broadcast.notify_at is not None and broadcast.confirm_by is not None
    notify, until = (at.astimezone(zone) for at in (broadcast.notify_at, broadcast.confirm_by))
    return _("%(notify)s 通知导购,%(until)s 前有效") % {
        "notify": f"{notify:%m-%d %H:%M}",
        "until": f"{until:%m-%d %H:%M}",
    }


def _makers(broadcast: Broadcast) -> list[int]:
    """Users who wrote or changed it: none of them may release it."""
    content = broadcast.content_version
    authors = [broadcast.created_by_id, content.created_by_id if content else None]
    return sorted(audit.actors_of(broadcast, "broadcast.edited") | {pk for pk in authors if pk})


def check_complete(broadcast: Broadcast) -> None:
    """Raises UserError naming the first part that is missing."""
    if not broadcast.name.strip():
        raise UserError(_("请给这条群发起个名字。"), code="no_name")
    if broadcast.content_version is None:
        raise UserError(_("请先写内容。"), code="no_content")
    content = broadcast.content_version
    check_message(content.text, content.attachments, carrier_of(broadcast.target))
    segment = unfinished_segment(broadcast.audience)
    if segment is not None:
        raise UserError(
            _("人群「%(name)s」%(state)s,现在的名单不完整。请等它变成已更新,再体检一次。")
            % {"name": segment.name, "state": segment.get_state_display()},
            code="segment_unfinished",
        )


def check_reach(found: Preflight) -> None:
    """Raises UserError when nobody is left to send to, or a store lacks a value the text names."""
    check_values(found.empty_values)
    if not found.reachable:
        raise UserError(_("没有可触达的客户,请看体检里的原因。"), code="nobody_reachable")


def check_values(empty: Mapping[str, Sequence[str]]) -> None:
    """Raises UserError when a store lacks a value the text names. empty: variable → names of such stores."""
    if empty:
        name, stores = next(iter(empty.items()))
        raise UserError(
            _("%(n)d 家门店没有填{%(name)s}(%(stores)s 等),客户会看到空白。请补上,或从文字里去掉。")
            % {"n": len(stores), "name": name, "stores": "、".join(stores[:3])},
            code="empty_variable",
        )


@transaction.atomic
def withdraw_broadcast(broadcast_id: int, *, by: Actor) -> Broadcast:
    """待审批 → 草稿, by its author. Raises Conflict in any other state."""
    broadcast = Broadcast.objects.select_for_update().get(pk=broadcast_id)
    if broadcast.state != State.SUBMITTED:
        raise Conflict(_("只有待审批的群发能撤回。"), code="not_submitted")
    return send_back(broadcast, Approval.State.VOID, note=_("已撤回"), by=by)


def send_back(broadcast: Broadcast, outcome: str, *, note: str, by: Actor, comment: str = "") -> Broadcast:
    """Close the waiting request with an outcome and make the broadcast a draft again, saying why."""
    now = clock.now()
    Approval.objects.filter(subject_kind="broadcast", subject_id=broadcast.pk, state=Approval.State.PENDING).update(
        state=outcome, decided_at=now, decided_by_id=by.id, comment=comment[:200]
    )
    broadcast.state, broadcast.draft_note, broadcast.updated_at = State.DRAFT, note[:200], now
    broadcast.save(update_fields=["state", "draft_note", "updated_at"])
    audit.record(f"broadcast.{outcome}", broadcast, by=by, version=broadcast.version)
    return broadcast


@transaction.atomic
def copy_broadcast(broadcast_id: int, *, by: Actor, scope: DataScope) -> Broadcast:
    """A new draft with the same content and audience, within the copier's own scope, its times proposed afresh."""
    old = Broadcast.objects.select_related("content_version__content").get(pk=broadcast_id)
    now, policy = clock.now(), send_policy()
    notify_at = default_notify_at(now + timedelta(minutes=1), policy)
    new = Broadcast.objects.create(
        name=_("%(name)s(副本)") % {"name": old.name[:54]}, target=old.target, content_version=_copy_content(old, by),
        audience=old.audience, within=scope_as_json(scope), holdout_percent=old.holdout_percent, notify_at=notify_at,
        confirm_by=default_confirm_by(notify_at, policy), created_by_id=by.id, created_at=now, updated_at=now,
    )  # fmt: skip
    audit.record("broadcast.copied", new, by=by, source=old.pk)
    return new


def _copy_content(old: Broadcast, by: Actor) -> ContentVersion | None:
    """Of its own: what is changed in the copy, its class too, does not reach the original."""
    version = old.content_version
    if version is None:
        return None
    return create_content(
        title=version.content.title, message_class=version.content.message_class, text=version.text,
        attachments=version.attachments, carrier=carrier_of(old.target), by=by,
    )  # fmt: skip
