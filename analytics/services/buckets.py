"""Dirty buckets: a fact says which bucket it falls into, in its own transaction; a drain recomputes and forgets what it saw."""

from collections.abc import Iterable
from datetime import date, datetime

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import transaction
from django.db.models import Min

from analytics.models import DirtyBucket
from analytics.services import days, pushes, stages
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows
from tenants import jobs
from tenants.context import current_tenant
from tenants.locks import lock_in_transaction

LANE = "analytics"
BATCH = 200

TOPICS = {"day": days.recompute, "push": pushes.recompute, "stage": stages.recompute}


def mark(topic: str, *, days_: Iterable[date] = (), keys: Iterable[int] = ()) -> None:
    """Say that buckets of a topic changed: tenant days for `day` and `stage`, push ids for `push`."""
    now = clock.wall()
    rows = [{"topic": topic, "day": day, "key": 0, "marked_at": now} for day in set(days_)]
    rows += [{"topic": topic, "day": None, "key": key, "marked_at": now} for key in set(keys)]
    if rows:
        insert_rows(DirtyBucket, rows)
        jobs.nudge(LANE)


def tenant_day(instant: datetime) -> date:
    """The calendar day of an instant for the tenant in scope."""
    return clock.local_day(instant, current_tenant().time_zone)


def drain(deadline: datetime) -> bool:
    """Recompute dirty buckets until none is left or the deadline has passed; True when some are left."""
    while clock.wall() < deadline:
        if not recompute_some(deadline):
            return False
    return DirtyBucket.objects.exists()


def recompute_some(deadline: datetime) -> bool:
    """Recompute up to BATCH marked buckets, one transaction each, longest waiting first; False when there were none."""
    marked = DirtyBucket.objects.values("topic", "day", "key").annotate(ids=ArrayAgg("pk"), first=Min("marked_at"))
    buckets = list(marked.order_by("first")[:BATCH])
    for bucket in buckets:
        if clock.wall() >= deadline:
            break
        recompute_bucket(bucket["topic"], bucket["day"], bucket["key"], bucket["ids"])
    return bool(buckets)


def recompute_bucket(topic: str, day: date | None, key: int, seen_ids: Iterable[int] = ()) -> None:
    """Replace one bucket by what the facts say now. Marks are deleted before the facts are read.

    A fact committed after that read has its own mark, which stays.
    """
    with transaction.atomic():
        lock_in_transaction(f"rollup:{topic}:{day}:{key}")
        DirtyBucket.objects.filter(pk__in=list(seen_ids)).delete()
        TOPICS[topic](day, key)
