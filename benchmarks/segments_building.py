"""Twelve typical segments computed in full by the product, against the SQL that somebody would write for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from benchmarks import segments_world
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from benchmarks.segments_typical import save_all, typical

_ENTRIES = "INSERT INTO tagging_segmententry (segment_id, contact_id, entered_at) SELECT {pk}, found.id, %(now)s FROM ({sql}) AS found (id)"
_CHANGES = (
    "INSERT INTO tagging_segmentchange (segment_id, contact_id, kind, cause, tree_version, changed_at)"
    " SELECT segment_id, contact_id, 'enter', 'build', 1, entered_at FROM tagging_segmententry WHERE segment_id = {pk}"
)


class SegmentSql(Benchmark):
    """Both sides begin without entries, changes and boundaries; ours also keeps the boundaries in time, the job and the state."""

    name: ClassVar[str] = "segment_sql"
    goal: ClassVar[float] = 1.25
    scale: ClassVar[int] = 1_000_000
    quick_scale: ClassVar[int] = 5_000
    baseline: ClassVar[str] = "hand-written SQL filling the same entries and changes"

    def prepare(self) -> None:
        self.world = segments_world.world(self.size)
        self.detail["server"] = require_durable_server()
        self.detail["seconds_each"] = {}
        with self._inside():
            from tagging.services import segments

            segments_world.empty(forget_segments=True)
            rows = typical(self.world)
            self.segments = save_all([(name, tree) for name, tree, _sql in rows], segments.save_segment)
            self.by_hand = [sql for _name, _tree, sql in rows]
        self.found: dict[str, list[int]] = {}

    def measure_subject(self, round_number: int) -> float:
        from tagging.services.segment_building import build_segment

        spent = self.detail["seconds_each"]["subject"] = {}
        with self._inside():
            segments_world.empty()
            with Stopwatch() as watch:
                for segment in self.segments:
                    with Stopwatch() as one:
                        build_segment(segment)
                    spent[segment.name] = round(one.seconds, 3)
            self.found["subject"] = self._counted()
        return watch.seconds

    def measure_baseline(self, round_number: int) -> float:
        from django.db import connection, transaction

        spent = self.detail["seconds_each"]["yardstick"] = {}
        with self._inside():
            segments_world.empty()
            with Stopwatch() as watch:
                for segment, sql in zip(self.segments, self.by_hand, strict=True):
                    with Stopwatch() as one, transaction.atomic(), connection.cursor() as cursor:
                        cursor.execute(_ENTRIES.format(pk=segment.pk, sql=sql), {"now": self.world.now})
                        cursor.execute(_CHANGES.format(pk=segment.pk))
                    spent[segment.name] = round(one.seconds, 3)
            self.found["yardstick"] = self._counted()
        return watch.seconds

    def _counted(self) -> list[tuple[int, str]]:
        """Of each segment how many people, and the digest of who they are."""
        from tagging.models import SegmentChange, SegmentEntry

        entries = [self._digest(SegmentEntry, segment) for segment in self.segments]
        if [self._digest(SegmentChange, segment) for segment in self.segments] != entries:
            raise Unfair("not every entry has its change")
        return entries

    @staticmethod
    def _digest(model: Any, segment: Any) -> tuple[int, str]:
        from django.db import connection

        table = model._meta.db_table
        sql = f"SELECT count(*), coalesce(md5(string_agg(contact_id::text, ',' ORDER BY contact_id)), '') FROM {table} WHERE segment_id = %s"
        with connection.cursor() as cursor:
            cursor.execute(sql, [segment.pk])
            count, digest = cursor.fetchone()
        return count, digest

    def compare(self) -> None:
        self.detail["entries"] = self.found["subject"]
        if self.found["subject"] != self.found["yardstick"] or not any(
            count for count, _digest in self.found["subject"]
        ):
            raise Unfair(f"not the same people: {self.found}")

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """The merchant at one instant: while the clock goes on, somebody's thirty days would end between one side and the other."""
        from scrm.lib import clock
        from tenants.context import tenant_scope

        goes_on, now = clock.now, self.world.now
        clock.now = lambda: now
        try:
            with tenant_scope(self.world.tenant):
                yield
        finally:
            clock.now = goes_on
