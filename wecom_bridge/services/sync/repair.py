"""One-click repair: differences that stand are read again, one entity at a time, told, and looked at once more.

A person asks; the lane does it. A row is repaired when what we have equals what WeCom says now.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from tenants import audit, jobs
from tenants.audit import Actor
from wecom_bridge import contracts as c
from wecom_bridge.comparing import find_differences
from wecom_bridge.gateway import CallError, Gateway, gateway_for
from wecom_bridge.gateway.errors import GONE_MEMBER, GROUP_GONE, NO_RELATION
from wecom_bridge.models import DriftRow, SyncRun
from wecom_bridge.services.errors import in_words
from wecom_bridge.services.sync.directory import lost_too_many
from wecom_bridge.services.sync.runs import LANE
from wecom_bridge.services.sync.telling import save_counts

TOGETHER = 200

Batches = list[tuple[c.BatchKind, Any]]


@transaction.atomic
def ask(run: SyncRun, *, by: Actor) -> int:
    """Read again whatever of this run is not repaired. How many rows."""
    rows = DriftRow.objects.filter(run=run, repaired_at=None, asked_at=None)
    count = rows.update(asked_at=clock.wall(), last_error="")
    if count:
        audit.record("sync.repair_asked", run, by=by, rows=count)
        jobs.nudge(LANE)
    return count


def drain(deadline: datetime) -> bool:
    """Work through what was asked for; True when the slice was over first."""
    while rows := list(_asked()[:TOGETHER]):
        for (run_id, about), some in _together(rows).items():
            if clock.wall() >= deadline:
                return True
            run = SyncRun.objects.select_related("corp").get(pk=run_id)
            _repair(run, about, some)
    return False


def next_due() -> datetime | None:
    """At once, when somebody asked."""
    return clock.now() if _asked().exists() else None


def _asked() -> Any:
    return DriftRow.objects.filter(asked_at__isnull=False, repaired_at=None).order_by("run_id", "id")


def _together(rows: Sequence[DriftRow]) -> dict[tuple[int, str], list[DriftRow]]:
    """Rows that one reading answers."""
    found: dict[tuple[int, str], list[DriftRow]] = {}
    for row in rows:
        found.setdefault((row.run_id, _about(row)), []).append(row)
    return found


def _about(row: DriftRow) -> str:
    """person:id, group:id, member:id, or a whole list."""
    first = row.key.partition("/")[0]
    kinds = {"follow": "person", "contact": "person", "group": "group", "group_member": "group", "member": "member"}
    return f"{kinds[row.entity]}:{first}" if row.entity in kinds else row.entity


def _repair(run: SyncRun, about: str, rows: Sequence[DriftRow]) -> None:
    """Whatever comes of it, the rows are answered: repaired, or with a reason."""
    try:
        batches = _read(run, about, rows, gateway_for(run.corp))
        left = _tell(batches)
    except Exception as error:
        words = str(error) if isinstance(error, CallError) else in_words(error)
        _answer(run, [], rows, _("没有读到:%(error)s") % {"error": words})
        return
    _answer(run, [row for row in rows if (row.entity, row.key) not in left],
            [row for row in rows if (row.entity, row.key) in left], _("重新读取后仍不一致"))  # fmt: skip


def _read(run: SyncRun, about: str, rows: Sequence[DriftRow], gateway: Gateway) -> Batches:
    """What WeCom says of it now. A plain "gone" is an answer. Raises CallError."""
    kind, _colon, key = about.partition(":")
    read_at = clock.now()
    if kind == "person":
        return [("people", _read_person(run, key, rows, gateway, read_at))]
    if kind == "group":
        try:
            return [("groups", c.GroupsBatch(run.corp, "reconcile", read_at, [gateway.get_group(key)]))]
        except CallError as error:
            if error.errcode != GROUP_GONE:
                raise
            return [("groups", c.GroupsBatch(run.corp, "reconcile", read_at, dismissed=[key]))]
    if kind == "member":
        serving = set(gateway.get_follow_users())
        try:
            member = gateway.get_member(key, serves=key in serving)
            return [("members", c.MembersBatch(run.corp, "reconcile", read_at, members=[member]))]
        except CallError as error:
            if error.errcode not in GONE_MEMBER:
                raise
            return [("members", c.MembersBatch(run.corp, "reconcile", read_at, left_userids=[key]))]
    if kind == "department":
        departments = gateway.get_departments()
        inventory = c.inventory()
        known = inventory.departments(run.corp) if inventory else set()
        is_whole = not lost_too_many(known, {one.department_id for one in departments})
        return [("members", c.MembersBatch(run.corp, "reconcile", read_at, departments, is_full=is_whole))]
    return [("tags", c.TagsBatch(run.corp, "reconcile", read_at, gateway.get_tag_groups(), is_full=True))]


def _read_person(
    run: SyncRun, external: str, rows: Sequence[DriftRow], gateway: Gateway, read_at: datetime
) -> c.PeopleBatch:
    """All her guides are named, so one that is not named is none any more."""
    pairs = [(external, row.key.partition("/")[2]) for row in rows if row.entity == "follow"]
    try:
        person = gateway.get_customer(external)
    except CallError as error:
        if error.errcode != NO_RELATION:
            raise
        return c.PeopleBatch(run.corp, "reconcile", read_at, gone=pairs)
    told = {follow.userid for follow in person.follows}
    gone = [pair for pair in pairs if pair[1] not in told]
    return c.PeopleBatch(run.corp, "reconcile", read_at, rows=[person], gone=gone)


@transaction.atomic
def _tell(batches: Batches) -> set[tuple[str, str]]:
    """Tell the handlers; what is different even then."""
    left: set[tuple[str, str]] = set()
    for kind, batch in batches:
        for handler in c.handlers_for(kind):
            handler(batch)
        whole = replace(batch, is_full=True) if kind == "members" and batch.departments else batch
        left |= set(find_differences(kind, whole))
    return left


@transaction.atomic
def _answer(run: SyncRun, repaired: Sequence[DriftRow], standing: Sequence[DriftRow], why: str) -> None:
    counts = dict(SyncRun.objects.select_for_update().values_list("drift_counts", flat=True).get(pk=run.pk))
    for row in repaired:
        counts[row.entity] = dict(counts.get(row.entity, {}))
        counts[row.entity]["repaired"] = counts[row.entity].get("repaired", 0) + 1
    DriftRow.objects.filter(pk__in=[row.pk for row in repaired]).update(
        repaired_at=clock.wall(), asked_at=None, last_error=""
    )
    DriftRow.objects.filter(pk__in=[row.pk for row in standing]).update(asked_at=None, last_error=why[:200])
    save_counts(run, counts)
