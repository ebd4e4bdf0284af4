"""How long runs are kept: their units two weeks, what differed a season. `before` is domain time, finished_at wall time."""

from datetime import datetime

from django.db import transaction

from scrm.lib import clock
from wecom_bridge.models import DriftRow, StagedRow, SyncRun, SyncUnit

UNIT_DAYS = 14
RUN_DAYS = 90


def prune_units(before: datetime, limit: int) -> int:
    """Outcomes per member and group of runs that ended before."""
    runs = SyncRun.objects.filter(finished_at__lt=clock.to_wall(before)).values("pk")
    keys = list(SyncUnit.objects.filter(run__in=runs).order_by("id").values_list("pk", flat=True)[:limit])
    SyncUnit.objects.filter(pk__in=keys)._raw_delete(using="default")
    return len(keys)


def prune_runs(before: datetime, limit: int) -> int:
    """Runs that ended before, with what differed; the latest full one of each corp stays."""
    ended = SyncRun.objects.filter(finished_at__lt=clock.to_wall(before))
    full = SyncRun.objects.filter(kind__in=(SyncRun.Kind.FIRST, SyncRun.Kind.RECONCILE), state=SyncRun.State.DONE)
    newest = full.order_by("corp_id", "-id").distinct("corp_id").values("pk")
    keys = list(ended.exclude(pk__in=newest).order_by("id").values_list("pk", flat=True)[:limit])
    drop_runs(keys)
    return len(keys)


@transaction.atomic
def drop_runs(run_ids: list[int]) -> None:
    """Runs and all that hangs on them."""
    for model in (StagedRow, DriftRow, SyncUnit):
        model._default_manager.filter(run__in=run_ids)._raw_delete(using="default")
    SyncRun.objects.filter(pk__in=run_ids).delete()


def forget_clean_lists(run: SyncRun) -> None:
    """Of the hourly readings only the latest and those that found something are kept."""
    older = SyncRun.objects.filter(corp=run.corp_id, kind=SyncRun.Kind.LISTS, state=SyncRun.State.DONE, drift_counts={})
    older = older.filter(pk__lt=run.pk).exclude(units__state__in=(SyncUnit.State.FAILED, SyncUnit.State.DENIED))
    drop_runs(list(older.order_by("id").values_list("pk", flat=True)[:500]))
