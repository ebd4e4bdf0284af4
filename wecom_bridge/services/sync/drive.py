"""The lane `sync`: every running run goes on from where it stands, step by step, a slice at a time."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Min, Sum
from django.utils.translation import gettext as _

from scrm.lib import clock
from tenants.ledger.models import Job
from wecom_bridge import contracts as c
from wecom_bridge.gateway import CallError, Gateway, gateway_for
from wecom_bridge.models import Corp, StagedRow, SyncRun, SyncUnit
from wecom_bridge.queries import count_written
from wecom_bridge.services.backoff import next_try
from wecom_bridge.services.errors import in_words
from wecom_bridge.services.sync import (
    customers,
    directory,
    early,
    groups,
    keeping,
    nightly,
    removals,
    repair,
    shrinking,
    unread,
    writing,
)
from wecom_bridge.services.sync.pause import Paused, is_refusal, say_paused
from wecom_bridge.services.sync.runs import drop_staged, fail
from wecom_bridge.services.sync.statistics import refresh_statistics
from wecom_bridge.services.sync.telling import tell

State = SyncRun.State
BREATH = timedelta(seconds=1)
GIVE_UP_AFTER = 6  # failures of our own in one run: about a quarter of an hour
logger = logging.getLogger(__name__)
# Each step ends by naming the next, or None while it has work left. Members and tags stand before the customers who wear them.
Step = Callable[[SyncRun, Gateway, datetime], str | None]


def drain(deadline: datetime) -> bool:
    """Begin what is due by itself, then take each running run as far as the slice goes; True when one could go on at once."""
    nightly.begin_due()
    more = repair.drain(deadline)
    for run in SyncRun.objects.select_related("corp").filter(state=State.RUNNING).order_by("id"):
        if _pause_of(run) is None:
            more = _drive(run, deadline) or more
    return more


def _drive(run: SyncRun, deadline: datetime) -> bool:
    """Steps until the slice is over or something has to wait."""
    while run.state == State.RUNNING and clock.wall() < deadline:
        step = run.step
        try:
            _advance(run, deadline)
            _say_moving(run)
        except Paused as pause:
            say_paused(run, pause)
            return False
        except CallError as error:
            say_paused(run, Paused(next_try(2, clock.wall(), error.retry_after), error))
            return False
        except Exception as error:
            logger.exception("sync run %s broke in step %s", run.pk, step)
            _note_failure(run, error)
            return False
        finally:
            show_progress(run)
        if run.step == step and clock.wall() < deadline:
            return False  # what is left waits for its time: see next_due
    return run.state == State.RUNNING


def _say_moving(run: SyncRun) -> None:
    """What stopped it is over."""
    if run.last_error and run.state != State.DONE:
        run.last_error = ""
        run.save(update_fields=["last_error"])


def _note_failure(run: SyncRun, error: Exception) -> None:
    """An error that is none of WeCom's: said and tried again, and after some times the run ends, so that another may begin."""
    failures = int(run.counts.get("failures", 0)) + 1
    run.counts = run.counts | {"failures": failures}
    if failures < GIVE_UP_AFTER:
        say_paused(run, Paused(next_try(failures, clock.wall()), CallError(in_words(error))))
        return
    fail(run, in_words(error))
    run.state, run.last_error = State.FAILED, in_words(error)


def _advance(run: SyncRun, deadline: datetime) -> None:
    following = _STEPS[run.step](run, gateway_for(run.corp, level="sync"), deadline)
    if following is not None and run.state == State.RUNNING:
        run.step = following
        run.save(update_fields=["step", "last_error"])


def _directory(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    """Departments, members, and a unit for each member who serves customers."""
    return "tags" if directory.read(run, gateway, deadline) else None


def _tags(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    following = {SyncRun.Kind.LISTS: "finish", SyncRun.Kind.FIRST: "first_page"}.get(
        SyncRun.Kind(run.kind), "customers"
    )
    if SyncUnit.objects.filter(run=run, kind="list", key="tags").exclude(state=SyncUnit.State.WAITING).exists():
        return following  # told already, by a worker that ended just then
    read_at = clock.now()
    try:
        found = gateway.get_tag_groups()
    except CallError as error:
        if run.kind != SyncRun.Kind.LISTS and not is_refusal(error):
            raise
        directory.settle_unread(run, "tags", error)
        return following
    with transaction.atomic():
        left = tell(run, "tags", c.TagsBatch(run.corp, _source(run), read_at, found, is_full=True))
        note = _("标签列表与我们的不一致,有 %(n)s 处没有改动,见差异。") % {"n": left} if left and _writes(run) else ""
        directory.settle_list(run, "tags", sum(len(group.tags) for group in found), note)
    return following


def _writes(run: SyncRun) -> bool:
    return run.kind != SyncRun.Kind.COMPARE


def _first_page(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    early.show_some(run, gateway)
    return "customers"


def _customers(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    customers.fetch(run, gateway, deadline)
    return None if customers.open_units(run, "contacts").exists() else "write"


def _write(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    if not writing.write(run, deadline):
        return None
    # A first sync compares nothing, so that nobody plans over what is staged.
    refresh_statistics(but=[StagedRow._meta.db_table] if run.kind == SyncRun.Kind.FIRST else [])
    return "group_lists"


def _group_lists(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    groups.fetch_lists(run, gateway)
    return None if customers.open_units(run, "group_list").exists() else "groups"


def _groups(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    groups.fetch(run, gateway, deadline)
    return None if customers.open_units(run, "group").exists() else "compare"


def _compare(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    """What is gone, unless so much is gone that a person must look first."""
    gone = removals.find(run, gateway)
    if not _writes(run):
        removals.list_only(run, gone)
        return "finish"
    if not gone.is_doubtful:
        return "ask_directory" if removals.apply(run, gone, gateway, deadline) else None
    run.state = State.NEEDS_CONFIRM
    run.shrink = {
        "follows": len(gone.follows),
        "groups": len(gone.groups),
        "known": gone.known,
        "emptied": gone.emptied[:50],
    }
    with transaction.atomic():
        removals.list_only(run, gone)
        run.save(update_fields=["state", "shrink"])
    return None


def _remove(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    return "ask_directory" if removals.apply(run, removals.find(run, gateway), gateway, deadline) else None


def _ask_directory(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    """Last, so that nothing else waits for the answer: whether what the directory lacks is gone."""
    doubt = shrinking.find(run)
    if not doubt:
        return "finish"
    run.state, run.shrink = State.NEEDS_CONFIRM, run.shrink | doubt
    run.save(update_fields=["state", "shrink"])
    return None


def _remove_directory(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    return "finish" if shrinking.apply(run, gateway, deadline) else None


def _finish(run: SyncRun, gateway: Gateway, deadline: datetime) -> str | None:
    now = clock.wall()
    totals, said = counts(run), unread.in_short(run)
    with transaction.atomic():
        drop_staged(run)
        SyncUnit.objects.filter(run=run, kind=SyncUnit.WRITE).delete()
        SyncRun.objects.filter(pk=run.pk).update(state=State.DONE, finished_at=now, counts=totals, last_error=said)
        if run.kind in (SyncRun.Kind.FIRST, SyncRun.Kind.RECONCILE) and unread.has_read_customers(run):
            Corp.objects.filter(pk=run.corp_id).update(last_synced_at=now, connected_at=run.corp.connected_at or now)
        if run.kind == SyncRun.Kind.LISTS:
            keeping.forget_clean_lists(run)
    run.state, run.counts, run.finished_at, run.last_error = State.DONE, totals, now, said
    return None


_STEPS: dict[str, Step] = {
    "directory": _directory,
    "tags": _tags,
    "first_page": _first_page,
    "customers": _customers,
    "write": _write,
    "group_lists": _group_lists,
    "groups": _groups,
    "compare": _compare,
    "remove": _remove,
    "ask_directory": _ask_directory,
    "remove_directory": _remove_directory,
    "finish": _finish,
}


def _source(run: SyncRun) -> c.Source:
    return "backfill" if run.kind == SyncRun.Kind.FIRST else "reconcile"


def counts(run: SyncRun) -> dict[str, object]:
    """Figures of a run for its page: units by kind and state, rows read, rows written."""
    units = SyncUnit.objects.filter(run=run)
    figures: dict[str, object] = {"applied": count_written(run)}
    figures["customers"] = units.filter(kind="contacts").aggregate(n=Sum("fetched"))["n"] or 0
    for kind in ("contacts", "group"):
        states = units.filter(kind=kind).values_list("state", flat=True)
        figures[kind] = {state: n for state in SyncUnit.State.values if (n := sum(1 for one in states if one == state))}
    figures["unknown"] = _count_unknown(run)
    return figures


def _count_unknown(run: SyncRun) -> int:
    """Relations of guides who could not be read: neither there nor gone."""
    unread = SyncUnit.objects.filter(run=run, kind="contacts", state__in=(SyncUnit.State.DENIED, SyncUnit.State.FAILED))
    userids, inventory = set(unread.values_list("key", flat=True)), c.inventory()
    if not userids or inventory is None:
        return 0
    return sum(count for userid, count in inventory.follow_counts(run.corp).items() if userid in userids)


def show_progress(run: SyncRun) -> None:
    """The job's figures: every unit counts once for reading and once for writing."""
    units = SyncUnit.objects.filter(run=run).exclude(kind__in=("group_list", "members", SyncUnit.WRITE))
    total, waiting = units.count(), units.filter(state=SyncUnit.State.WAITING).count()
    rows = units.filter(kind="contacts").aggregate(n=Sum("fetched"))["n"] or 0
    written = (
        count_written(run) / rows if rows else float(run.step not in ("directory", "tags", "first_page", "customers"))
    )
    over = run.state == State.DONE
    values: dict[str, Any] = {
        "total": total * 2,
        "done": total * 2 if over else total - waiting + int(total * min(written, 1.0)),
    }
    if over:
        values |= {"state": Job.State.DONE, "finished_at": run.finished_at, "result": run.counts, "last_error": ""}
    elif run.last_error:
        values["last_error"] = run.last_error
    Job.objects.filter(pk=run.job_id or 0).update(**values)


def _pause_of(run: SyncRun) -> datetime | None:
    """Until when the run rests, or None."""
    text = run.counts.get("paused_until")
    until = datetime.fromisoformat(text) if text else None
    return until if until and until > clock.wall() else None


def next_due() -> datetime | None:
    """The domain instant at which a run can go on, or another begins."""
    itself = [moment for moment in (nightly.next_due(), repair.next_due()) if moment]
    moments = []
    for run in SyncRun.objects.filter(state=State.RUNNING):
        waiting = SyncUnit.objects.filter(run=run, state=SyncUnit.State.WAITING)
        unit = waiting.aggregate(at=Min("next_attempt_at"))["at"]
        moments.append(max(moment for moment in (_pause_of(run), unit, clock.wall() + BREATH) if moment))
    return min([*itself, *(moment + clock.offset() for moment in moments)], default=None)
