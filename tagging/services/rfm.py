"""The stored RFM grid: asked for by a person, then computed anew each day on a lane of its own."""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from conditions import sweeps
from scrm.lib import clock
from scrm.lib.db.patience import TookTooLong, at_most
from tagging.models import RfmGrid
from tagging.rfm import Grid, measure
from tenants import audit, jobs, locks
from tenants.audit import Actor

logger = logging.getLogger(__name__)
LANE = "rfm"
EVERY = timedelta(days=1)
PATIENCE = timedelta(minutes=10)  # for each statement of a computing
ONLY = 1  # the row's id


@transaction.atomic
def request_grid(*, by: Actor) -> None:
    """Compute the grid soon. Asking twice computes once."""
    locks.lock_in_transaction(LANE)
    RfmGrid.objects.update_or_create(pk=ONLY, defaults={"due_at": clock.now()})
    audit.record("rfm.requested", by=by)
    jobs.nudge(LANE)


def stored() -> tuple[RfmGrid | None, Grid | None]:
    """The row, and the grid it holds once it was computed."""
    row = RfmGrid.objects.filter(pk=ONLY).first()
    if row is None or row.computed_at is None:
        return row, None
    cells = {(r, f): (people, money, orders) for r, f, people, money, orders in row.cells}
    return row, Grid(tuple(row.days), tuple(row.times), cells)


def is_computing(row: RfmGrid | None) -> bool:
    """Whether a computing is due and not yet done."""
    return row is not None and row.due_at is not None and row.due_at <= clock.now()


def drain(deadline: datetime) -> bool:
    """The lane: compute when it is due. Never more than once a slice. What takes too long is tried again a day later."""
    now = clock.now()
    if not RfmGrid.objects.filter(pk=ONLY, due_at__lte=now).exists():
        return False
    try:
        with at_most(PATIENCE.total_seconds()), sweeps.room():
            grid = measure(now)
    except TookTooLong:
        logger.error("the RFM grid took longer than %s; tried again in %s", PATIENCE, EVERY)
        RfmGrid.objects.filter(pk=ONLY, due_at__lte=now).update(due_at=now + EVERY)
        return False
    cells = [[r, f, *values] for (r, f), values in sorted(grid.cells.items())]
    # Asked for once more meanwhile: then it is due again.
    RfmGrid.objects.filter(pk=ONLY, due_at__lte=now).update(
        days=list(grid.days), times=list(grid.times), cells=cells, computed_at=now, due_at=now + EVERY
    )
    return False


def next_due() -> datetime | None:
    """When the next computing is due."""
    return RfmGrid.objects.filter(pk=ONLY).values_list("due_at", flat=True).first()


def count_due() -> int:
    """1 while a computing waits."""
    return RfmGrid.objects.filter(pk=ONLY, due_at__lte=clock.now()).count()
