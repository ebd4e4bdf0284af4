"""A sync run: begun once, however often somebody clicks; confirmed by a person where much would vanish."""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants import audit, jobs
from tenants.audit import Actor
from tenants.ledger.models import Job
from wecom_bridge.models import Corp, SyncRun, SyncUnit

LANE = "sync"
JOB_KIND = "wecom.sync"
LISTS = ("directory", "tags")


def start_sync(corp: Corp, *, by: Actor) -> SyncRun:
    """Begin a full read, or return the one under way. The first run of a corp writes history as `backfill`."""
    try:
        with transaction.atomic():
            return _begin(corp, by)
    except IntegrityError:
        return SyncRun.objects.get(corp=corp, state__in=(SyncRun.State.RUNNING, SyncRun.State.NEEDS_CONFIRM))


def _begin(corp: Corp, by: Actor) -> SyncRun:
    now = clock.wall()
    kind = "reconcile" if corp.last_synced_at else "first"
    run = SyncRun.objects.create(corp=corp, kind=kind, step=LISTS[0], started_at=now)
    title = _("核对企业微信数据:%(name)s") if corp.last_synced_at else _("首次同步:%(name)s")
    job = Job.objects.create(
        kind=JOB_KIND,
        state=Job.State.RUNNING,
        title=(title % {"name": corp.name})[:120],
        params={"run": run.pk},
        created_by_id=by.id,
        created_at=now,
        started_at=now,
    )
    run.job_id = job.pk
    run.save(update_fields=["job_id"])
    SyncUnit.objects.bulk_create([SyncUnit(run=run, kind="list", key=name) for name in LISTS])
    audit.record("sync.started", run, by=by, corp=corp.corp_id, kind=kind)
    jobs.nudge(LANE)
    return run


@transaction.atomic
def decide(run_id: int, *, remove: bool, by: Actor) -> SyncRun:
    """A person looked at what would vanish: remove it, or leave everything as it is. Raises Conflict when it is decided."""
    run = SyncRun.objects.select_for_update().get(pk=run_id)
    if run.state != SyncRun.State.NEEDS_CONFIRM:
        raise Conflict(_("这次同步已经处理过了,请刷新页面查看结果。"))
    run.state, run.step = SyncRun.State.RUNNING, "remove" if remove else "finish"
    run.save(update_fields=["state", "step"])
    audit.record("sync.confirmed" if remove else "sync.kept", run, by=by, **run.shrink)
    jobs.nudge(LANE)
    return run


def fail(run: SyncRun, reason: str) -> None:
    """The run cannot go on; what it wrote stays."""
    now = clock.wall()
    with transaction.atomic():
        SyncRun.objects.filter(pk=run.pk).update(state=SyncRun.State.FAILED, last_error=reason[:500], finished_at=now)
        Job.objects.filter(pk=run.job_id or 0).update(state=Job.State.FAILED, last_error=reason[:500], finished_at=now)
