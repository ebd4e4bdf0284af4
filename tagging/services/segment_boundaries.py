"""Boundaries in time of many segments for a batch of people, in a constant number of statements."""

from collections.abc import Sequence
from datetime import datetime

from conditions.boundaries import recheck_key
from conditions.dirty import LANE
from conditions.matching import rechecks_of
from conditions.models import DirtyMark
from conditions.recheck import recheck_expression
from scrm.lib.db.bulk import insert_rows
from tagging.models import Segment
from tagging.services.segment_entries import reader
from tenants import jobs


def schedule(segments: Sequence[Segment], root_ids: Sequence[int], now: datetime) -> None:
    """Replace the boundaries of these people by those after `now`; trees without time cost nothing."""
    timed = {segment.pk: segment.tree for segment in segments if recheck_expression(segment.tree, now) is not None}
    if not timed:
        return
    keys = [recheck_key(reader(pk)) for pk in timed]
    DirtyMark.objects.filter(field_key__in=keys, not_before__isnull=False, contact_id__in=root_ids).delete()
    found = rechecks_of(timed, root_ids, now)
    due = [(contact_id, recheck_key(reader(pk)), at) for pk, ahead in found.items() for contact_id, at in ahead.items()]
    if due:
        rows = [{"contact_id": who, "field_key": key, "marked_at": now, "not_before": at} for who, key, at in due]
        insert_rows(DirtyMark, [{**row, "is_backfill": False} for row in rows])
        jobs.nudge(LANE, due_at=min(at for _who, _key, at in due))
