"""Staged customers told to the handlers: some thousand relations a batch and transaction, everybody with all her guides in one.

A first sync writes from two ends at once: while PostgreSQL works for one batch, the next is being thought about. What the two
write at the same time must not meet, so each tells of strangers only; a batch that meets somebody known is told again, alone.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Max, QuerySet, TextField
from django.db.models.functions import Cast

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.gateway import parse
from wecom_bridge.models import StagedRow, SyncRun, SyncUnit
from wecom_bridge.services.parallel import run_all
from wecom_bridge.services.sync import early
from wecom_bridge.services.sync.removals import read_at_of
from wecom_bridge.services.sync.telling import tell

ROWS = 2_000
PARTS = 3

StagedText = tuple[str, str]  # external_userid, payload as JSON text


def write(run: SyncRun, deadline: datetime) -> bool:
    """Tell the handlers what is staged until the slice is over; True when all of it is told. Raises what a handler raised."""
    plan(run)
    open_units = SyncUnit.objects.filter(run=run, kind=SyncUnit.WRITE, state=SyncUnit.State.WAITING)
    with _no_collecting():
        outcomes = list(run_all(lambda unit: _write_part(run, unit, deadline), open_units.order_by("id"), width=PARTS))
    for _unit, outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return not open_units.exists()


def plan(run: SyncRun) -> None:
    """A unit per part, once. In a reconciliation everybody is known, and a second writer would only wait."""
    if SyncUnit.objects.filter(run=run, kind=SyncUnit.WRITE).exclude(key=early.EARLY).exists():
        return
    early.pass_over(run)
    staged = _staged(run)
    if not staged.exists():
        return
    count, bounds = staged.count(), []
    if run.kind == "first" and count >= PARTS * ROWS:
        keys = staged.order_by("key").values_list("key", flat=True)
        bounds = [keys[part * count // PARTS] for part in range(1, PARTS)]
    bounds.append(staged.aggregate(last=Max("key"))["last"])
    starts = ["", *bounds]
    units = [
        SyncUnit(run=run, kind=SyncUnit.WRITE, key=key, cursor=start)
        for start, key in zip(starts, bounds, strict=False)
    ]
    SyncUnit.objects.bulk_create(units, ignore_conflicts=True)


def _staged(run: SyncRun) -> QuerySet[StagedRow]:
    return StagedRow.objects.filter(run=run, kind="contacts")


def _write_part(run: SyncRun, unit: SyncUnit, deadline: datetime) -> None:
    while clock.wall() < deadline and _write_some(run, unit.pk):
        pass


def _write_some(run: SyncRun, unit_id: int) -> bool:
    """The next batch of a part; False when there is none."""
    if run.kind != "first":
        return _tell_some(run, unit_id, alongside=False)
    try:
        return _tell_some(run, unit_id, alongside=True)
    except (c.Contended, IntegrityError, OperationalError):  # the latter two: it did meet the other part's
        return _tell_some(run, unit_id, alongside=False)


@transaction.atomic
def _tell_some(run: SyncRun, unit_id: int, *, alongside: bool) -> bool:
    """What is told and how far we are, in one transaction."""
    unit = SyncUnit.objects.select_for_update().get(pk=unit_id)
    rows = _next_rows(run, unit)
    if not rows:
        SyncUnit.objects.filter(pk=unit.pk).update(state=SyncUnit.State.APPLIED)
        return False
    source: c.Source = "backfill" if run.kind == "first" else "reconcile"
    items = [orjson.loads(payload) for _key, payload in rows]
    people = parse.kept(lambda: _people(items))
    batch = c.PeopleBatch(run.corp, source, read_at_of(run), rows=people, alongside=alongside)
    tell(run, "people", batch)
    SyncUnit.objects.filter(pk=unit.pk).update(cursor=rows[-1][0], fetched=unit.fetched + len(rows))
    return True


def _next_rows(run: SyncRun, unit: SyncUnit) -> Sequence[StagedText]:
    """The next rows of a part, without a last person whose guides may not all be among them."""
    staged = _staged(run).filter(key__gt=unit.cursor, key__lte=unit.key)
    # As text: Django's JSON decoding of thousands of payloads costs more than reading them.
    columns = staged.order_by("key", "unit_key").values_list("key", Cast("payload", TextField()))
    rows = list(columns[:ROWS])
    if len(rows) < ROWS:
        return rows
    last = rows[-1][0]
    whole = [row for row in rows if row[0] != last]
    return whole or list(columns.filter(key=last))


def _people(items: list[dict[str, Any]]) -> list[c.PersonRow]:
    """A row per customer, with the follows that these items tell of."""
    people: dict[str, tuple[c.ExternalContactInfo, list[c.FollowInfo]]] = {}
    for item in items:
        person, follow = parse.batch_entry(item)
        people.setdefault(person.external_userid, (person, []))[1].append(follow)
    return [c.PersonRow(person, tuple(follows), False) for person, follows in people.values()]


@contextmanager
def _no_collecting() -> Iterator[None]:
    """A batch makes some hundred thousand objects and drops them together: looking for cycles among them again and again
    took a fifth of its processor time. After the slice the collector runs as always."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
