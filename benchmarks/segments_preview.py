"""The first count while a condition is edited, against computing the segment in full."""

from typing import ClassVar

from benchmarks import segments_world
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from benchmarks.segments_typical import save_all, typical


class Preview(Benchmark):
    """About how many, of each of twelve typical segments. How far from the truth each was, and whether within what it said, is kept."""

    name: ClassVar[str] = "preview"
    goal: ClassVar[float] = 0.1
    scale: ClassVar[int] = 1_000_000
    quick_scale: ClassVar[int] = 5_000
    baseline: ClassVar[str] = "computing the same twelve segments in full"

    def prepare(self) -> None:
        from tenants.context import tenant_scope

        self.world = segments_world.world(self.size)
        self.detail |= {"server": require_durable_server(), "errors": {}, "outside_its_margin": 0, "asked": 0}
        self.scope = lambda: tenant_scope(self.world.tenant)
        with self.scope():
            from tagging.services import segments

            segments_world.empty(forget_segments=True)
            self.named = [(name, tree) for name, tree, _sql in typical(self.world)]
            self.segments = save_all(self.named, segments.save_segment)
        self.said: dict[str, tuple[int, int, int]] = {}

    def measure_subject(self, round_number: int) -> float:
        from conditions.estimating import estimate
        from scrm.lib import clock

        with self.scope(), Stopwatch() as watch:
            for name, tree in self.named:
                found = estimate(tree, clock.now())
                self.said[name] = (found.number, found.low, found.high)
        return watch.seconds

    def measure_baseline(self, round_number: int) -> float:
        from tagging.services.segment_building import build_segment

        with self.scope():
            segments_world.empty()
            with Stopwatch() as watch:
                for segment in self.segments:
                    build_segment(segment)
        return watch.seconds

    def compare(self) -> None:
        """The error is stated as a share of everybody: what a look at a sample can know."""
        with self.scope():
            for segment in self.segments:
                segment.refresh_from_db()
                if segment.state != "fresh":
                    raise Unfair(f"{segment.name} is {segment.state}")
                number, low, high = self.said[segment.name]
                error = round(abs(number - segment.size) / self.size, 4)
                self.detail["errors"][segment.name] = max(error, self.detail["errors"].get(segment.name, 0))
                self.detail["asked"] += 1
                self.detail["outside_its_margin"] += not low <= segment.size <= high

    def close(self) -> None:
        if hasattr(self, "segments"):
            with self.scope():
                segments_world.empty(forget_segments=True)
