"""Due hints and nudges: how work that a transaction left behind gets done soon.

The row in the tenant's schema is the intention. A hint (public row) says that a lane has some; a nudge (Celery message)
says so faster. Both come after commit and both may be lost: the sweep finds the row.
"""

import logging
from datetime import datetime

from django.db import transaction

from scrm.lib import clock
from scrm.lib.queue import send
from tenants import lanes
from tenants.context import current_tenant
from tenants.models import DueHint

logger = logging.getLogger(__name__)


def nudge(lane: str, *, due_at: datetime | None = None) -> None:
    """After commit: the current tenant has work on a lane, now or at a domain instant.

    Raises KeyError for a lane nobody registered, so that a typo fails in the caller's test.
    """
    known = lanes.get(lane)
    tenant_id = current_tenant().pk
    at = clock.to_wall(due_at) if due_at else None
    transaction.on_commit(lambda: _hint(tenant_id, known, at))


def _hint(tenant_id: int, lane: lanes.Lane, at: datetime | None) -> None:
    now = clock.wall()
    DueHint.objects.create(tenant_id=tenant_id, lane=lane.name, due_at=max(at, now) if at else now)
    if at is None or at <= now:
        send_drain(tenant_id, lane)


def send_drain(tenant_id: int, lane: lanes.Lane) -> None:
    """Ask a worker to drain; a broker that is down is no error, the hint remains."""
    send("tenants.drain_lane", queue=lane.queue, kwargs={"tenant_id": tenant_id, "lane": lane.name})
