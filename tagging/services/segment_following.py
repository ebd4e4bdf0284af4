"""Segments kept up by what changed: one batch of people, every segment that reads what changed of them.

Waves: who reads no other segment first, then who reads those. So a segment in a segment is decided once, by what its parents say now,
and nobody enters it for a moment only. A wave costs a constant number of statements for each CHUNK of segments.
Batches of a tenant follow each other (conditions.drain.LOCK); a build takes that lock to begin and to end, and between the two a
segment's people are put off, so that build and increments never write the same entries.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from conditions import boundaries, dirty
from conditions.compiler import UnknownField
from conditions.consumers import read_once
from conditions.drain import RETRY_AFTER
from conditions.matching import matches_of
from conditions.people import branches
from conditions.reading import values_read
from conditions.schema import ConditionInvalid
from tagging.models import Segment, SegmentChange, SegmentEntry, SegmentPin
from tagging.services import segment_entries
from tagging.services.broken import fail_segment
from tagging.services.segment_entries import Pair, keys_of, own_key

logger = logging.getLogger(__name__)
# People of a segment that is being built come again when it is built, which makes their marks due; or else after this long.
PUT_OFF = timedelta(minutes=10)
CHUNK = 100  # segments decided together
State = Segment.State
Origin = SegmentEntry.Origin


def reads() -> set[str]:
    """Every key some live segment reads."""
    return {key for segment in kept_up().defer("tree") for key in keys_of(segment)}


def kept_up() -> QuerySet[Segment]:
    """Segments that follow, now or once they are built."""
    live = Segment.objects.filter(archived_at__isnull=True, kind="dynamic").exclude(state=State.FAILED)
    return live.only("pk", "field_keys", "state", "tree", "tree_version", "built_version").order_by("pk")


def consume(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """Decide anew, for these people, the segments that read what changed, and the segments that read those."""
    found = read_once("segments", lambda: list(kept_up()))
    known = {segment.pk: segment for segment in found if segment.state != State.FAILED}
    touched = {pk for pk, segment in known.items() if keys & {*keys_of(segment), "consumer:segments"}}
    _Batch(known, root_ids, now).decide(touched)


def absorb(root_ids: Sequence[int], keys: frozenset[str], now: datetime) -> None:
    """As consume, for what only the first sync told of: who enters or leaves by it is no news for rules either."""
    with dirty.told_by("backfill"):
        consume(root_ids, keys, now)


def put_off(segments: Iterable[int], contact_ids: Sequence[int], now: datetime) -> None:
    """These people come again once the segments, which are being built, are built."""
    dirty.mark(contact_ids, *(own_key(pk) for pk in sorted(segments)), not_before=now + PUT_OFF)


def follows(segment: Segment) -> bool:
    """Whether its entries answer to its condition, but for what waits: it follows then, though it may be about to be computed anew."""
    return segment.state == State.FRESH or (segment.state == State.STALE and has_answers(segment))


def has_answers(segment: Segment) -> bool:
    """Whether its entries were computed for the condition as it is: by its next computing nobody enters or leaves but by a mistake."""
    return segment.built_version == segment.tree_version


def decide(segment: Segment, root_ids: Sequence[int], now: datetime) -> None:
    """Decide one segment for some people. Under conditions.drain.LOCK."""
    known = {row.pk: row for row in kept_up()}
    _Batch(known, root_ids, now).decide({segment.pk} & set(known))


class _Batch:
    """One batch of people, and what of each is known under which contact ids."""

    def __init__(self, known: Mapping[int, Segment], root_ids: Sequence[int], now: datetime) -> None:
        self.known, self.root_ids, self.now = known, list(root_ids), now
        self.children = _children(known)
        self.rank = _ranks(self.children)
        self.contact_ids: list[int] = []

    def decide(self, touched: Iterable[int]) -> None:
        todo, seen = set(touched), set()
        while todo:
            wave = {pk for pk in todo if self.rank.get(pk, 0) == min(self.rank.get(pk, 0) for pk in todo)}
            todo -= wave
            seen |= wave
            put_off((pk for pk in wave if self.known[pk].state == State.BUILDING), self.root_ids, self.now)
            moved = self._follow(sorted(pk for pk in wave if follows(self.known[pk])))
            todo |= {child for pk in moved for child in self.children.get(pk, ())} - seen

    def _follow(self, ids: Sequence[int]) -> set[int]:
        """The segments somebody entered or left. One whose condition is new is still to be built, and its build sees what changed."""
        moved: set[int] = set()
        for chunk in _chunks([self.known[pk] for pk in ids]):
            moved |= self._attempt(chunk)
        return moved

    def _attempt(self, segments: Sequence[Segment]) -> set[int]:
        """One that fails must not hold up the others: the halves are tried apart until it stands alone."""
        try:
            with transaction.atomic():
                return self._decide(segments)
        except Exception as error:
            if len(segments) == 1:
                self._give_up(segments[0], error)
                return set()
        half = len(segments) // 2
        return self._attempt(segments[:half]) | self._attempt(segments[half:])

    def _give_up(self, segment: Segment, error: Exception) -> None:
        if isinstance(error, (UnknownField, ConditionInvalid)):
            fail_segment(segment, _("需修复:%(reason)s") % {"reason": error})
            return
        logger.error("segment %s not kept up; repeated in %s", segment.pk, RETRY_AFTER, exc_info=error)
        dirty.mark(self.root_ids, own_key(segment.pk), not_before=self.now + RETRY_AFTER)

    def _decide(self, segments: Sequence[Segment]) -> set[int]:
        if not self.contact_ids:
            self.contact_ids = sorted({*self.root_ids, *branches(self.root_ids)})
        matched = matches_of({segment.pk: segment.tree for segment in segments}, self.root_ids, self.now)
        segments = self._answered(segments, matched)
        ids = [segment.pk for segment in segments]
        wanted = {(pk, contact_id): str(Origin.TREE) for pk, ids in matched.items() for contact_id in ids}
        self._pin(wanted, ids)
        entries = SegmentEntry.objects.filter(contact_id__in=self.contact_ids, segment_id__in=ids)
        present = {
            (pk, contact_id): origin
            for pk, contact_id, origin in entries.values_list("segment_id", "contact_id", "origin")
        }
        trees = {segment_entries.reader(segment.pk): segment.tree for segment in segments}
        boundaries.schedule_many(trees, self.root_ids, self.now)
        moves = segment_entries.moves_between(present, wanted)
        return segment_entries.move(segments, moves, SegmentChange.Cause.CHANGE, self.now)

    def _answered(self, segments: Sequence[Segment], matched: Mapping[int, set[int]]) -> Sequence[Segment]:
        for segment in segments:
            if segment.pk not in matched:
                self._give_up(segment, UnknownField(_("条件里有已不存在的字段")))
        return [segment for segment in segments if segment.pk in matched]

    def _pin(self, wanted: dict[Pair, str], segment_ids: Sequence[int]) -> None:
        """What somebody decided by hand wins over the conditions."""
        pins = SegmentPin.objects.filter(segment_id__in=segment_ids, contact_id__in=self.contact_ids)
        out: set[Pair] = set()
        for pk, contact_id, root_id, is_in in pins.values_list("segment_id", "contact_id", "contact__root_id", "is_in"):
            pair = (pk, root_id or contact_id)
            if is_in:
                wanted[pair] = Origin.PIN
            else:
                out.add(pair)
        for pair in out:
            wanted.pop(pair, None)


def _chunks(segments: Sequence[Segment]) -> Iterator[Sequence[Segment]]:
    for start in range(0, len(segments), CHUNK):
        yield segments[start : start + CHUNK]


def _children(known: Mapping[int, Segment]) -> dict[int, set[int]]:
    """Segment id → the segments that read it."""
    found: dict[int, set[int]] = {}
    for segment in known.values():
        if any(key.startswith("segment:") for key in segment.field_keys):
            for parent in values_read(segment.tree, "segment"):
                found.setdefault(parent, set()).add(segment.pk)
    return found


def _ranks(children: Mapping[int, set[int]]) -> dict[int, int]:
    """Segment id → how many stand above it; left out: none. A circle, which saving refuses, ends by the number of segments."""
    ranks: dict[int, int] = {}
    level = {child for family in children.values() for child in family}
    for rank in range(1, len(children) + 1):
        ranks |= dict.fromkeys(level, rank)
        level = {child for pk in level for child in children.get(pk, ())}
    return ranks
