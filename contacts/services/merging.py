"""Two contacts turn out to be one person: facts stay where they are, only roots change. What changed is written down
(ContactMerge), so that it can be undone."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast

from django.db import transaction
from django.db.models import Field, Q, QuerySet
from django.utils.translation import gettext as _

from contacts import arrivals, marks
from contacts.arrivals import NewKey
from contacts.models import Contact, ContactMerge, ContactPhone, ErasureRequest, OwnershipChange, StageTransition
from contacts.services.search import refresh_search
from contacts.services.standing import refresh_standing
from contacts.timeline import roots_of
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit, locks
from tenants.audit import Actor


@dataclass(frozen=True)
class Merged:
    """What became of two people: `kept` is the root of `moved` now."""

    kept: int
    gone: int
    moved: tuple[int, ...]
    at: datetime


Listener = Callable[[Merged], None]
Foreteller = Callable[[Merged], Sequence[str]]
_listeners: list[Listener] = []
_foretellers: list[Foreteller] = []
_undone: list[Listener] = []
AUTOMATIC = "unionid"
TAKEN = ("name", "stage_id", "stage_since", "owner_id", "store_id", "birthday")
OPT_OUT = ("opt_out_since", "opt_out_until", "opt_out_source")
# Columns that say one thing together: taken over and given back together; whether one is lacking, the first of them says.
_TOGETHER = (("name",), ("stage_id", "stage_since"), ("owner_id", "store_id"), ("birthday",))


def on_undone(listener: Listener) -> None:
    """Call `listener` in the transaction of each undoing, once roots have changed back."""
    if listener not in _undone:
        _undone.append(listener)


def on_merged(listener: Listener) -> None:
    """Call `listener` in the transaction of each merge, once roots have changed: what runs twice for one person ends there."""
    if listener not in _listeners:
        _listeners.append(listener)


def on_asked(foretell: Foreteller) -> None:
    """Before somebody merges by hand: what an app would do at it, in sentences. It reads only, in a constant number of queries."""
    if foretell not in _foretellers:
        _foretellers.append(foretell)


def foretold(merged: Merged) -> list[str]:
    """What the apps would do."""
    return [sentence for foretell in _foretellers for sentence in foretell(merged)]


def merge_roots(
    pairs: Iterable[tuple[int, int]], *, now: datetime, source: str = AUTOMATIC, actor_id: int | None = None
) -> set[int]:
    """Make the older root of each pair the root of both; the roots that grew. Inside the caller's transaction.

    Owner, stage and opt-out of the remaining root stand; an empty one is taken over. An opt-out of either is kept, since it
    protects the person. A pair that somebody took apart is not joined again by WeCom's word.
    """
    grown: set[int] = set()
    locks.lock_in_transaction("people")
    for first, second in pairs:
        rows = _locked_roots(first, second)
        if len(rows) < 2 or any(row.erased_at for row in rows) or (source == AUTOMATIC and _was_undone(rows)):
            continue
        merged = _merge(rows[0], rows[1], now, source, actor_id)
        grown.add(merged.kept)
        grown.discard(merged.gone)
        for listener in _listeners:
            listener(merged)
    _refresh(grown, now)
    if grown:
        arrivals.tell(_phones_of(grown))
    return grown


def _phones_of(roots: Iterable[int]) -> list[NewKey]:
    """A phone that stood on two people and bound nothing names one person now."""
    people = set(Contact.objects.filter(Q(pk__in=roots) | Q(root__in=roots)).values_list("pk", flat=True))
    rows = ContactPhone.objects.filter(contact_id__any_of=people).order_by("pk")
    return [NewKey("phone", phone, contact_id) for phone, contact_id in rows.values_list("phone", "contact_id")]


def _refresh(roots: Iterable[int], now: datetime, *, reclaim: bool = False) -> None:
    roots = set(roots)
    if roots:
        refresh_standing(roots, now=now, reclaim=reclaim)
        refresh_search(roots)
        marks.mark(roots, marks.EVERYTHING)


def _locked_roots(first: int, second: int) -> list[Contact]:
    """The roots of both, locked, the older first; one row when they are one person already.

    A root that another transaction merged while we waited is a branch now: then its root is looked for again. A root is
    never a branch, so that people are found in one step.
    """
    while True:
        roots = set(roots_of([first, second]).values())
        rows = list(Contact.objects.select_for_update(of=("self",)).filter(pk__in=roots).order_by("pk"))
        if all(row.root_id is None for row in rows):
            return rows
        first, second = rows[0].pk, rows[-1].pk


def _was_undone(rows: list[Contact]) -> bool:
    both = [row.pk for row in rows]
    return ContactMerge.objects.filter(kept_id__in=both, gone_id__in=both, undone_at__isnull=False).exists()


def _merge(root: Contact, branch: Contact, now: datetime, source: str, actor_id: int | None) -> Merged:
    moved = (branch.pk, *Contact.objects.filter(root=branch).order_by("pk").values_list("pk", flat=True))
    before = {name: getattr(root, name) for name in (*TAKEN, *OPT_OUT)}
    stage_id, owner_id = root.stage_id, root.owner_id
    Contact.objects.filter(Q(pk=branch.pk) | Q(root=branch)).update(root=root, updated_at=now)
    take_over(root, branch)
    root.updated_at = now
    root.save(update_fields=[*TAKEN, *OPT_OUT, "updated_at"])
    taken = {
        name: [_plain(old), _plain(getattr(root, name))] for name, old in before.items() if getattr(root, name) != old
    }
    ContactMerge.objects.create(
        kept=root, gone=branch, moved_ids=list(moved), taken=taken, source=source, merged_at=now, actor_id=actor_id,
        transition_id=_settle_stage(root, branch, stage_id, now, actor_id),
        ownership_id=_settle_owner(root, branch, owner_id, now, actor_id),
    )  # fmt: skip
    return Merged(root.pk, branch.pk, moved, now)


def take_over(root: Contact, branch: Contact) -> None:
    """Set on `root`, without saving, what it lacks and `branch` has; of two wishes for 免打扰 the longer one."""
    for columns in _TOGETHER:
        if not getattr(root, columns[0]) and getattr(branch, columns[0]):
            for column in columns:
                setattr(root, column, getattr(branch, column))
    if branch.opt_out_since and not (root.opt_out_since and root.opt_out_until is None):
        later = branch.opt_out_until is None or root.opt_out_until is None or branch.opt_out_until > root.opt_out_until
        if later:
            for column in OPT_OUT:
                setattr(root, column, getattr(branch, column))


def _settle_stage(
    root: Contact, branch: Contact, before: int | None, now: datetime, actor_id: int | None
) -> int | None:
    """The stage of the one person from now on, as the record's last word, where the two stood apart."""
    if root.stage_id is None or branch.stage_id is None or branch.stage_id == before:
        return None
    row = StageTransition.objects.create(
        contact=root, from_stage_id=before or None, to_stage_id=root.stage_id, changed_at=now, source="merge",
        actor_id=actor_id, store_id=root.store_id, member_id=root.owner_id,
    )  # fmt: skip
    return row.pk


def _settle_owner(
    root: Contact, branch: Contact, before: int | None, now: datetime, actor_id: int | None
) -> int | None:
    if before is not None or root.owner_id is None:
        return None
    row = OwnershipChange.objects.create(
        contact=root, to_member_id=root.owner_id, changed_at=now, reason="merge", actor_id=actor_id
    )
    return row.pk


# --- Undoing --------------------------------------------------------------------------------------------------------


@transaction.atomic
def undo_merge(merge_id: int, *, by: Actor) -> ContactMerge:
    """Make two people of one again. What was taken over goes back unless somebody decided otherwise since.

    The rows that came with her leave with her; facts were never moved. Raises UserError when the merge is undone already, when
    the kept one was merged into somebody else since (that merge has to be undone first), and while an erasure of her is under way.
    """
    locks.lock_in_transaction("people")
    merge = ContactMerge.objects.select_for_update(of=("self",)).get(pk=merge_id)
    if merge.undone_at is not None:
        raise UserError(_("这次合并已撤销。"))
    rows = Contact.objects.select_for_update(of=("self",)).filter(pk__in=[merge.kept_id, *merge.moved_ids])
    people = {row.pk: row for row in rows.order_by("pk")}
    root, now = people[merge.kept_id], clock.now()
    if root.erased_at is not None:
        raise UserError(_("这位客户的个人信息已按请求删除,合并不能再撤销。"))
    if root.root_id is not None:
        raise UserError(_("这位客户之后又与其他客户合并,请先撤销后来的合并。"))
    refuse_while_erased(people)
    apart = [pk for pk in merge.moved_ids if pk in people and people[pk].root_id == root.pk]
    Contact.objects.filter(pk=merge.gone_id).update(root=None, updated_at=now)
    Contact.objects.filter(pk__in=set(apart) - {merge.gone_id}).update(root=merge.gone_id, updated_at=now)
    _give_back(merge, root, now)
    merge.undone_at, merge.undone_by_id = now, by.id if by.kind == "user" else None
    merge.save(update_fields=["undone_at", "undone_by_id"])
    _refresh([merge.kept_id, merge.gone_id], now, reclaim=True)
    for listener in _undone:
        listener(Merged(merge.kept_id, merge.gone_id, tuple(apart), now))
    audit.record("contact.merge_undone", root, by=by, merge=merge.pk, kept=merge.kept_id, gone=merge.gone_id)
    return merge


def refuse_while_erased(contact_ids: Iterable[int]) -> None:
    """Raises UserError while a request to erase one of these rows is open: it is about a person, and who that is must not change."""
    if ErasureRequest.objects.filter(contact_id__in=list(contact_ids), state__in=ErasureRequest.OPEN).exists():
        raise UserError(_("这位客户正有一个删除个人信息的请求,请先撤回它或等它完成,再合并或撤销合并。"))


def _give_back(merge: ContactMerge, root: Contact, now: datetime) -> None:
    """The columns and records the merge wrote, while nothing came after them."""
    columns = columns_back(merge, root)
    if merge.transition_id and _is_last(StageTransition.objects.filter(contact=root), merge.transition_id):
        StageTransition.objects.filter(pk=merge.transition_id).delete()
    if merge.ownership_id and _is_last(OwnershipChange.objects.filter(contact=root), merge.ownership_id):
        OwnershipChange.objects.filter(pk=merge.ownership_id).delete()
    for name, before in columns.items():
        setattr(root, name, before)
    root.updated_at = now
    root.save(update_fields=[*columns, "updated_at"])


def columns_back(merge: ContactMerge, root: Contact) -> dict[str, Any]:
    """What an undo would set on the kept one: columns that still are as the merge left them → what they were.

    Whoever was decided about and then decided back stays as well. A store that only followed her guide goes back with the guide.
    """
    moved_on = {name for name, (_before, after) in merge.taken.items() if _plain(getattr(root, name)) != after}
    if "owner_id" in merge.taken:
        moved_on.discard("store_id")
    if merge.ownership_id and not _is_last(OwnershipChange.objects.filter(contact=root), merge.ownership_id):
        moved_on.add("owner_id")
    stays = {name for columns in (*_TOGETHER, OPT_OUT) if moved_on.intersection(columns) for name in columns}
    return {name: _typed(name, before) for name, (before, _after) in merge.taken.items() if name not in stays}


def _is_last(records: QuerySet[Any], pk: int) -> bool:
    return records.order_by("changed_at", "pk").values_list("pk", flat=True).last() == pk


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _typed(name: str, value: Any) -> Any:
    column = cast("Field[Any, Any]", Contact._meta.get_field(name))
    return column.to_python(value)


# --- A look at the whole -----------------------------------------------------------------------------------------------


def deep_branches() -> QuerySet[Contact]:
    """Rows whose root is itself a branch: there are none unless something wrote past merge_roots."""
    return Contact.objects.filter(root__root__isnull=False)
