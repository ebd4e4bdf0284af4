"""Due hints and nudges: how work that a transaction left behind gets done soon.

The row in the tenant's schema is the intention. A hint (public row) says that a lane has some; a nudge (Celery message)
says so faster. Both come after commit and both may be lost: the scheduler resends for the hint, the sweep finds the row.
"""

import logging
from datetime import datetime
from functools import lru_cache

import redis
from django.conf import settings
from django.db import transaction

from scrm.lib import clock
from scrm.lib.queue import send
from tenants import lanes
from tenants.context import current_tenant
from tenants.models import DueHint

logger = logging.getLogger(__name__)

# How long one message speaks for all nudges of its lane. A message lost within this time costs that much delay.
WAKE_SECONDS = 15


def nudge(lane: str, *, due_at: datetime | None = None) -> None:
    """After commit: the current tenant has work on a lane, now or at a domain instant.

    Raises KeyError for a lane nobody registered, so that a typo fails in the caller's test.
    """
    known = lanes.get(lane)
    tenant_id = current_tenant().pk
    at = clock.to_wall(due_at) if due_at else None
    transaction.on_commit(lambda: _hint(tenant_id, known, at), robust=True)


def nudge_every_lane(tenant_id: int) -> None:
    """After commit: look at all lanes of a tenant, because its clock moved or it came back."""
    transaction.on_commit(lambda: _hint_every_lane(tenant_id), robust=True)


def send_drain(tenant_id: int, lane: lanes.Lane) -> None:
    """Ask a worker to drain, unless a message that nobody took yet asks already. A broker that is down is no error."""
    if _claim_wake(tenant_id, lane.name):
        sent = send("tenants.drain_lane", queue=lane.queue, kwargs={"tenant_id": tenant_id, "lane": lane.name})
        if not sent:
            end_wake(tenant_id, lane.name)


def end_wake(tenant_id: int, lane: str) -> None:
    """A drain begins: nudges from here on need a message of their own."""
    try:
        _redis().delete(_wake_key(tenant_id, lane))
    except redis.RedisError:
        pass  # it expires by itself


def _hint(tenant_id: int, lane: lanes.Lane, at: datetime | None) -> None:
    now = clock.wall()
    DueHint.objects.create(tenant_id=tenant_id, lane=lane.name, due_at=max(at, now) if at else now)
    if at is None or at <= now:
        send_drain(tenant_id, lane)


def _hint_every_lane(tenant_id: int) -> None:
    now = clock.wall()
    every = lanes.all_lanes()
    DueHint.objects.bulk_create([DueHint(tenant_id=tenant_id, lane=lane.name, due_at=now) for lane in every])
    for lane in every:
        send_drain(tenant_id, lane)


def _claim_wake(tenant_id: int, lane: str) -> bool:
    try:
        return bool(_redis().set(_wake_key(tenant_id, lane), 1, nx=True, ex=WAKE_SECONDS))
    except redis.RedisError:
        return True


@lru_cache(maxsize=1)
def _redis() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def _wake_key(tenant_id: int, lane: str) -> str:
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
    return f"{prefix}wake:{tenant_id}:{lane}"
