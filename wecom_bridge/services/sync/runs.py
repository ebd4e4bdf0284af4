"""A sync run: begun once, however often somebody clicks; confirmed by a person where much would vanish."""

from datetime import date

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants import audit, jobs
from tenants.audit import Actor
from tenants.ledger.models import Job
from wecom_bridge.models import Corp, StagedRow, SyncRun, SyncUnit

LANE = "sync"
JOB_KIND = "wecom.sync"
LISTS = ("follow_users", "departments", "members", "tags")
FIRST_STEP = "directory"

State, Kind = SyncRun.State, SyncRun.Kind


def start_sync(corp: Corp, *, by: Actor, compare_only: bool = False, night: date | None = None) -> SyncRun:
    """Begin a full read, or return the one under way. The first run of a corp writes history as `backfill`.

    compare_only: list what differs and write none of it. night: the tenant's day whose nightly reconciliation this is.
    """
    corp.refresh_from_db(fields=["last_synced_at"])
    kind = Kind.COMPARE if compare_only else Kind.RECONCILE if corp.last_synced_at else Kind.FIRST
    try:
        with transaction.atomic():
            return _begin(corp, kind, by, night)
    except IntegrityError:
        full = SyncRun.objects.filter(corp=corp).exclude(kind=Kind.LISTS)
        under_way = full.filter(state__in=(State.RUNNING, State.NEEDS_CONFIRM)).first()
        return under_way or full.get(night=night)  # or this night's, over already


def _begin(corp: Corp, kind: str, by: Actor, night: date | None) -> SyncRun:
    run = _create(corp, kind, night)
    title = {
        Kind.FIRST: _("首次同步:%(name)s"),
        Kind.RECONCILE: _("核对企业微信数据:%(name)s"),
        Kind.COMPARE: _("比对企业微信数据:%(name)s"),
    }[Kind(kind)]
    job = Job.objects.create(
        kind=JOB_KIND,
        state=Job.State.RUNNING,
        title=(title % {"name": corp.name})[:120],
        params={"run": run.pk},
        created_by_id=by.id,
        created_at=run.started_at,
        started_at=run.started_at,
    )
    run.job_id = job.pk
    run.save(update_fields=["job_id"])
    audit.record("sync.started", run, by=by, corp=corp.corp_id, kind=kind)
    jobs.nudge(LANE)
    return run


def _create(corp: Corp, kind: str, night: date | None = None) -> SyncRun:
    run = SyncRun.objects.create(
        corp=corp, kind=kind, step=FIRST_STEP, started_at=clock.wall(), read_at=clock.now(), night=night
    )
    SyncUnit.objects.bulk_create([SyncUnit(run=run, kind="list", key=name) for name in LISTS])
    return run


def start_lists(corp: Corp) -> SyncRun | None:
    """Begin the hourly reading of members, departments and tags; None when it is under way."""
    try:
        with transaction.atomic():
            return _create(corp, Kind.LISTS)
    except IntegrityError:
        return None


# The step in which a run asks → (if it is gone: the next step and the audit log's word; if it stays: the same; what it is about).
_QUESTIONS = {
    "compare": (
        ("remove", "sync.confirmed"),
        ("ask_directory", "sync.kept"),
        ("follows", "groups", "known", "emptied"),
    ),
    "ask_directory": (
        ("remove_directory", "sync.directory_confirmed"),
        ("finish", "sync.directory_kept"),
        ("members", "guides", "departments", "who"),
    ),
}


@transaction.atomic
def decide(run_id: int, *, remove: bool, by: Actor, about: str = "compare") -> SyncRun:
    """A person looked at what would vanish: remove it, or leave everything as it is.

    about: the step whose question she saw. Raises Conflict when that one is decided.
    """
    run = SyncRun.objects.select_for_update().get(pk=run_id)
    if run.state != State.NEEDS_CONFIRM or run.step != about:
        raise Conflict(_("这次同步已经处理过了,请刷新页面查看结果。"))
    gone, stays, columns = _QUESTIONS[about]
    following, action = gone if remove else stays
    run.state, run.step = State.RUNNING, following
    run.save(update_fields=["state", "step"])
    audit.record(action, run, by=by, **{name: run.shrink[name] for name in columns if name in run.shrink})
    jobs.nudge(LANE)
    return run


def fail(run: SyncRun, reason: str) -> None:
    """The run cannot go on; what it wrote stays, what it only staged goes."""
    now = clock.wall()
    with transaction.atomic():
        drop_staged(run)
        SyncRun.objects.filter(pk=run.pk).update(state=State.FAILED, last_error=reason[:500], finished_at=now)
        Job.objects.filter(pk=run.job_id or 0).update(state=Job.State.FAILED, last_error=reason[:500], finished_at=now)


def drop_staged(run: SyncRun) -> None:
    """What pages brought is needed no longer."""
    StagedRow.objects.filter(run=run)._raw_delete(using="default")
