"""Whether opening a merchant costs the same when there are many already."""

import statistics

from django.db import connection

from benchmarks import merchants
from benchmarks.harness import Benchmark, Stopwatch, require_durable_server
from tenants.audit import SYSTEM
from tenants.context import public_scope
from tenants.models import Tenant
from tenants.provision.snapshot import snapshot
from tenants.provision.steps import provision
from tenants.services.lifecycle import create_tenant

_AROUND = 10
_FEW = "bench_few_merchants"


class ProvisionFlat(Benchmark):
    """The median of ten merchants around the 200th against that of ten around the 10th.

    Each crowd has a database of its own on one server, so that the sides take turns and whatever else the machine does meets
    both. What autovacuum would do after so many merchants is done before the first round.
    """

    name = "provision_flat"
    goal = 1.3
    baseline = "the same call, ten times, around the 10th merchant of another database of the same server"
    scale = 200
    quick_scale = 12

    def prepare(self) -> None:
        self.detail["server"] = require_durable_server()
        snapshot()
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {_FEW}")
            cursor.execute(f"CREATE DATABASE {_FEW} TEMPLATE template0")
        with merchants.database(_FEW):
            merchants.migrate_public()
            self._crowd(5)
        merchants.drop_all()
        self._crowd(max(5, self.size - _AROUND // 2))
        with public_scope():
            self.detail["merchants_before_the_late_ten"] = Tenant.objects.count()

    def measure_subject(self, round_number: int) -> float:
        return self._ten()

    def measure_baseline(self, round_number: int) -> float:
        with merchants.database(_FEW):
            return self._ten()

    def close(self) -> None:
        merchants.drop_all()
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {_FEW}")

    def _crowd(self, number: int) -> None:
        self._open(number)
        with connection.cursor() as cursor:
            for table in (
                "pg_class",
                "pg_attribute",
                "pg_type",
                "pg_index",
                "pg_constraint",
                "pg_depend",
                "pg_attrdef",
            ):
                cursor.execute(f"VACUUM ANALYZE pg_catalog.{table}")

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
