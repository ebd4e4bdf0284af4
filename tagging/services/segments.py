"""Segments: saved, computed in full, kept up by what changed, frozen into fixed lists.

Full build and increments of one segment follow each other (advisory lock), so that each sees what the other decided. A mark that
arrives while a build runs is worked off after it, against the built entries.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from conditions import boundaries, dirty
from conditions.compiler import UnknownField
from conditions.people import people
from conditions.reading import field_keys, values_read
from conditions.schema import ConditionInvalid, Problem, validate
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging import segments as listeners
from tagging.matching import insert_select, matching_ids, matching_people, of_people
from tagging.models import Segment, SegmentChange, SegmentEntry
from tagging.services.broken import fail_segment
from tenants import audit, jobs, locks
from tenants.audit import Actor
from tenants.ledger.models import Job

logger = logging.getLogger(__name__)
RETRY_AFTER = timedelta(minutes=1)
LANE = "segments"
NAMES = "segment_names"
State = Segment.State
Cause = SegmentChange.Cause


def reader(segment: Segment) -> str:
    """The segment's name among readers of boundaries."""
    return f"segment:{segment.pk}"


# --- Saved ------------------------------------------------------------------------------------------------------


@transaction.atomic
def save_segment(segment: Segment | None, *, name: str, tree: dict[str, Any], by: Actor) -> Segment:
    """Create or change a dynamic segment; it is computed soon after. Raises ConditionInvalid, or UserError for a taken name."""
    validate(tree)
    name = name.strip()
    if not name or len(name) > 60:
        raise UserError(_("请给人群起一个 60 字以内的名字"), fields={"name": _("1 到 60 个字")})
    locks.lock_in_transaction(NAMES)
    others = Segment.objects.exclude(pk=segment.pk if segment else 0)
    if others.filter(name=name).exists():
        raise UserError(
            _("已有名为「%(name)s」的人群,请换一个名字") % {"name": name}, fields={"name": _("名字已被使用")}
        )
    if segment is None:
        segment = Segment(created_at=clock.now(), created_by_id=by.id if by.kind == "user" else None)
    else:
        segment = Segment.objects.select_for_update().get(pk=segment.pk)
        _refuse_cycle(segment, tree)
    segment.name, segment.tree, segment.field_keys = name, tree, sorted(field_keys(tree))
    segment.state, segment.last_error = State.STALE, ""
    if segment.pk is None:
        segment.save(force_insert=True)
    else:
        segment.tree_version += 1
        segment.save(update_fields=["name", "tree", "field_keys", "tree_version", "state", "last_error"])
    audit.record("segment.saved", segment, by=by, version=segment.tree_version)
    jobs.nudge(LANE)
    return segment


def _refuse_cycle(segment: Segment, tree: dict[str, Any]) -> None:
    seen: set[int] = set()
    todo = values_read(tree, "segment")
    while todo:
        pk = todo.pop()
        if pk == segment.pk:
            raise ConditionInvalid([Problem("root", _("人群之间互相引用成了一个圈,请去掉其中一个引用"))])
        if pk not in seen:
            seen.add(pk)
            other = Segment.objects.filter(pk=pk, kind="dynamic").first()
            todo |= values_read(other.tree, "segment") if other else set()


@transaction.atomic
def freeze_segment(source: Segment, *, name: str, by: Actor) -> Segment:
    """A fixed list of who is in the segment now."""
    locks.lock_in_transaction(NAMES)
    if Segment.objects.filter(name=name).exists():
        raise UserError(_("已有名为「%(name)s」的人群,请换一个名字") % {"name": name})
    now = clock.now()
    frozen = Segment.objects.create(
        name=name, kind="static", tree=source.tree, state=State.FRESH, fresh_at=source.fresh_at or now, created_at=now,
        created_by_id=by.id if by.kind == "user" else None,
    )  # fmt: skip
    members = people().filter(segment_entries__segment=source)
    frozen.size = len(insert_select(SegmentEntry, members, {"segment": frozen.pk, "entered_at": now}))
    frozen.save(update_fields=["size"])
    audit.record("segment.frozen", frozen, by=by, source=source.pk, size=frozen.size)
    return frozen


@transaction.atomic
def archive_segment(segment: Segment, *, by: Actor) -> None:
    """Out of use: no longer computed or offered. Refused while a live segment, a rule or whatever else reads it: a condition that
    excludes it would suddenly hold for everybody.
    """
    for other in Segment.objects.filter(archived_at__isnull=True, kind="dynamic").exclude(pk=segment.pk):
        if segment.pk in values_read(other.tree, "segment"):
            raise UserError(_("人群「%(name)s」还在引用它,请先修改那个人群") % {"name": other.name})
    for what in listeners.uses_of(segment.pk):
        raise UserError(_("%(what)s还在使用它,请先修改或停用") % {"what": what})
    segment.archived_at = clock.now()
    segment.save(update_fields=["archived_at"])
    boundaries.forget(reader(segment))
    audit.record("segment.archived", segment, by=by)


@transaction.atomic
def request_rebuild(segment: Segment, *, by: Actor) -> None:
    """Compute the segment anew, soon."""
    Segment.objects.filter(pk=segment.pk, kind="dynamic").exclude(state=State.BUILDING).update(
        state=State.STALE, last_error=""
    )
    audit.record("segment.rebuild", segment, by=by)
    jobs.nudge(LANE)


# --- Computed in full -------------------------------------------------------------------------------------------


def drain_builds(deadline: datetime) -> bool:
    """The lane: build what is stale, parents before children; True when the slice ended first. The lane's lease is the lease."""
    while clock.wall() < deadline:
        segment = _next_to_build()
        if segment is None:
            return False
        build_segment(segment)
    return True


def _next_to_build() -> Segment | None:
    """A stale segment (or one a killed worker left 计算中) none of whose parents is to be built first."""
    todo: dict[int, Segment] = {row.pk: row for row in waiting_segments()}
    for row in todo.values():
        if not (values_read(row.tree, "segment") & set(todo)):
            return row
    return next(iter(todo.values()), None)


def waiting_segments() -> Any:
    """Dynamic segments that are to be computed."""
    live = Segment.objects.filter(archived_at__isnull=True, kind="dynamic")
    return live.filter(state__in=(State.STALE, State.BUILDING)).order_by("pk")


def build_segment(segment: Segment) -> None:
    """Compute every entry, with a Job that people can watch. An error becomes the segment's, visible on its page."""
    now, wall = clock.now(), clock.wall()
    job = Job.objects.create(
        kind="segment.build", title=_("计算人群「%(name)s」") % {"name": segment.name}, state=Job.State.RUNNING,
        params={"segment": segment.pk}, created_at=wall, started_at=wall,
    )  # fmt: skip
    Segment.objects.filter(pk=segment.pk).update(state=State.BUILDING, job_id=job.pk)
    try:
        size = _build(segment.pk, now)
        job.state, job.done, job.total, job.result = Job.State.DONE, size, size, {"size": size}
    except (UnknownField, ConditionInvalid) as error:
        fail_segment(segment, _("需修复:%(reason)s") % {"reason": error})
        job.state, job.last_error = Job.State.FAILED, str(error)
    except Exception as error:
        logger.exception("segment %s could not be built", segment.pk)
        fail_segment(segment, _("计算出错,已停止:%(reason)s。请稍后点「重新计算」") % {"reason": type(error).__name__})
        job.state, job.last_error = Job.State.FAILED, repr(error)[:500]
    job.finished_at = clock.wall()
    job.save(update_fields=["state", "done", "total", "result", "last_error", "finished_at"])


@transaction.atomic
def _build(segment_id: int, now: datetime) -> int:
    """INSERT who is missing, DELETE who no longer belongs, note both, in one transaction: readers see the old or the new."""
    lock_segment(segment_id)
    segment = Segment.objects.get(pk=segment_id)
    validate(segment.tree)
    matched = matching_people(segment.tree, now)
    entries = SegmentEntry.objects.filter(segment=segment)
    leaving = entries.exclude(contact__in=matched.values("pk"))
    left = list(leaving.values_list("contact_id", flat=True))
    entries.filter(contact_id__in=left).delete()
    missing = matched.exclude(pk__in=entries.values("contact_id"))
    entered = insert_select(SegmentEntry, missing, {"segment": segment.pk, "entered_at": now})
    boundaries.schedule(reader(segment), segment.tree, None, now)
    _note(segment, entered, left, Cause.BUILD, now)
    size = entries.count()
    # Unless somebody edited it meanwhile: then its next build is still to come.
    Segment.objects.filter(pk=segment.pk, tree_version=segment.tree_version).update(
        size=size, state=State.FRESH, fresh_at=now, last_error=""
    )
    return size


def lock_segment(segment_id: int) -> None:
    """One writer of a segment's entries at a time."""
    locks.lock_in_transaction(f"segment:{segment_id}")


# --- Kept up ----------------------------------------------------------------------------------------------------


def reads() -> set[str]:
    """Every key some live segment reads."""
    found: set[str] = set()
    for segment in _kept_up():
        found |= {*segment.field_keys, boundaries.recheck_key(reader(segment))}
    return found


def _kept_up() -> Any:
    live = Segment.objects.filter(archived_at__isnull=True, kind="dynamic").exclude(state=State.FAILED)
    return live.only("pk", "field_keys", "state", "tree").order_by("pk")


def consume(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """Decide anew, for these people, the segments that read what changed."""
    for segment in _kept_up():
        if keys & {*segment.field_keys, boundaries.recheck_key(reader(segment)), "consumer:segments"}:
            lock_segment(segment.pk)
            _keep_up(Segment.objects.get(pk=segment.pk), root_ids, now)


def absorb(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """As consume, for what only the first sync told of: who enters or leaves by it is no news for rules either."""
    with dirty.told_by("backfill"):
        consume(root_ids, keys, now)


def _keep_up(segment: Segment, root_ids: Sequence[int], now: datetime) -> None:
    if segment.state != State.FRESH:
        return  # its build is still to come, and will see what changed
    try:
        with transaction.atomic():
            _decide(segment, root_ids, now)
    except (UnknownField, ConditionInvalid) as error:
        fail_segment(segment, _("需修复:%(reason)s") % {"reason": error})
    except Exception:
        # It must not hold up the other segments of these people: they come again, to it alone.
        logger.exception("segment %s could not be kept up; repeated in %s", segment.pk, RETRY_AFTER)
        dirty.mark(root_ids, boundaries.recheck_key(reader(segment)), not_before=now + RETRY_AFTER)


def _decide(segment: Segment, root_ids: Sequence[int], now: datetime) -> None:
    matched = matching_ids(segment.tree, root_ids, now)
    entries = SegmentEntry.objects.filter(of_people(root_ids), segment=segment)
    present = set(entries.values_list("contact_id", flat=True))
    entered, left = sorted(matched - present), sorted(present - matched)
    SegmentEntry.objects.filter(segment=segment, contact_id__in=left).delete()
    SegmentEntry.objects.bulk_create([SegmentEntry(segment=segment, contact_id=pk, entered_at=now) for pk in entered])
    boundaries.schedule(reader(segment), segment.tree, root_ids, now)
    _note(segment, entered, left, Cause.CHANGE, now)
    segment.size += len(entered) - len(left)
    segment.fresh_at = now
    segment.save(update_fields=["size", "fresh_at"])


def _note(segment: Segment, entered: Sequence[int], left: Sequence[int], cause: str, now: datetime) -> None:
    """The change log, the listeners, and the marks of whatever reads this segment."""
    SegmentChange.objects.bulk_create(
        [
            SegmentChange(
                segment=segment,
                contact_id=pk,
                kind=kind,
                cause=cause,
                tree_version=segment.tree_version,
                changed_at=now,
            )
            for kind, ids in ((SegmentChange.Kind.ENTER, entered), (SegmentChange.Kind.LEAVE, left))
            for pk in ids
        ],
        batch_size=5000,
    )
    listeners.tell(listeners.Change(segment.pk, entered, left, cause, now))
    dirty.mark([*entered, *left], f"segment:{segment.pk}", backfill=True if cause == Cause.BUILD else None)
