"""Many people changed at once, part by part: each part and its account in one transaction, so that a killed worker goes on with the
next one and nobody is changed twice. Few are done before the answer, more by a long job; by the same code.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.scope import EVERYTHING, DataScope, scope_as_json, scope_from_json
from contacts import bulk, listing, longjobs
from contacts.models import BulkChange, BulkPart, BulkReason, Contact
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import audit
from tenants.audit import SYSTEM, Actor
from tenants.ledger.models import Job

RUN, UNDO = "contacts.bulk", "contacts.bulk_undo"
AT_ONCE = 200  # people whom somebody can wait for: well under a second
PART = 1_000
UNDO_WITHIN = timedelta(hours=24)


@transaction.atomic
def start(
    key: str, people: QuerySet[Contact], params: bulk.Params, scope: DataScope, *, by: Actor, expected: int
) -> BulkChange:
    """Change the chosen people, those who are chosen now and no others.

    Raises Conflict when they are not as many as the person saw, UserError when nobody is chosen or the kind refuses the parameters.
    """
    kind = bulk.kind_of(key)
    ids = list(people.order_by("pk").values_list("pk", flat=True))
    if not ids:
        raise UserError(_("还没有选择客户,请先勾选。"))
    if len(ids) != expected:
        raise listing.not_as_seen(expected, len(ids))
    kind.check(params)
    change = BulkChange.objects.create(
        kind=key, title=kind.in_words(params)[:200], params=params, scope=scope_as_json(scope), total=len(ids), created_at=clock.now(),
        created_by_id=by.id if by.kind == "user" else None,
    )  # fmt: skip
    BulkPart.objects.bulk_create(
        [
            BulkPart(change=change, number=number, contact_ids=ids[begin : begin + PART])
            for number, begin in enumerate(range(0, len(ids), PART))
        ],
        batch_size=200,
    )
    audit.record("bulk.started", change, by=by, kind=key, count=len(ids))
    if len(ids) > AT_ONCE:
        job = longjobs.start(RUN, change.title, params={"change": change.pk}, by=by, total=len(ids))
        BulkChange.objects.filter(pk=change.pk).update(job_id=job.pk)
    else:
        while _run_part(change.pk):
            pass
    change.refresh_from_db()
    return change


@transaction.atomic
def begin_record(key: str, params: bulk.Params, *, by: Actor, at: datetime) -> BulkChange:
    """What somebody else than this engine is about to do at once, within her transaction, so that it can be taken back like any other;
    end_record closes it. The kind's undo is given what its outcome says."""
    title, scope = bulk.kind_of(key).in_words(params)[:200], scope_as_json(EVERYTHING)
    named = {**params, "token": by.name} if by.kind == "token" else dict(params)
    return BulkChange.objects.create(
        kind=key, title=title, params=named, scope=scope, total=0, created_at=at, ended_at=at,
        created_by_id=by.id if by.kind == "user" else None,
    )  # fmt: skip


def end_record(change: BulkChange, contact_ids: Collection[int], outcome: bulk.Outcome) -> bool:
    """Write down who was changed and who was not; False, and no record, when nobody was."""
    if not outcome.changed:
        change.delete()
        return False
    change.total, change.changed, change.refused = len(contact_ids), len(outcome.changed), len(outcome.refused)
    change.unchanged = change.total - change.changed - change.refused
    change.save(update_fields=["total", "changed", "refused", "unchanged"])
    BulkPart.objects.create(
        change=change, number=0, contact_ids=sorted(contact_ids), done_at=change.created_at, before=outcome.changed,
        refused=outcome.refused,
    )  # fmt: skip
    return True


@transaction.atomic
def ask_undo(change_id: int, scope: DataScope, *, by: Actor) -> BulkChange:
    """Set back whoever is still as the change made her, within the scope of who asks. What is not done yet is not done any more.

    Asking twice asks once, unless the work was given up meanwhile. Raises UserError when it is too late.
    """
    change = BulkChange.objects.select_for_update().get(pk=change_id)
    if change.undo_asked_at is not None and not _was_given_up(change):
        return change
    if clock.now() > undoable_until(change):
        raise UserError(_("批量操作只能在 24 小时内撤销,这一次已经超过了。"))
    change.undo_asked_at, change.undo_scope = clock.now(), scope_as_json(scope)
    change.undo_by_id = by.id if by.kind == "user" else None
    audit.record("bulk.undo_asked", change, by=by, kind=change.kind, count=change.changed)
    if change.total > AT_ONCE:
        job = longjobs.start(UNDO, change.title, params={"change": change.pk}, by=by, total=change.changed)
        change.undo_job_id = job.pk
    change.save(update_fields=["undo_asked_at", "undo_by_id", "undo_scope", "undo_job_id"])
    if not change.undo_job_id:
        while _undo_part(change.pk):
            pass
        change.refresh_from_db()
    return change


def _was_given_up(change: BulkChange) -> bool:
    return Job.objects.filter(pk=change.undo_job_id or 0, state=Job.State.FAILED).exists()


def undoable_until(change: BulkChange) -> datetime:
    """Until when it can be asked back."""
    return change.created_at + UNDO_WITHIN


def run_step(job: Job, deadline: datetime) -> bool:
    """The long job that does it."""
    while clock.wall() < deadline:
        more = _run_part(job.params["change"])
        change = BulkChange.objects.get(pk=job.params["change"])
        _note(job, change.changed + change.unchanged + change.refused)
        if not more:
            return True
    return False


def undo_step(job: Job, deadline: datetime) -> bool:
    """The long job that takes it back."""
    while clock.wall() < deadline:
        more = _undo_part(job.params["change"])
        change = BulkChange.objects.get(pk=job.params["change"])
        job.total = change.changed  # what was under way when the undo was asked for came to its end first
        _note(job, change.undone + change.kept + change.stuck)
        if not more:
            return True
    return False


def _note(job: Job, done: int) -> None:
    job.done = done
    job.save(update_fields=["done", "total"])


@transaction.atomic
def _run_part(change_id: int) -> bool:
    """Do the next part; False when there is none, or the change is to be taken back."""
    change = BulkChange.objects.select_for_update().get(pk=change_id)
    part = change.parts.filter(done_at__isnull=True).order_by("number").first()
    if part is None or change.undo_asked_at is not None:
        if change.ended_at is None:
            change.ended_at = clock.now()
            change.save(update_fields=["ended_at"])
        return False
    now = clock.now()
    ids, outcome = _lock_visible(part.contact_ids, change.scope), bulk.Outcome()
    if ids:
        params = {**change.params, "change": change.pk}
        outcome = bulk.kind_of(change.kind).run(params, ids, _actor(change.created_by_id), now)
    refused = dict.fromkeys(set(part.contact_ids) - set(ids), BulkReason.GONE) | outcome.refused
    part.done_at, part.before, part.refused = now, outcome.changed, refused
    part.save(update_fields=["done_at", "before", "refused"])
    change.changed += len(outcome.changed)
    change.refused += len(refused)
    change.unchanged += len(part.contact_ids) - len(outcome.changed) - len(refused)
    change.save(update_fields=["changed", "refused", "unchanged"])
    return True


@transaction.atomic
def _undo_part(change_id: int) -> bool:
    """Take the next part back; False when there is none."""
    change = BulkChange.objects.select_for_update().get(pk=change_id)
    part = change.parts.filter(done_at__isnull=False, undone_at__isnull=True).order_by("number").first()
    if part is None or part.done_at is None:
        if change.undo_ended_at is None:
            change.undo_ended_at = clock.now()
            change.save(update_fields=["undo_ended_at"])
        return False
    before = {int(pk): value for pk, value in part.before.items()}
    visible, reversal = set(_lock_visible(before, change.undo_scope)), bulk.Reversal()
    if visible:
        reversal = bulk.kind_of(change.kind).undo(
            change.params, {pk: before[pk] for pk in visible}, _actor(change.undo_by_id), part.done_at
        )
    stuck = dict.fromkeys(before.keys() - visible, BulkReason.GONE) | reversal.stuck
    part.undone_at, part.stuck = clock.now(), stuck
    part.save(update_fields=["undone_at", "stuck"])
    change.undone += len(reversal.undone)
    change.stuck += len(stuck)
    change.kept += len(before) - len(reversal.undone) - len(stuck)
    change.save(update_fields=["undone", "kept", "stuck"])
    return True


def _lock_visible(ids: Any, scope: dict[str, Any]) -> list[int]:
    """Of these people, those in the scope who count for themselves, locked: nobody changes or merges them meanwhile."""
    people = visible_contacts(scope_from_json(scope)).filter(pk__in=list(ids))
    return list(people.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))


def _actor(user_id: int | None) -> Actor:
    user = User.objects.filter(pk=user_id).first() if user_id else None
    return Actor("user", user.pk, user.display_name) if user else SYSTEM


# --- Reading ----------------------------------------------------------------------------------------------------


def visible_changes(scope: DataScope, permissions: frozenset[str]) -> QuerySet[BulkChange]:
    """What a person sees of 批量操作记录: her own; whoever sees the whole merchant, everybody's."""
    keys = [kind.key for kind in bulk.all_kinds() if kind.permission in permissions]
    changes = BulkChange.objects.filter(kind__in=keys)
    return changes if scope.sees_all else changes.filter(created_by_id=scope.user_id)


def count_reasons(change: BulkChange, column: str) -> list[tuple[str, int]]:
    """Why people were left out (`refused`) or could not go back (`stuck`), the most frequent first."""
    counts: Counter[str] = Counter()
    for told in change.parts.exclude(**{column: {}}).values_list(column, flat=True).iterator():
        counts.update(told.values())
    return [(str(BulkReason(reason).label), count) for reason, count in counts.most_common()]


def some_refused(change: BulkChange, scope: DataScope, most: int) -> list[tuple[Contact, str]]:
    """The first of those left out whom the scope still shows, and why."""
    found: dict[int, str] = {}
    for told in change.parts.exclude(refused={}).order_by("number").values_list("refused", flat=True)[:5]:
        found |= {int(pk): str(BulkReason(reason).label) for pk, reason in told.items()}
    people = visible_contacts(scope).filter(pk__in=list(found)).select_related("owner").order_by("pk")[:most]
    return [(person, found[person.pk]) for person in people]
