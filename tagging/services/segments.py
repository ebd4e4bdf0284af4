"""Segments as people make them: saved, frozen into fixed lists, archived. What computes them: segment_building (in full),
segment_following (by what changed), segment_pins (by hand), static_lists (fixed lists), segment_state (how old the entries are)."""

from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from conditions import boundaries
from conditions.drain import LOCK
from conditions.models import DirtyMark
from conditions.reading import field_keys, values_read
from conditions.schema import ConditionInvalid, Problem, validate
from contacts.services.inbound import lock_people
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging import segments as listeners
from tagging.models import Segment
from tagging.services import segment_entries
from tagging.services.segment_building import (
    LANE,
    build_segment,
    buildable,
    drain_builds,
    parents_of,
    waiting_segments,
)
from tagging.services.segment_entries import reader
from tagging.services.segment_following import absorb, consume, reads
from tagging.services.segment_state import as_of, set_stale
from tagging.services.static_lists import copy_entries
from tenants import audit, jobs, locks
from tenants.audit import Actor

__all__ = [
    "LANE", "absorb", "archive_segment", "build_segment", "buildable", "consume", "drain_builds", "freeze_segment",
    "reads", "request_rebuild", "save_segment", "waiting_segments",
]  # fmt: skip
NAMES = "segment_names"
State = Segment.State


@transaction.atomic
def save_segment(segment: Segment | None, *, name: str, tree: dict[str, Any], by: Actor) -> Segment:
    """Create or change a dynamic segment; it is computed soon after. Raises ConditionInvalid, or UserError for a taken name."""
    name = _free_name(name, segment)
    validate(tree)  # behind the lock: what it reads is not archived meanwhile
    now = clock.now()
    if segment is None:
        actor_id = by.id if by.kind == "user" else None
        segment = Segment(name=name, created_at=now, created_by_id=actor_id)
        _take_tree(segment, tree)
        segment.save(force_insert=True)
    else:
        segment = Segment.objects.select_for_update().get(pk=segment.pk)
        segment.name = name
        if tree != segment.tree or segment.state == State.FAILED:
            _refuse_cycle(segment, tree)
            set_stale([segment], now, are_as_new=True)  # until now the entries answered to the condition before
            segment.tree_version += 1
            _take_tree(segment, tree)
        segment.save(update_fields=["name", "tree", "field_keys", "tree_version"])
    audit.record("segment.saved", segment, by=by, version=segment.tree_version)
    jobs.nudge(LANE)
    return segment


def _free_name(name: str, segment: Segment | None) -> str:
    name = name.strip()
    if not name or len(name) > 60:
        raise UserError(_("请给人群起一个 60 字以内的名字"), fields={"name": _("1 到 60 个字")})
    locks.lock_in_transaction(NAMES)
    if Segment.objects.exclude(pk=segment.pk if segment else 0).filter(name=name).exists():
        raise UserError(
            _("已有名为「%(name)s」的人群,请换一个名字") % {"name": name}, fields={"name": _("名字已被使用")}
        )
    return name


def _take_tree(segment: Segment, tree: dict[str, Any]) -> None:
    segment.tree, segment.field_keys = tree, sorted(field_keys(tree))


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
    lock_people(shared=True)  # nobody is copied under the number of somebody merged meanwhile
    name = _free_name(name, None)
    now = clock.now()
    frozen = Segment.objects.create(
        name=name, kind="static", tree=source.tree, state=State.FRESH, fresh_at=as_of(source, now), created_at=now,
        created_by_id=by.id if by.kind == "user" else None,
    )  # fmt: skip
    frozen.size = copy_entries(source, frozen, now)
    audit.record("segment.frozen", frozen, by=by, source=source.pk, size=frozen.size)
    return frozen


@transaction.atomic
def create_list(*, name: str, by: Actor) -> Segment:
    """An empty fixed list; static_lists.fill_static fills it. Raises UserError for a bad or taken name."""
    name = _free_name(name, None)
    now = clock.now()
    made = Segment.objects.create(
        name=name, kind="static", state=State.FRESH, fresh_at=now, created_at=now,
        created_by_id=by.id if by.kind == "user" else None,
    )  # fmt: skip
    audit.record("segment.list_created", made, by=by)
    return made


def readers_of(segment_id: int) -> Iterator[Segment]:
    """Live segments whose condition reads a segment."""
    for other in Segment.objects.filter(archived_at__isnull=True, kind="dynamic").exclude(pk=segment_id):
        if segment_id in parents_of(other):
            yield other


def uses_of_segment(segment_id: int) -> Iterator[listeners.Use]:
    """The same, as something that uses it."""
    for other in readers_of(segment_id):
        yield listeners.Use(
            _("人群「%(name)s」") % {"name": other.name}, reverse("tagging:segment_detail", args=[other.pk])
        )


@transaction.atomic
def archive_segment(segment: Segment, *, by: Actor) -> None:
    """Out of use: no longer computed or offered. Refused while a live segment, a rule or whatever else reads it: a condition that
    excludes it would suddenly hold for everybody. Doing it again changes nothing.
    """
    locks.lock_in_transaction(LOCK)  # no rule over it is enabled meanwhile
    locks.lock_in_transaction(NAMES)  # nor a segment saved
    segment.refresh_from_db(from_queryset=Segment.objects.select_for_update())
    if segment.archived_at is not None:
        return
    for other in readers_of(segment.pk):
        raise UserError(_("人群「%(name)s」还在引用它,请先修改那个人群") % {"name": other.name})
    uses = list(listeners.uses_of(segment.pk))
    if uses:  # their names stand on the page, for who may see them
        raise UserError(_("还有 %(n)d 处在使用它(见「用在哪里」),请先修改或停用") % {"n": len(uses)})
    segment.archived_at = clock.now()
    segment.builder = ""
    segment.save(update_fields=["archived_at", "builder"])
    _forget_boundaries(segment.pk)
    audit.record("segment.archived", segment, by=by)


def _forget_boundaries(segment_id: int) -> None:
    """Those that a build or a batch holds are let stand: it waits for the segment's row, which is ours, and nobody reads them any more
    when they come due."""
    marks = segment_entries.table(DirtyMark)
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {marks} WHERE id IN (SELECT id FROM {marks} WHERE field_key = %s FOR UPDATE SKIP LOCKED)",
            [boundaries.recheck_key(reader(segment_id))],
        )


@transaction.atomic
def request_rebuild(segment: Segment, *, by: Actor) -> None:
    """Compute the segment anew, soon. A fixed or archived one, or one that is being computed, is left as it is."""
    live = Segment.objects.select_for_update().filter(pk=segment.pk, kind="dynamic", archived_at__isnull=True)
    row = live.exclude(state=State.BUILDING).first()
    if row is None:
        return
    set_stale([row], clock.now(), are_as_new=row.state == State.FAILED)
    audit.record("segment.rebuild", segment, by=by)
    jobs.nudge(LANE)
