"""Whether a tick of the scheduler costs the merchants with due work, or all there are."""

from typing import ClassVar

import redis
from django.conf import settings
from django.db import connection

from benchmarks import merchants
from benchmarks.harness import Benchmark, Stopwatch, Unfair, require_durable_server
from scrm.lib import clock
from tenants import scheduler
from tenants.context import public_scope
from tenants.models import DueHint, LaneLease, Tenant, new_schema_name

_FEW, _FEW_NAME = 10, "bench_few_ticks"
_DUE = 2
_TICKS = 60  # a minute of them: one looks for new merchants
_LANE = "inbound"


class TickIdleTenants(Benchmark):
    """A minute of ticks with many merchants of whom two have due work, against ten of whom two have.

    Shared rows only: tenants, leases and hints, no schemas. The rolling sweep has just been round: its visits are spread over ten
    minutes and grow with the merchants by design.
    """

    name: ClassVar[str] = "tick_idle_tenants"
    goal: ClassVar[float] = 1.3
    baseline: ClassVar[str] = (
        "the same ticks with 10 merchants of whom 2 have due work, in another database of the same server"
    )
    scale: ClassVar[int] = 1_000
    quick_scale: ClassVar[int] = 100

    def prepare(self) -> None:
        self.detail |= {"server": require_durable_server(), "ticks": _TICKS, "due": _DUE}
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {_FEW_NAME}")
            cursor.execute(f"CREATE DATABASE {_FEW_NAME} TEMPLATE template0")
        with merchants.database(_FEW_NAME):
            merchants.migrate_public()
            _crowd(_FEW)
        merchants.drop_all()
        _crowd(self.size)

    def measure_subject(self, round_number: int) -> float:
        return self._minute("subject")

    def measure_baseline(self, round_number: int) -> float:
        with merchants.database(_FEW_NAME):
            return self._minute("baseline")

    def _minute(self, side: str) -> float:
        """Seconds of a minute's ticks, one after the other."""
        with public_scope():
            LaneLease.objects.update(visited_at=clock.wall())
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE tenants_lanelease")
        _empty_queue()
        loop = scheduler.Scheduler()
        with Stopwatch() as watch:
            for _tick in range(_TICKS):
                loop.tick()
        self.detail[f"messages_{side}"] = _empty_queue()
        return watch.seconds

    def compare(self) -> None:
        """Both asked for the same drains."""
        if self.detail["messages_subject"] != self.detail["messages_baseline"]:
            raise Unfair(f"{self.detail['messages_subject']} messages against {self.detail['messages_baseline']}")

    def close(self) -> None:
        merchants.drop_all()
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {_FEW_NAME}")


def _crowd(number: int) -> None:
    """Merchants, a lease row for each lane of each, and two with a due hint."""
    now = clock.wall()
    with public_scope():
        rows = Tenant.objects.bulk_create(
            Tenant(slug=merchants.slug(), name="x", schema_name=new_schema_name(), state="active", created_at=now)
            for _merchant in range(number)
        )
        scheduler.add_missing_pairs()
        DueHint.objects.bulk_create(DueHint(tenant_id=row.pk, lane=_LANE, due_at=now) for row in rows[:_DUE])


def _empty_queue() -> int:
    """Messages on the lane's queue, taken away with the keys that mark them as sent."""
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        count = int(client.llen(f"{prefix}{_LANE}"))  # type: ignore[arg-type]  # redis-py types answers for its asyncio client too
        for key in [f"{prefix}{_LANE}", *client.scan_iter(f"{prefix}wake:*")]:
            client.delete(key)
    return count
