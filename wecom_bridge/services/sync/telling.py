"""A batch told to the handlers, and what it differed in kept first. Everything inside the caller's transaction.

A first sync fills an empty house: nothing is compared. A compare-only run tells nobody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.comparing import Difference, find_differences
from wecom_bridge.models import DriftRow, InboundEvent, SyncRun

KEEP = 1_000  # rows of an entity in one run; all are counted
TOGETHER = 1_000
_PREFIX = {"follow": "p", "contact": "p", "group": "g", "group_member": "g", "member": "m"}
_WHOLE = {"tag": "t:all", "department": "d:all"}

Found = dict[tuple[str, str], Difference]


def tell(run: SyncRun, kind: c.BatchKind, batch: Any) -> int:
    """Compare, tell, look again. The number of differences that are still there."""
    if run.kind == SyncRun.Kind.FIRST:
        _hand_over(kind, batch)
        return 0
    found = without_open_events(run.corp_id, find_differences(kind, batch))
    if run.kind == SyncRun.Kind.COMPARE:
        note(run, found.values())
        return len(found)
    _hand_over(kind, batch)
    if not found:
        return 0
    left = find_differences(kind, _narrow(kind, batch, found))
    note(run, found.values(), left=left)
    return sum(key in left for key in found)


def _hand_over(kind: c.BatchKind, batch: Any) -> None:
    for handler in c.handlers_for(kind):
        handler(batch)


def _narrow(kind: c.BatchKind, batch: Any, found: Found) -> Any:
    """The batch without what did not differ, so that looking again costs little."""
    ids = {key.partition("/")[0] for _entity, key in found}
    if kind == "people":
        return replace(batch, rows=[row for row in batch.rows if row.person.external_userid in ids])
    if kind == "groups":
        return replace(batch, groups=[group for group in batch.groups if group.chat_id in ids])
    return batch


def without_open_events(corp_id: int, found: Found) -> Found:
    """What an event that waits in the inbox will bring anyway is no drift."""
    keys = {one: f"{corp_id}:{_entity_of(*one)}" for one in found}
    waiting: set[str] = set()
    wanted = sorted(set(keys.values()))
    for start in range(0, len(wanted), TOGETHER):
        rows = InboundEvent.objects.filter(
            entity_key__in=wanted[start : start + TOGETHER],
            state__in=(InboundEvent.State.WAITING, InboundEvent.State.RETRY),
        )
        waiting |= set(rows.values_list("entity_key", flat=True))
    return {one: difference for one, difference in found.items() if keys[one] not in waiting}


def _entity_of(entity: str, key: str) -> str:
    """As events name what is dirty (callbacks/parsing.py)."""
    return _WHOLE.get(entity) or f"{_PREFIX[entity]}:{key.partition('/')[0]}"


def note(run: SyncRun, found: Iterable[Difference], *, left: Iterable[tuple[str, str]] | None = None) -> None:
    """Keep what was found, up to KEEP rows of an entity, with the true count. left: what is still different; None: all of it."""
    differences = list(found)
    if not differences:
        return
    counts = dict(SyncRun.objects.select_for_update().values_list("drift_counts", flat=True).get(pk=run.pk))
    now, rows = clock.wall(), []
    still = None if left is None else set(left)
    for one in differences:
        is_repaired = still is not None and (one.entity, one.key) not in still
        figures = counts[one.entity] = dict(counts.get(one.entity, {}))
        if _total(figures) < KEEP:
            rows.append(_row(run, one, now, now if is_repaired else None))
        figures[one.kind] = figures.get(one.kind, 0) + 1
        figures["repaired"] = figures.get("repaired", 0) + is_repaired
    DriftRow.objects.bulk_create(rows, batch_size=TOGETHER)
    save_counts(run, counts)


def _row(run: SyncRun, one: Difference, found_at: datetime, repaired_at: datetime | None) -> DriftRow:
    row = DriftRow(run=run, entity=one.entity, key=one.key[:130], kind=one.kind, before=one.before, after=one.after)
    row.found_at, row.repaired_at = found_at, repaired_at
    return row


def save_counts(run: SyncRun, counts: Mapping[str, Any]) -> None:
    """Write the figures of a run that is locked."""
    run.drift_counts = dict(counts)
    SyncRun.objects.filter(pk=run.pk).update(drift_counts=run.drift_counts)


def _total(figures: Mapping[str, int]) -> int:
    return sum(count for name, count in figures.items() if name != "repaired")


def total_drift(run: SyncRun) -> tuple[int, int]:
    """(found, repaired) of a run."""
    figures = run.drift_counts.values()
    return sum(_total(one) for one in figures), sum(one.get("repaired", 0) for one in figures)
