"""合并客户 by hand: a look at what would happen, then the deed, while what was looked at still holds; undone within 30 days."""

import hashlib
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from contacts.models import Contact, ContactMerge, Follow, OwnershipChange, Relation
from contacts.services.merging import (
    OPT_OUT,
    TAKEN,
    Merged,
    columns_back,
    foretold,
    merge_roots,
    refuse_while_erased,
    take_over,
    undo_merge,
)
from contacts.services.standing import foresee_owner
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit, locks
from tenants.audit import Actor

UNDO_WITHIN = timedelta(days=30)
BY_HAND = "manual"


@dataclass(frozen=True)
class MergePlan:
    """What merging two people would do. after: the kept one as she would be, unsaved, her owner too."""

    kept: Contact
    gone: Contact
    after: Contact
    moved: tuple[int, ...]  # rows that would count as her: the gone one and whoever counts as that
    effects: tuple[str, ...]

    @property
    def token(self) -> str:
        """The same while the same would happen."""
        columns = [getattr(self.after, name) for name in (*TAKEN, *OPT_OUT)]
        return _digest(self.kept.pk, self.moved, columns, self.effects)


@dataclass(frozen=True)
class UndoPlan:
    """What undoing a merge would do. kept, gone: as each would be, unsaved."""

    merge: ContactMerge
    now: Contact  # the kept one as she is
    kept: Contact
    gone: Contact
    apart: tuple[int, ...]
    stays: tuple[str, ...]  # columns taken over then that somebody changed since
    friends: int  # relations of the gone one that stand

    @property
    def token(self) -> str:
        columns = [getattr(one, name) for one in (self.kept, self.gone) for name in (*TAKEN, *OPT_OUT)]
        return _digest(self.merge.pk, self.apart, columns)


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()


def plan_merge(first: Contact, second: Contact) -> MergePlan:
    """first, second: roots, in any order; the older one is kept. Reads only. Raises UserError for what cannot be merged."""
    if first.pk == second.pk:
        raise UserError(_already_one(first))
    kept, gone = sorted((first, second), key=lambda one: one.pk)
    moved = (gone.pk, *Contact.objects.filter(root=gone).order_by("pk").values_list("pk", flat=True))
    refuse_while_erased((kept.pk, *kept.family_ids, *moved))
    after = copy(kept)
    take_over(after, gone)
    changes = list(OwnershipChange.objects.filter(contact=kept).order_by("changed_at", "pk"))
    if kept.owner_id is None and after.owner_id is not None:
        changes.append(OwnershipChange(contact=kept, to_member_id=after.owner_id, reason="merge"))
    after.owner_id = foresee_owner(after, {kept.pk, *kept.family_ids, *moved}, changes)
    return MergePlan(kept, gone, after, moved, tuple(foretold(Merged(kept.pk, gone.pk, moved, clock.now()))))


def _already_one(person: Contact) -> str:
    last = ContactMerge.objects.filter(kept=person, undone_at__isnull=True).order_by("-merged_at", "-pk").first()
    if last is None:
        return _("这是同一位客户,请选择另一位。")
    return _("这两位已经是同一位客户了:%(who)s 合并的。请刷新页面。") % {"who": who_merged(last)}


def who_merged(merge: ContactMerge) -> str:
    """The operator's name, or that it was WeCom's word."""
    if merge.actor_id is None:
        return _("企业微信(同一 unionid)") if merge.source != BY_HAND else _("系统")
    return str(User.objects.filter(pk=merge.actor_id).first() or _("已删除的账号"))


@transaction.atomic
def merge_by_hand(first_id: int, second_id: int, *, seen: str, by: Actor) -> ContactMerge:
    """Do what the operator saw. Raises Conflict when it would be something else by now, UserError when it cannot be done."""
    locks.lock_in_transaction("people")
    people = _roots(first_id, second_id)
    plan = plan_merge(*people)
    if plan.token != seen:
        raise Conflict(_("这两位客户的资料刚有变化,合并的结果和您看到的不一样。请重新核对后再合并。"))
    merge_roots([(first_id, second_id)], now=clock.now(), source=BY_HAND, actor_id=by.id if by.kind == "user" else None)
    merge = ContactMerge.objects.filter(gone=plan.gone, undone_at__isnull=True).latest("pk")
    audit.record("contact.merged", plan.kept, by=by, merge=merge.pk, kept=plan.kept.pk, gone=plan.gone.pk)
    return merge


def _roots(first_id: int, second_id: int) -> list[Contact]:
    """Both as people, locked."""
    rows = {row.pk: row for row in Contact.objects.filter(pk__in=(first_id, second_id))}
    if len(rows) < len({first_id, second_id}):
        raise UserError(_("其中一位客户的资料已被删除,不能合并。"))
    ids = [rows[pk].root_pk for pk in (first_id, second_id)]
    roots = {row.pk: row for row in Contact.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk")}
    return [roots[pk] for pk in ids]


# --- Undoing --------------------------------------------------------------------------------------------------------


def undo_by(merge: ContactMerge) -> datetime:
    """Until when it can be undone."""
    return merge.merged_at + UNDO_WITHIN


def plan_undo(merge: ContactMerge) -> UndoPlan:
    """What would come back. Reads only. Raises UserError for what cannot be undone."""
    if merge.undone_at is not None:
        raise UserError(_("这次合并已撤销。"))
    if clock.now() > undo_by(merge):
        raise UserError(_("合并超过 30 天后不能再撤销。"))
    people = {row.pk: row for row in Contact.objects.filter(pk__in=[merge.kept_id, *merge.moved_ids])}
    now, gone = people[merge.kept_id], people[merge.gone_id]
    if now.root_id is not None:
        raise UserError(_("这位客户之后又与其他客户合并,请先撤销后来的合并。"))
    refuse_while_erased(people)
    apart = tuple(pk for pk in merge.moved_ids if pk in people and people[pk].root_id == now.pk)
    kept, back = copy(now), columns_back(merge, now)
    for name, value in back.items():
        setattr(kept, name, value)
    changes = list(OwnershipChange.objects.filter(contact=now).order_by("changed_at", "pk"))
    if changes and changes[-1].pk == merge.ownership_id:
        changes.pop()
    theirs = list(OwnershipChange.objects.filter(contact=gone).order_by("changed_at", "pk"))
    kept.owner_id = foresee_owner(kept, set(now.family_ids) - set(apart), changes, reclaim=True)
    gone = copy(gone)
    gone.owner_id = foresee_owner(gone, set(apart), theirs, reclaim=True)
    friends = Follow.objects.filter(contact_id__in=apart, relation=Relation.ACTIVE).count()
    return UndoPlan(merge, now, kept, gone, apart, tuple(sorted(set(merge.taken) - set(back))), friends)


@transaction.atomic
def undo_by_hand(merge_id: int, *, seen: str, by: Actor) -> ContactMerge:
    """Undo what the operator saw. Raises as plan_undo, and Conflict when something else would come back by now."""
    locks.lock_in_transaction("people")
    merge = ContactMerge.objects.select_for_update(of=("self",)).get(pk=merge_id)
    if plan_undo(merge).token != seen:
        raise Conflict(_("客户的资料刚有变化,撤销的结果和您看到的不一样。请重新核对后再撤销。"))
    return undo_merge(merge_id, by=by)
