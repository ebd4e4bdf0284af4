"""Due hints and nudges: how work that a transaction left behind gets done soon.

The row in the tenant's schema is the intention. A hint (public row) says that a lane has some; a nudge (Celery message)
says so faster. Both come after commit and both may be lost: the scheduler resends for the hint, the sweep finds the row.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from django.db import connection, transaction

from scrm.lib import clock
from scrm.lib.queue import send
from tenants import lanes
from tenants.context import current_tenant
from tenants.models import DueHint

logger = logging.getLogger(__name__)

# How long one message speaks for all nudges of its lane. A message lost within this time costs that much delay.
WAKE_SECONDS = 15
# The same for a message that found the lane leased, in case its holder was killed and asks for nobody at its end.
HELD_SECONDS = 2

SILENT_SECONDS = 2.0  # how long a Redis that did not answer is not asked

_silent_until = 0.0  # monotonic; 0 while it answers


def nudge(lane: str, *, due_at: datetime | None = None) -> None:
    """After commit: the current tenant has work on a lane, now or at a domain instant.

    However often a transaction says so, it writes one hint for now and one for the earliest later instant per lane; a lane
    that is nudged for instants plans the following ones itself (next_due). A nudge inside a savepoint that is rolled back
    may still hint: the drain finds nothing. Raises KeyError for a lane nobody registered, so that a typo fails in the
    caller's test.
    """
    known = lanes.get(lane)
    at = clock.to_wall(due_at) if due_at else None
    hints = _hints_at_hand()
    hints.add(current_tenant().pk, known, at)
    if not connection.in_atomic_block:
        transaction.on_commit(hints, robust=True)


def nudge_every_lane(tenant_id: int) -> None:
    """After commit: look at all lanes of a tenant, because its clock moved or it came back."""
    transaction.on_commit(lambda: _hint_every_lane(tenant_id), robust=True)


def send_drain(tenant_id: int, lane: lanes.Lane) -> None:
    """Ask a worker to drain, unless a message that nobody took yet asks already. A broker that is down is no error."""
    if _claim_wake(tenant_id, lane.name):
        sent = send(lane.task, queue=lane.queue, kwargs={"tenant_id": tenant_id, "lane": lane.name})
        if not sent:
            end_wake(tenant_id, lane.name)


def end_wake(tenant_id: int, lane: str) -> None:
    """A drain begins: nudges from here on need a message of their own."""
    _ask(lambda: _redis().delete(_wake_key(tenant_id, lane)))  # else it expires by itself


def is_waiting(queue: str) -> bool:
    """Whether a message of a queue waits for a process: work of less haste makes room. False while Redis does not say."""
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
    return bool(_ask(lambda: _redis().llen(f"{prefix}{queue}")))


def wait_for_holder(tenant_id: int, lane: str) -> None:
    """A message found the lane leased: its holder looks again at the end, so the next moments' nudges need no message."""
    _ask(lambda: _redis().expire(_wake_key(tenant_id, lane), HELD_SECONDS))


@contextmanager
def own_nudges(tenant_id: int, lane: lanes.Lane, seen: list[int]) -> Iterator[None]:
    """Around a drain that looks again: what it nudges on its own lane is written as a hint, in case it is killed, and forgotten
    with the others that it saw; nobody is woken for it."""
    if not lane.looks_again:
        yield
        return
    token = _drained.set((tenant_id, lane.name, seen))
    try:
        yield
    finally:
        _drained.reset(token)


_drained: ContextVar[tuple[int, str, list[int]] | None] = ContextVar("drained_lane", default=None)


class _Hints:
    """What one transaction leaves due, written in one statement when it has committed."""

    def __init__(self) -> None:
        self.written = False
        self._now: dict[tuple[int, str], lanes.Lane] = {}
        self._later: dict[tuple[int, str], datetime] = {}

    def add(self, tenant_id: int, lane: lanes.Lane, at: datetime | None) -> None:
        key = (tenant_id, lane.name)
        if at is None or at <= clock.wall():
            self._now[key] = lane
        else:
            self._later[key] = min(at, self._later.get(key, at))

    def __call__(self) -> None:
        self.written = True
        due = [(key, clock.wall()) for key in self._now] + list(self._later.items())
        made = DueHint.objects.bulk_create(
            [DueHint(tenant_id=tenant_id, lane=lane, due_at=at) for (tenant_id, lane), at in due]
        )
        drained_tenant, drained_lane, seen = _drained.get() or (0, "", [])
        for ((tenant_id, name), lane), hint in zip(self._now.items(), made, strict=False):
            if (tenant_id, name) == (drained_tenant, drained_lane):
                seen.append(hint.pk)
            else:
                send_drain(tenant_id, lane)


def _hints_at_hand() -> _Hints:
    """Those of the transaction at hand, else new ones. They hang on the transaction itself, whichever savepoint came first."""
    hooks: list[Any] = connection.run_on_commit  # (savepoints, hook, robust)
    for _savepoints, hook, _robust in hooks:
        if isinstance(hook, _Hints) and not hook.written:
            return hook
    hints = _Hints()
    if connection.in_atomic_block:
        hooks.append((set(), hints, True))
    return hints


def _hint_every_lane(tenant_id: int) -> None:
    now = clock.wall()
    every = lanes.all_lanes()
    DueHint.objects.bulk_create([DueHint(tenant_id=tenant_id, lane=lane.name, due_at=now) for lane in every])
    for lane in every:
        send_drain(tenant_id, lane)


def _claim_wake(tenant_id: int, lane: str) -> bool:
    """False also while Redis is away: it is the broker too, and the hint stays due."""
    return bool(_ask(lambda: _redis().set(_wake_key(tenant_id, lane), 1, nx=True, ex=WAKE_SECONDS)))


def _ask(question: Callable[[], Any]) -> Any:
    """What Redis answers; None while it is away. Then one caller in SILENT_SECONDS waits for its time-out, not every page."""
    global _silent_until
    if _silent_until:
        if time.monotonic() < _silent_until:
            return None
        _silent_until = time.monotonic() + SILENT_SECONDS
    try:
        answer = question()
    except redis.RedisError:
        _silent_until = time.monotonic() + SILENT_SECONDS
        return None
    _silent_until = 0.0
    return answer


@lru_cache(maxsize=1)
def _redis() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def _wake_key(tenant_id: int, lane: str) -> str:
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
    return f"{prefix}wake:{tenant_id}:{lane}"
