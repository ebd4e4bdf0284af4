"""Looking at segments: why one customer is in, against a point read of her page."""

import random
from typing import ClassVar

from benchmarks import people, segments_world
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from benchmarks.segments_typical import typical

LOOKS = 12


class ExplainOne(Benchmark):
    """Every clause of a typical segment for one customer, with the facts, as the page 为什么 reads it. Reported: the page is the measure."""

    name: ClassVar[str] = "explain_one"
    goal: ClassVar[float] = 1
    scale: ClassVar[int] = 1_000_000
    quick_scale: ClassVar[int] = 5_000
    baseline: ClassVar[str] = "the same customer's page"

    def prepare(self) -> None:
        from contacts.models import Contact
        from tenants.context import tenant_scope

        self.world = segments_world.world(self.size)
        self.detail |= {"server": require_durable_server(), "looks": LOOKS}
        self.trees = [tree for _name, tree, _sql in typical(self.world)]
        self.client = people.log_in(self.world.tenant)
        with tenant_scope(self.world.tenant):
            first = Contact.objects.earliest("pk").pk
        dice = random.Random(3)
        self.rounds_ids = [[first + dice.randrange(self.size) for _ in range(LOOKS)] for _round in range(50)]

    def measure_subject(self, round_number: int) -> float:
        from conditions.explain import explain
        from conditions.registry import Asker
        from scrm.lib import clock
        from tenants.context import tenant_scope

        asker = Asker(frozenset({"tags.view", "orders.view", "contacts.view", "segments.view"}), frozenset())
        with tenant_scope(self.world.tenant), Stopwatch() as watch:
            for tree, pk in zip(self.trees, self.rounds_ids[round_number], strict=True):
                if not explain(tree, pk, clock.now(), asker):
                    raise Unfair("nothing explained")
        return watch.seconds / LOOKS

    def measure_baseline(self, round_number: int) -> float:
        with Stopwatch() as watch:
            pages = [self.client.get(f"/contacts/{pk}/") for pk in self.rounds_ids[round_number]]
        if any(page.status_code != 200 for page in pages):
            raise Unfair(f"answered {[page.status_code for page in pages]}")
        return watch.seconds / LOOKS
