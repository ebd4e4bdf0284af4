"""Whether opening a merchant costs the same when there are many already."""

import statistics

from benchmarks import merchants
from benchmarks.harness import Benchmark, Stopwatch, require_durable_server
from tenants.audit import SYSTEM
from tenants.context import public_scope
from tenants.models import Tenant
from tenants.provision.snapshot import snapshot
from tenants.provision.steps import provision
from tenants.services.lifecycle import create_tenant

_AROUND = 10


class ProvisionFlat(Benchmark):
    """The median of ten merchants around the 200th against that of ten around the 10th.

    The two sides cannot take turns: the crowd that makes the difference stays. So the early tens of all rounds come first,
    each removed before the next, then the crowd, then the late tens in the same way.
    """

    name = "provision_flat"
    goal = 1.3
    baseline = "the same call, ten times, around the 10th merchant of the same server"
    scale = 200
    quick_scale = 12

    def prepare(self) -> None:
        self.detail["server"] = require_durable_server()
        merchants.drop_all()
        snapshot()
        self._open(5)
        self._early = [self._ten() for _round in range(self.rounds + 1)]
        self._open(max(0, self.size - _AROUND // 2 - 5))
        with public_scope():
            self.detail["merchants_before_the_late_ten"] = Tenant.objects.count()

    def measure_subject(self, round_number: int) -> float:
        return self._ten()

    def measure_baseline(self, round_number: int) -> float:
        return self._early[round_number + 1]

    def close(self) -> None:
        merchants.drop_all()

    def _ten(self) -> float:
        """The median of opening ten, which are removed again."""
        with public_scope():
            before = set(Tenant.objects.values_list("pk", flat=True))
        median = statistics.median(self._open(_AROUND))
        merchants.drop_all(keep=before)
        return median

    def _open(self, number: int) -> list[float]:
        """Seconds of each opening."""
        spent = []
        for _merchant in range(number):
            with public_scope(), Stopwatch() as watch:
                provision(create_tenant(merchants.slug(), "x", by=SYSTEM).pk)
            spent.append(watch.seconds)
        return spent
