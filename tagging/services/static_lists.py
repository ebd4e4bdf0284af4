"""Fixed lists: segments whose entries are given, not computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import connection, transaction
from django.utils.translation import gettext as _

from conditions.people import people, roots
from contacts.services.merging import Merged
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import Segment, SegmentChange, SegmentEntry
from tagging.services import segment_entries
from tagging.services.segment_entries import Moves, moves_between
from tenants import audit
from tenants.audit import Actor

How = Literal["add", "remove", "replace"]
MOST = 20_000  # ids in one call, which are held in memory: whoever has more comes in parts
Origin = SegmentEntry.Origin
Cause = SegmentChange.Cause


@dataclass(frozen=True)
class Filled:
    """What became of the given ids. unknown: of nobody, or of somebody whose information was deleted."""

    added: int
    removed: int
    unknown: int
    size: int


@transaction.atomic
def fill_static(
    segment: Segment, contact_ids: Iterable[int], *, how: How, by: Actor, at: datetime | None = None
) -> Filled:
    """Add these people to a fixed list, take them from it, or make it exactly them. A merged one means her root. at: the domain instant
    of it, now by default.

    Raises UserError for a dynamic or archived segment, or more than MOST ids.
    """
    given = set(contact_ids)
    if len(given) > MOST:
        raise UserError(_("一次最多处理 %(n)s 位客户,请分几次") % {"n": MOST})
    root_of, living = _lock_roots(given)  # before the list, as a merge does
    segment = Segment.objects.select_for_update().get(pk=segment.pk)
    if segment.kind != "static" or segment.archived_at is not None:
        raise UserError(_("只有在用的固定名单可以增减客户"))
    unknown = sum(1 for pk in given if root_of.get(pk) not in living)
    now = at or clock.now()
    before = dict(_entries(segment, living))
    wanted = {} if how == "remove" else {(segment.pk, pk): before.get((segment.pk, pk), Origin.LIST) for pk in living}
    moves = moves_between(before, wanted)
    segment_entries.move([segment], moves, Cause.LIST, now)
    others = _drop_others(segment, living, now) if how == "replace" else 0
    segment.refresh_from_db(fields=["size"])
    filled = Filled(len(moves.came), len(moves.gone) + others, unknown, segment.size)
    audit.record("segment.filled", segment, by=by, how=how, added=filled.added, removed=filled.removed)
    return filled


def _lock_roots(given: set[int]) -> tuple[dict[int, int], set[int]]:
    """Contact → root, and the roots that stand for somebody, locked: on the list under the number of whom she is merged into meanwhile,
    nobody would count her."""
    root_of: dict[int, int] = {}
    living: set[int] = set()
    while (found := roots(given)) != root_of:  # a merge that we waited for
        root_of = found
        rows = people().filter(pk__in=set(root_of.values())).order_by("pk").select_for_update(of=("self",), no_key=True)
        living = set(rows.values_list("pk", flat=True))
    return root_of, living


def copy_entries(source: Segment, target: Segment, now: datetime) -> int:
    """Everybody who is in the source now is on the list; how many. One statement over however many."""
    entries = SegmentEntry.objects.filter(segment=source).values_list("contact_id")
    sql, params = people().filter(pk__in=entries).values_list("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {segment_entries.table(SegmentEntry)} (segment_id, contact_id, entered_at, origin)"
            f" SELECT %s, who.id, %s, 'list' FROM ({sql}) AS who (id)",
            [target.pk, now, *params],
        )
        size = int(cursor.rowcount)
    Segment.objects.filter(pk=target.pk).update(size=size)
    segment_entries.note_sizes([target.pk], now)
    return size


def _drop_others(segment: Segment, kept: set[int], now: datetime) -> int:
    """Everybody else leaves the list, in parts; how many."""
    others = SegmentEntry.objects.filter(segment=segment).exclude(contact_id__any_of=kept).order_by("contact_id")
    count = 0
    while part := list(others.values_list("contact_id", flat=True)[:MOST]):
        moves = Moves(came={}, gone={(segment.pk, pk) for pk in part}, retold={})
        segment_entries.move([segment], moves, Cause.LIST, now)
        count += len(part)
    return count


def _entries(segment: Segment, contact_ids: set[int]) -> Iterable[tuple[tuple[int, int], str]]:
    entries = SegmentEntry.objects.filter(segment=segment, contact_id__in=contact_ids)
    for contact_id, origin in entries.values_list("contact_id", "origin"):
        yield (segment.pk, contact_id), origin


def on_merged(merged: Merged) -> None:
    """Two customers are one: where a fixed list has the one who went, it has the one who stays."""
    rows = SegmentEntry.objects.filter(segment__kind="static", contact_id__in=[merged.kept, *merged.moved])
    found = list(rows.values_list("segment_id", "contact_id", "origin"))
    gone = {(segment_id, pk): origin for segment_id, pk, origin in found if pk != merged.kept}
    if not gone:
        return
    present = {(segment_id, pk): origin for segment_id, pk, origin in found}
    wanted = {
        (segment_id, merged.kept): present.get((segment_id, merged.kept), origin)
        for (segment_id, _pk), origin in gone.items()
    }
    wanted |= {pair: origin for pair, origin in present.items() if pair not in gone}
    lists = list(Segment.objects.filter(pk__in={segment_id for segment_id, _pk in gone}))
    segment_entries.move(lists, moves_between(present, wanted), Cause.LIST, merged.at)
