"""What this app can do to many people at once: 改阶段 and 改归属."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.bulk import Kind, Outcome, Params, Reversal
from contacts.models import BulkReason, Contact, Member, OwnershipChange, Stage
from contacts.services.ownership import assign_owner, strangers_to
from contacts.services.stages import change_stage, refuse_stage
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import Actor


def _check_stage(params: Params) -> None:
    refuse_stage(Stage.objects.get(pk=params["stage"]), "manual", params["reason"])


def _run_stage(params: Params, ids: Sequence[int], by: Actor, at: datetime) -> Outcome:
    stage, before = Stage.objects.get(pk=params["stage"]), _column(ids, "stage_id")
    moved = change_stage(ids, stage, source="manual", reason=params["reason"], by=by, at=at)
    late = [pk for pk in ids if pk not in moved and before[pk] != stage.pk]
    return Outcome({pk: before[pk] for pk in moved}, dict.fromkeys(late, BulkReason.LATER))


def _undo_stage(params: Params, before: Mapping[int, Any], by: Actor, done_at: datetime) -> Reversal:
    still = Contact.objects.filter(pk__in=before, stage=params["stage"], stage_since=done_at)
    found, back = Reversal(), defaultdict(list)
    for pk in still.values_list("pk", flat=True):
        back[before[pk]].append(pk)
    stages = Stage.objects.in_bulk([pk for pk in back if pk is not None])
    for stage_id, ids in back.items():
        stage = stages.get(stage_id or 0)
        if stage is None or stage.is_archived:
            found.stuck |= dict.fromkeys(ids, BulkReason.STAGE_ARCHIVED if stage else BulkReason.NO_STAGE)
            continue
        found.undone |= change_stage(ids, stage, source="manual", reason=_("撤销批量操作"), by=by, at=clock.now())
    return found


def _stage_words(params: Params) -> str:
    stage = Stage.objects.filter(pk=params["stage"]).first()
    return _("阶段改为「%(name)s」") % {"name": stage or _("已删除")}


def _check_owner(params: Params) -> None:
    member = Member.objects.get(pk=params["member"])
    if member.archived_at or member.status == Member.Status.LEFT:
        raise UserError(_("%(member)s 已离职或已归档,请选择其他导购。") % {"member": member})


def _run_owner(params: Params, ids: Sequence[int], by: Actor, at: datetime) -> Outcome:
    member, before = Member.objects.get(pk=params["member"]), _credits(ids)
    strangers = strangers_to(member, [pk for pk in ids if _owner_of(before[pk]) != member.pk])
    moved = assign_owner(set(ids) - strangers, member, by=by, at=at)
    return Outcome({pk: before[pk] for pk in moved}, dict.fromkeys(strangers, BulkReason.STRANGER))


def _undo_owner(params: Params, before: Mapping[int, Any], by: Actor, done_at: datetime) -> Reversal:
    later = OwnershipChange.objects.filter(contact__in=before, changed_at__gt=done_at).values("contact_id")
    still = Contact.objects.filter(pk__in=before, owner=params["member"]).exclude(pk__in=later)
    ids = list(still.values_list("pk", flat=True))
    earlier = OwnershipChange.objects.filter(contact__in=ids, changed_at__lt=done_at)
    last = earlier.order_by("contact_id", "-changed_at", "-pk").distinct("contact_id")
    reasons = dict(last.values_list("contact_id", "reason"))
    back = defaultdict(list)
    for pk in ids:
        back[_owner_of(before[pk]), reasons.get(pk, "manual")].append(pk)
    members = Member.objects.in_bulk([member_id for member_id, _reason in back if member_id is not None])
    stores = {pk: before[pk][1] for pk in ids if isinstance(before[pk], list)}
    undone = set[int]()
    for (member_id, reason), group in back.items():
        # As it was: whoever she was credited to need not be her friend any more, and where the rule had decided, it decides on.
        undone |= assign_owner(
            group,
            members.get(member_id or 0),
            by=by,
            at=clock.now(),
            reason=reason,
            must_be_friend=False,
            stores=stores,
        )
    return Reversal(undone)


def _credits(ids: Sequence[int]) -> dict[int, Any]:
    """Root → her owner; or [owner, store], where she stands in another store than the owner."""
    rows = Contact.objects.filter(pk__in=ids).values_list("pk", "owner_id", "store_id", "owner__store_id")
    return {pk: owner_id if store_id == home else [owner_id, store_id] for pk, owner_id, store_id, home in rows}


def _owner_of(before: Any) -> int | None:
    owner_id: int | None = before[0] if isinstance(before, list) else before
    return owner_id


def _owner_words(params: Params) -> str:
    return _("业绩归属改为 %(member)s") % {"member": Member.objects.filter(pk=params["member"]).first() or "—"}


def _column(ids: Sequence[int], name: str) -> dict[int, Any]:
    return dict(Contact.objects.filter(pk__in=ids).values_list("pk", name))


STAGE = Kind(
    "stage", gettext_lazy("改阶段"), "contacts.edit",
    check=_check_stage, run=_run_stage, undo=_undo_stage, in_words=_stage_words,
)  # fmt: skip
OWNER = Kind(
    "owner", gettext_lazy("改归属"), "contacts.edit",
    check=_check_owner, run=_run_owner, undo=_undo_owner, in_words=_owner_words, needs_places=True,
)  # fmt: skip
