"""What one changed customer costs with 200 segments in use: against computing those that read the change, and among many or few people."""

import random
from abc import abstractmethod
from typing import Any, ClassVar

from benchmarks import segments_world
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from benchmarks.segments_typical import save_all

LIVE, READ_TAGS, CHANGES = 200, 20, 10
FEW = 10_000


def two_hundred(world: segments_world.World) -> list[tuple[str, dict[str, Any]]]:
    """200 segments as a merchant comes by them over the years, of which 20 read tags; a twentieth are within others' reach of time."""
    dice = random.Random(7)
    named = []
    for number in range(LIVE):
        of_tags = number % (LIVE // READ_TAGS) == 0
        parts = [_about_tags(world, dice) if of_tags else _about_else(world, dice)]
        parts.append({"field": "contact.store", "op": "in", "value": dice.sample(world.stores, 5)})
        named.append((f"人群{number}{'按标签' if of_tags else ''}", {"version": 1, "root": {"all": parts}}))
    return named


def _about_tags(world: segments_world.World, dice: random.Random) -> dict[str, Any]:
    return {"field": "tag", "op": dice.choice(("any", "none")), "value": dice.sample(world.tags, 3)}


def _about_else(world: segments_world.World, dice: random.Random) -> dict[str, Any]:
    days = dice.choice((30, 60, 90, 180))
    return dice.choice(
        (
            {"field": "contact.stage", "op": "in", "value": dice.sample(world.stages, 2)},
            {"field": "contact.first_added_at", "op": "within", "window": {"days": days}},
            {"field": "order", "op": "count_at_least", "value": 1, "window": {"days": days}},
            {"field": "order", "op": "last_older_than", "value": days},
            {"field": "event.push.sent", "op": "count_at_least", "value": 2, "window": {"days": days}},
            {"field": "follow.member", "op": "any", "value": dice.sample(world.members, 2)},
        )
    )


class Merchant:
    """A world with its 200 segments computed."""

    def __init__(self, size: int) -> None:
        from django.db import connection

        from tagging.services import segments
        from tagging.services.segment_building import build_segment

        self.world = segments_world.world(size)
        self.dice = random.Random(size)
        with self.inside():
            segments_world.empty(forget_segments=True)
            self.segments = save_all(two_hundred(self.world), segments.save_segment)
            for segment in self.segments:
                build_segment(segment)
            with connection.cursor() as cursor:
                cursor.execute("VACUUM (ANALYZE) tagging_segmententry, tagging_segmentchange, conditions_dirtymark")
            self._first = self._people().earliest("pk").pk

    def inside(self) -> Any:
        """Its scope."""
        from tenants.context import tenant_scope

        return tenant_scope(self.world.tenant)

    def _people(self) -> Any:
        from contacts.models import Contact

        return Contact.objects

    def change_one(self) -> float:
        """A guide takes a mark off a customer or puts one on; seconds until every segment says so."""
        from conditions import dirty
        from conditions.drain import drain_batch
        from conditions.models import DirtyMark
        from tagging.models import FollowTag

        person = self._first + self.dice.randrange(self.world.size)
        mark = FollowTag.objects.filter(contact_id=person).first()
        FollowTag.objects.filter(pk=mark.pk).update(state="removing" if mark.state == "on" else "on")
        dirty.mark([person], "tag")
        with Stopwatch() as watch:
            while drain_batch():
                pass
        if DirtyMark.objects.filter(not_before__isnull=True).exists():
            raise Unfair("marks are left")
        return watch.seconds

    def changes(self) -> float:
        """Seconds for one of several changes, the middle one."""
        with self.inside():
            return sorted(self.change_one() for _number in range(CHANGES))[CHANGES // 2]


class _Following(Benchmark):
    scale: ClassVar[int] = 1_000_000
    quick_scale: ClassVar[int] = 2_000

    def prepare(self) -> None:
        self.many = Merchant(self.size)
        self.detail |= {"server": require_durable_server(), "segments": LIVE, "changes": CHANGES}

    def measure_subject(self, round_number: int) -> float:
        return self.many.changes()

    @abstractmethod
    def measure_baseline(self, round_number: int) -> float: ...

    def close(self) -> None:
        if hasattr(self, "many"):
            with self.many.inside():
                segments_world.empty(forget_segments=True)


class SegmentIncremental(_Following):
    """One customer's tag changes: the 20 segments that read tags decide her anew."""

    name: ClassVar[str] = "segment_incremental"
    goal: ClassVar[float] = 0.002
    baseline: ClassVar[str] = "computing in full the 20 of 200 segments that read tags"

    def measure_baseline(self, round_number: int) -> float:
        from tagging.models import SegmentChange
        from tagging.services.segment_building import build_segment

        with self.many.inside():
            before = SegmentChange.objects.count()
            readers = [segment for segment in self.many.segments if "tag" in segment.field_keys]
            with Stopwatch() as watch:
                for segment in readers:
                    build_segment(segment)
            if len(readers) != READ_TAGS or SegmentChange.objects.count() != before:
                raise Unfair("the increments had left something to do")
        return watch.seconds


class SegmentFlat(_Following):
    """The same change among a hundredth of the people."""

    name: ClassVar[str] = "segment_flat"
    goal: ClassVar[float] = 1.5
    baseline: ClassVar[str] = "the same change of a merchant with 10,000 customers and as many segments"

    def prepare(self) -> None:
        self.few = Merchant(FEW if self.size > FEW else self.size // 10)
        super().prepare()

    def measure_baseline(self, round_number: int) -> float:
        return self.few.changes()

    def close(self) -> None:
        super().close()
        if hasattr(self, "few"):
            with self.few.inside():
                segments_world.empty(forget_segments=True)
