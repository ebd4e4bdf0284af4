"""Long jobs somebody waits for (exports, imports), worked off step by step on the lane "exports".

A job is a row; each step runs for a slice of time and commits its progress, so that a killed worker is resumed where the last
step stood. An app registers the kinds it starts:

    longjobs.register("contacts.export", export_step)

A step returns True when the job is finished (it has filled job.result and job.file_path). A UserError ends the job as failed
with its sentence.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants import jobs
from tenants.audit import Actor
from tenants.ledger.models import Job

logger = logging.getLogger(__name__)
LANE = "exports"
MAX_FAILURES = 3
TURN = timedelta(seconds=2)  # of one job while others wait

Step = Callable[[Job, datetime], bool]
_steps: dict[str, Step] = {}


def register(kind: str, step: Step) -> None:
    """Add a kind of job. Raises ValueError when it is taken by another."""
    if _steps.get(kind, step) is not step:
        raise ValueError(f"job kind {kind} is registered twice")
    _steps[kind] = step


def start(kind: str, title: str, *, params: dict[str, Any], by: Actor, total: int | None = None) -> Job:
    """Write the job and nudge the lane, in the caller's transaction. Raises KeyError for an unknown kind."""
    if kind not in _steps:
        raise KeyError(kind)
    job = Job.objects.create(
        kind=kind, title=title[:120], params=params, total=total, created_at=clock.now(),
        created_by_id=by.id if by.kind == "user" else None,
    )  # fmt: skip
    jobs.nudge(LANE)
    return job


def prune_files(before: datetime, limit: int) -> int:
    """Delete files of jobs that ended before a domain instant: names and phones do not lie about for longer than they are
    fetched. How many."""
    old = (
        Job.objects.filter(kind__in=list(_steps), finished_at__lt=before).exclude(file_path="").order_by("finished_at")
    )
    ended = list(old[:limit])
    for job in ended:
        (Path(settings.MEDIA_ROOT) / job.file_path).unlink(missing_ok=True)
    Job.objects.filter(pk__in=[job.pk for job in ended]).update(file_path="")
    return len(ended)


def drain(deadline: datetime) -> bool:
    """Work on open jobs in turns until the slice is over, so that none waits for the end of another's. True when work is left."""
    while (now := clock.wall()) < deadline:
        waiting = list(_open().order_by("pk"))
        if not waiting:
            return False
        share = max((deadline - now) / len(waiting), TURN)
        for job in waiting:
            _advance(job, min(clock.wall() + share, deadline))
    return _open().exists()


def count_open() -> int:
    """Jobs that are not over, for the sandbox driver."""
    return _open().count()


def _open() -> Any:
    return Job.objects.filter(kind__in=list(_steps), state__in=[Job.State.QUEUED, Job.State.RUNNING])


def _advance(job: Job, deadline: datetime) -> None:
    if job.started_at is None:
        job.started_at, job.state = clock.now(), Job.State.RUNNING
        if not _open().filter(pk=job.pk).update(started_at=job.started_at, state=job.state):
            return  # called off meanwhile
    try:
        if _steps[job.kind](job, deadline):
            _end(job, Job.State.DONE)
    except UserError as error:
        _end(job, Job.State.FAILED, error.message)
    except Exception as error:
        logger.exception("job %s (%s) failed", job.pk, job.kind)
        _count_failure(job, error)


def _end(job: Job, state: Job.State, message: str = "") -> None:
    job.state, job.finished_at, job.last_error = state, clock.now(), str(message)
    job.save(update_fields=["state", "finished_at", "last_error", "result", "file_path", "done", "total"])


@transaction.atomic
def _count_failure(job: Job, error: Exception) -> None:
    """A step that crashes is tried again; after some times the job is given up, with a sentence and the cause in the log."""
    job = Job.objects.select_for_update().get(pk=job.pk)
    failures = int(job.result.get("failures", 0)) + 1
    job.result = {**job.result, "failures": failures}
    job.last_error = _("处理时出错(%(name)s),已尝试 %(count)d 次。") % {"name": type(error).__name__, "count": failures}
    if failures >= MAX_FAILURES:
        job.state, job.finished_at = Job.State.FAILED, clock.now()
    job.save(update_fields=["state", "result", "last_error", "finished_at"])
