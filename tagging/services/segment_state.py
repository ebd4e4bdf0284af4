"""How old a segment's entries are: 截至, and whether somebody who sends should ask first."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from django.db.models import Case, DateTimeField, F, Min, Q, When

from conditions.dirty import EVERYTHING
from conditions.models import DirtyMark
from tagging.models import Segment
from tagging.services.segment_building import LANE, parents_of
from tagging.services.segment_entries import keys_of, own_key
from tenants import jobs

STALE_AFTER = timedelta(minutes=10)
FOR_ALL = frozenset({EVERYTHING, "consumer:segments"})
State = Segment.State


def as_of(segment: Segment, now: datetime) -> datetime | None:
    """The instant up to which the segment's entries are known to be right; None: never computed. Two queries."""
    return as_of_many([segment], now)[segment.pk]


def is_stale(segment: Segment, now: datetime) -> bool:
    """Whether the entries may be wrong by more than STALE_AFTER: whoever sends to them asks first."""
    known = as_of(segment, now)
    return known is None or known <= now - STALE_AFTER


def as_of_many(segments: Iterable[Segment], now: datetime) -> dict[int, datetime | None]:
    """The same of many. Of one that is up to date: the oldest change that waits to be worked off, or now; of one that is not: when
    it was so last. Nobody is better informed than what she reads: a segment in a segment is as old as the older of the two."""
    rows = {row.pk: row for row in Segment.objects.only("pk", "kind", "state", "fresh_at", "field_keys", "tree")}
    rows |= {row.pk: row for row in segments}
    wanted = [row.pk for row in segments]
    waiting = _waiting(rows.values(), now)
    known: dict[int, datetime | None] = {}
    for pk in wanted:
        _find(pk, rows, waiting, now, known)
    return {pk: known[pk] for pk in wanted}


def set_stale(segments: Collection[Segment], now: datetime, *, are_as_new: bool) -> None:
    """To be computed anew, soon; 截至 stays what it is at this instant. Every way into 待更新 but a build that broke off.

    are_as_new: what they say is another (an edit, a merge of tags), or was followed no more (失败): who is in by the next build is no
    news to anybody. Else they follow until then.
    """
    if not segments:
        return
    known = as_of_many(segments, now)
    for segment in segments:
        segment.fresh_at = known[segment.pk]
        segment.state, segment.last_error, segment.builder = State.STALE, "", ""
        if are_as_new:
            segment.built_version = None
    Segment.objects.bulk_update(segments, ["state", "last_error", "fresh_at", "builder", "built_version"])
    jobs.nudge(LANE)


def _find(
    pk: int,
    rows: Mapping[int, Segment],
    waiting: Mapping[str, datetime],
    now: datetime,
    known: dict[int, datetime | None],
) -> datetime | None:
    if pk in known:
        return known[pk]
    row = rows[pk]
    found = known[pk] = _alone(row, waiting, now)  # stands while its parents are asked: a circle ends here
    if row.kind == "dynamic":
        for parent in parents_of(row) & set(rows):
            theirs = _find(parent, rows, waiting, now, known)
            found = min(found, theirs) if found and theirs else None
    known[pk] = found
    return found


def _alone(row: Segment, waiting: Mapping[str, datetime], now: datetime) -> datetime | None:
    if row.kind != "dynamic":
        return now
    if row.state != State.FRESH:
        return row.fresh_at
    return min((waiting[key] for key in {*keys_of(row), *FOR_ALL} & set(waiting)), default=now)


def _waiting(rows: Iterable[Segment], now: datetime) -> dict[str, datetime]:
    """Mark key → since when the oldest change of that key waits. A boundary waits from its instant; what was put off, from before."""
    put_off = ["consumer:segments", *(own_key(row.pk) for row in rows)]
    marks = DirtyMark.objects.filter(Q(not_before__isnull=True) | Q(not_before__lte=now) | Q(field_key__in=put_off))
    since = Case(
        When(field_key__startswith="recheck:", not_before__isnull=False, then=F("not_before")),
        default=F("marked_at"),
        output_field=DateTimeField(),
    )
    return dict(marks.order_by().values("field_key").annotate(since=Min(since)).values_list("field_key", "since"))
