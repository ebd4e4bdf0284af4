"""Writing entries: every way into and out of a segment ends here, with its change noted, its size right, its readers told.

What is written is set-based: a full build passes SELECTs and never sees an id; increments, pins and lists pass arrays.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from conditions import dirty
from conditions.boundaries import recheck_key
from conditions.consumers import all_consumers
from contacts.models import Contact
from scrm.lib import clock
from tagging import segments as listeners
from tagging.models import Segment, SegmentChange, SegmentEntry, SegmentPin, SegmentSize
from tenants.context import current_tenant

Pair = tuple[int, int]  # (segment id, contact id)
Cause = SegmentChange.Cause


def reader(segment_id: int) -> str:
    """A segment's name among readers of boundaries."""
    return f"segment:{segment_id}"


def own_key(segment_id: int) -> str:
    """A mark of this key concerns one segment alone: people whom it could not decide yet."""
    return f"later:segment:{segment_id}"


def keys_of(segment: Segment) -> set[str]:
    """The marks that concern a segment."""
    return {*segment.field_keys, recheck_key(reader(segment.pk)), own_key(segment.pk)}


def table(model: Any) -> str:
    """Its name for SQL."""
    return connection.ops.quote_name(model._meta.db_table)


# People pinned to one segment (%s), as the roots they are today: one row each, out before in.
PINNED = f"""
    SELECT coalesce(c.root_id, c.id) AS contact_id, bool_and(p.is_in) AS is_in
    FROM {SegmentPin._meta.db_table} AS p JOIN {Contact._meta.db_table} AS c ON c.id = p.contact_id
    WHERE p.segment_id = %s GROUP BY 1
"""


@dataclass
class Moves:
    """Who is to enter (pair → origin), to leave, and whose origin changes."""

    came: dict[Pair, str]
    gone: set[Pair]
    retold: dict[Pair, str]

    def __bool__(self) -> bool:
        return bool(self.came or self.gone)


def moves_between(present: Mapping[Pair, str], wanted: Mapping[Pair, str]) -> Moves:
    """What leads from the entries there are to those there should be."""
    return Moves(
        came={pair: origin for pair, origin in wanted.items() if pair not in present},
        gone=set(present) - set(wanted),
        retold={pair: origin for pair, origin in wanted.items() if present.get(pair, origin) != origin},
    )


# SegmentChange rows of what a WITH deleted (`gone`) and inserted (`came`), a version per segment in `versions`.
NOTED = f"""
    INSERT INTO {SegmentChange._meta.db_table} (segment_id, contact_id, kind, cause, tree_version, changed_at, build)
    SELECT moved.segment_id, moved.contact_id, moved.kind, %s, versions.version, %s, %s
    FROM (SELECT segment_id, contact_id, 'leave' AS kind FROM gone
          UNION ALL SELECT segment_id, contact_id, 'enter' FROM came) AS moved
    JOIN versions ON versions.segment_id = moved.segment_id
"""
_MOVE = f"""
WITH versions AS (SELECT * FROM unnest(%s::bigint[], %s::bigint[]) AS v (segment_id, version)),
gone AS (
    DELETE FROM {SegmentEntry._meta.db_table} AS e
    USING unnest(%s::bigint[], %s::bigint[]) AS g (segment_id, contact_id)
    WHERE e.segment_id = g.segment_id AND e.contact_id = g.contact_id RETURNING e.segment_id, e.contact_id
), came AS (
    INSERT INTO {SegmentEntry._meta.db_table} (segment_id, contact_id, entered_at, origin)
    SELECT c.segment_id, c.contact_id, %s, c.origin
    FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS c (segment_id, contact_id, origin)
    ON CONFLICT DO NOTHING RETURNING segment_id, contact_id
), noted AS ({NOTED} RETURNING id, segment_id, contact_id, kind)
SELECT id, segment_id, contact_id, kind FROM noted
"""


def move(segments: Collection[Segment], moves: Moves, cause: str, now: datetime) -> set[int]:
    """Carry the moves out: entries, changes, sizes, listeners, and marks for whoever else reads the segments. Which segments
    somebody entered or left. A constant number of statements, and none where nobody moves."""
    if moves.retold:
        _retell(moves.retold)
    if not moves:
        return set()
    gone, came = sorted(moves.gone), sorted(moves.came)
    versions = {segment.pk: segment.tree_version for segment in segments}
    params: list[Any] = [
        list(versions), list(versions.values()), [pair[0] for pair in gone], [pair[1] for pair in gone], now,
        [pair[0] for pair in came], [pair[1] for pair in came], [moves.came[pair] for pair in came], cause, now, None,
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, params)
        rows = sorted(cursor.fetchall())
    moved = _by_segment(rows)
    _resize({pk: len(entered) - len(left) for pk, (entered, left, _ids) in moved.items()}, now)
    listeners.tell(
        listeners.Change(pk, cause, now, len(entered), len(left), ids=ids, known=(entered, left))
        for pk, (entered, left, ids) in sorted(moved.items())
    )
    _mark(moved, is_follower=cause == Cause.CHANGE)
    return set(moved)


def _by_segment(rows: Iterable[tuple[int, int, int, str]]) -> dict[int, tuple[list[int], list[int], list[int]]]:
    """Segment id → (entered, left, ids of the changes)."""
    found: dict[int, tuple[list[int], list[int], list[int]]] = defaultdict(lambda: ([], [], []))
    for pk, segment_id, contact_id, kind in rows:
        entered, left, ids = found[segment_id]
        (entered if kind == "enter" else left).append(contact_id)
        ids.append(pk)
    return found


def _retell(origins: Mapping[Pair, str]) -> None:
    pairs = sorted(origins)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table(SegmentEntry)} AS e SET origin = o.origin"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS o (segment_id, contact_id, origin)"
            " WHERE e.segment_id = o.segment_id AND e.contact_id = o.contact_id",
            [[pair[0] for pair in pairs], [pair[1] for pair in pairs], [origins[pair] for pair in pairs]],
        )


def _mark(moved: Mapping[int, tuple[list[int], list[int], list[int]]], *, is_follower: bool) -> None:
    """Those who follow what changes decide the segments that read these themselves, in the same transaction."""
    read = keys_read(segments_too=not is_follower)
    wanted = {pk: [*entered, *left] for pk, (entered, left, _ids) in moved.items() if reader(pk) in read}
    keys = [reader(pk) for pk, ids in wanted.items() for _id in ids]
    if keys:
        people = [contact_id for ids in wanted.values() for contact_id in ids]
        dirty.mark_selected(
            "SELECT contact_id, field_key FROM unnest(%s::bigint[], %s::text[]) AS moved (contact_id, field_key)",
            [people, keys],
        )


def keys_read(*, segments_too: bool) -> set[str]:
    """What the consumers of marks read now; the segments among them, or only the others."""
    found: set[str] = set()
    for consumer in all_consumers():
        if segments_too or consumer.key != "segments":
            found |= consumer.reads()
    return found


def _resize(deltas: Mapping[int, int], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table(Segment)} AS s SET size = s.size + d.delta,"
            " fresh_at = CASE WHEN s.state = 'fresh' THEN %s ELSE s.fresh_at END"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS d (id, delta) WHERE s.id = d.id",
            [now, list(deltas), list(deltas.values())],
        )
    note_sizes(list(deltas), now)


def note_sizes(segment_ids: Sequence[int], now: datetime) -> None:
    """The sizes as they are, for the day."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table(SegmentSize)} (segment_id, day, size, counted_at)"
            f" SELECT id, %s, size, %s FROM {table(Segment)} WHERE id = ANY(%s)"
            " ON CONFLICT (segment_id, day) DO UPDATE SET size = EXCLUDED.size, counted_at = EXCLUDED.counted_at",
            [clock.local_day(now, current_tenant().time_zone), now, list(segment_ids)],
        )
