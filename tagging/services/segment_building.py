"""Segments computed in full, set-based: no list of people ever leaves the database, and readers see the old entries or the new.

A build is claimed under the lock of the marks' batches, so that none is between reading the state and writing entries; from then on
batches put the segment's people off. It ends under the same lock. Who builds is known by a session lock, which a killed process
gives up at once, and by a token on the row, which an edit takes away: whoever lost it writes nothing. The server breaks a build
off at the end of its lease.

Who moves by a build is no news: the condition is new, or the entries were wrong. So where they answered to the condition before, a build
leaves those alone whose own change waits; they are decided after it, as themselves.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from conditions import boundaries, dirty, sweeps
from conditions.compiler import UnknownField
from conditions.drain import LOCK
from conditions.models import DirtyMark
from conditions.people import people
from conditions.reading import values_read
from conditions.schema import ConditionInvalid, validate
from contacts.models import Contact
from scrm.lib import clock
from tagging import matching
from tagging import segments as listeners
from tagging.models import Segment, SegmentChange, SegmentEntry, SegmentPin
from tagging.services import own_changes, segment_entries, segment_pins
from tagging.services.segment_entries import NOTED, PINNED, keys_of, own_key, reader, table
from tagging.services.segment_following import has_answers
from tenants import jobs, locks
from tenants.ledger.models import Job

logger = logging.getLogger(__name__)
LANE = "segments"
LEASE = timedelta(minutes=25)
LOOK_AGAIN = timedelta(minutes=1)  # at a build whose worker may have been killed
# Deadlock, serialization, shutdown, crash, starting up, no answer at all. Not among them: too long (57014), disk or memory full.
_PASSES = ("40P01", "40001", "57P01", "57P02", "57P03", None)
State = Segment.State
Cause = SegmentChange.Cause


class Superseded(Exception):
    """The segment was edited, archived or failed while it was built: what was computed is not written."""


# --- What is to be built ----------------------------------------------------------------------------------------


def drain_builds(deadline: datetime) -> bool:
    """The lane: build what is stale, parents before children; True when the slice ended first."""
    tried: set[int] = set()
    while clock.wall() < deadline:
        _say_why_they_wait()
        segment = next((row for row in buildable() if row.pk not in tried), None)
        if segment is None:
            return False
        if not build_segment(segment):
            tried.add(segment.pk)  # another process is at it, or it waits for a parent that just became stale
    return True


def next_due() -> datetime | None:
    """When to look whether a build still has its worker."""
    return clock.now() + LOOK_AGAIN if _live().filter(state=State.BUILDING).exists() else None


def _live() -> QuerySet[Segment]:
    return Segment.objects.filter(archived_at__isnull=True, kind="dynamic")


def waiting_segments() -> QuerySet[Segment]:
    """Dynamic segments that are to be computed, those under way included."""
    return _live().filter(state__in=(State.STALE, State.BUILDING)).order_by("pk")


def buildable() -> list[Segment]:
    """Those whose parents are all up to date: a child never builds from a stale parent."""
    return [segment for segment, parents in _with_parents() if all(parent.state == State.FRESH for parent in parents)]


def _with_parents() -> list[tuple[Segment, list[Segment]]]:
    """What waits, each with the segments it reads. Two queries."""
    waiting = list(waiting_segments())
    named = {pk for segment in waiting for pk in parents_of(segment)}
    known = {row.pk: row for row in Segment.objects.filter(pk__in=named)}
    return [(segment, [known[pk] for pk in parents_of(segment) if pk in known]) for segment in waiting]


def parents_of(segment: Segment) -> set[int]:
    """The segments its condition reads."""
    if not any(key.startswith("segment:") for key in segment.field_keys):
        return set()
    return values_read(segment.tree, "segment")


def _say_why_they_wait() -> None:
    """Of those that wait for a parent that failed, on their pages."""
    for segment, parents in _with_parents():
        broken = next((parent for parent in parents if parent.state == State.FAILED), None)
        words = _("它引用的人群「%(name)s」失败了,修好那个人群后会接着计算") % {"name": broken.name} if broken else ""
        if words != segment.last_error:
            Segment.objects.filter(pk=segment.pk, state=State.STALE).update(last_error=words)


# --- One build --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """A build that is ours until the lease ends: the segment as it is then, the token, the job people watch, and the instant."""

    segment: Segment
    token: str
    job: Job
    now: datetime

    @property
    def row(self) -> QuerySet[Segment]:
        """The segment, as long as it is ours."""
        return Segment.objects.filter(
            pk=self.segment.pk, builder=self.token, state=State.BUILDING, archived_at__isnull=True
        )


def build_segment(segment: Segment) -> bool:
    """Compute every entry, with a Job that people can watch. An error becomes the segment's, visible on its page. False when
    somebody else builds it, or a parent is not up to date."""
    with locks.session_lock(f"segment:{segment.pk}") as mine:
        claim = _claim(segment.pk) if mine else None
        if claim is None:
            return False
        job = claim.job
        try:
            size = _build(claim)
            job.state, job.done, job.total, job.result = Job.State.DONE, size, size, {"size": size}
        except Superseded:
            job.state, job.last_error = Job.State.CANCELLED, _("条件在计算时被修改,按新的条件重新计算")
        except (UnknownField, ConditionInvalid) as error:
            _fail(claim, _("需修复:%(reason)s") % {"reason": error}, str(error))
        except Exception as error:
            logger.exception("segment %s could not be built", segment.pk)
            if _comes_of_another(error):
                claim.row.update(state=State.STALE, builder="", lease_until=None)
                job.state, job.last_error = Job.State.FAILED, repr(error)[:500]
                return _end(job)
            words = _("计算出错,已停止:%(reason)s。请稍后点「重新计算」") % {"reason": type(error).__name__}
            _fail(claim, words, repr(error)[:500])
        return _end(job)


def _end(job: Job) -> bool:
    job.finished_at = clock.wall()
    job.save(update_fields=["state", "done", "total", "result", "last_error", "finished_at"])
    return True


def _comes_of_another(error: Exception) -> bool:
    """Two transactions stood in each other's way and this one gave in, or the connection was cut: it is simply done again."""
    is_cut = isinstance(error, InterfaceError)
    return is_cut or (isinstance(error, OperationalError) and getattr(error.__cause__, "pgcode", "") in _PASSES)


def _fail(claim: Claim, words: str, detail: str) -> None:
    claim.row.update(state=State.FAILED, last_error=words, builder="", lease_until=None)
    claim.job.state, claim.job.last_error = Job.State.FAILED, detail


@transaction.atomic
def _claim(segment_id: int) -> Claim | None:
    """A build left 计算中 by a killed process is claimed like a stale segment: we hold its session lock."""
    locks.lock_in_transaction(LOCK)
    segment = _live().select_for_update().filter(pk=segment_id).first()
    if segment is None or _waits_for_a_parent(segment):
        return None
    wall = clock.wall()
    job = Job.objects.create(
        kind="segment.build", title=_("计算人群「%(name)s」") % {"name": segment.name}, state=Job.State.RUNNING,
        params={"segment": segment.pk}, created_at=wall, started_at=wall,
    )  # fmt: skip
    Job.objects.filter(pk=segment.job_id or 0, state=Job.State.RUNNING).update(
        state=Job.State.FAILED, last_error=_("进程中断,已重新开始"), finished_at=wall
    )
    segment.state, segment.job_id, segment.builder = State.BUILDING, job.pk, uuid.uuid4().hex
    segment.lease_until = wall + LEASE
    segment.save(update_fields=["state", "job_id", "builder", "lease_until"])
    return Claim(segment, segment.builder, job, clock.now())


def _waits_for_a_parent(segment: Segment) -> bool:
    return Segment.objects.filter(pk__in=parents_of(segment)).exclude(state=State.FRESH).exists()


@transaction.atomic
def _build(claim: Claim) -> int:
    """The segment's size. Until the end, nothing but this segment's entries, changes and boundaries is touched or locked."""
    segment, now, began = claim.segment, claim.now, clock.wall()
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {int(LEASE.total_seconds() * 1000)}")
    validate(segment.tree)
    with sweeps.room():
        came, went = _fill(claim)
        boundaries.schedule(reader(segment.pk), segment.tree, None, now)
    change = listeners.Change(segment.pk, Cause.BUILD, now, came, went, build=claim.job.pk)
    listeners.tell([change])
    is_told = _tell_readers(change)
    locks.lock_in_transaction(LOCK)  # whoever began to read the segment meanwhile is seen now, or comes after us
    if not claim.row.select_for_update().exists():
        raise Superseded
    if not is_told:
        _tell_readers(change)
    segment_pins.settle(segment, now)
    size = SegmentEntry.objects.filter(segment=segment).count()
    took = (clock.wall() - began).total_seconds() * 1000
    claim.row.update(
        size=size, state=State.FRESH, fresh_at=now, last_error="", built_version=segment.tree_version, built_at=now,
        build_ms=int(took), builder="", lease_until=None,
    )  # fmt: skip
    segment_entries.note_sizes([segment.pk], now)
    _let_come(segment.pk)
    return size


def _let_come(segment_id: int) -> None:
    """People whom batches put off while we built are due now, with whose doing it was; what another segment put off with them
    stays."""
    table = connection.ops.quote_name(DirtyMark._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, field_key, marked_at, is_backfill)"
            " SELECT DISTINCT cause.contact_id, cause.field_key, cause.marked_at, false"
            f" FROM {table} AS cause JOIN {table} AS late"
            " ON late.contact_id = cause.contact_id AND late.not_before = cause.not_before"
            " WHERE late.field_key = %s AND cause.field_key LIKE %s",
            [own_key(segment_id), f"{dirty.CAUSE}%"],
        )
    if DirtyMark.objects.filter(field_key=own_key(segment_id), not_before__isnull=False).update(not_before=None):
        jobs.nudge(dirty.LANE)


# {people}: ids of those the condition holds for; {everybody}: of all there are.
_HOLDS = "SELECT matched.id AS contact_id, 'tree' AS origin FROM ({people}) AS matched (id)"
_HOLDS_OR_PINNED = """
SELECT matched.id AS contact_id, 'tree' AS origin FROM ({people}) AS matched (id)
WHERE NOT EXISTS (SELECT 1 FROM pinned WHERE pinned.contact_id = matched.id)
UNION ALL
SELECT c.id, 'pin' FROM pinned JOIN ({everybody}) AS c (id) ON c.id = pinned.contact_id WHERE pinned.is_in
"""
_FILL = f"""
WITH versions AS (SELECT %s::bigint AS segment_id, %s::bigint AS version), {{pinned}}
wanted AS MATERIALIZED ({{wanted}}),
gone AS (
    DELETE FROM {{entries}} AS e
    WHERE e.segment_id = %s AND NOT EXISTS (SELECT 1 FROM wanted WHERE wanted.contact_id = e.contact_id){{spared}}
    RETURNING e.segment_id, e.contact_id
), came AS (
    INSERT INTO {{entries}} (segment_id, contact_id, entered_at, origin)
    SELECT %s, wanted.contact_id, %s, wanted.origin FROM wanted
    WHERE NOT EXISTS (SELECT 1 FROM {{entries}} AS e WHERE e.segment_id = %s AND e.contact_id = wanted.contact_id)
    RETURNING segment_id, contact_id
), noted AS ({NOTED})
SELECT (SELECT count(*) FROM came), (SELECT count(*) FROM gone)
"""
# {people}: root ids of those whose own change waits.
_WAITING = f"""
news AS MATERIALIZED (SELECT DISTINCT found.id FROM ({{people}}) AS found (id)), waiting AS MATERIALIZED (
    SELECT news.id AS contact_id FROM news UNION
    SELECT c.id FROM news JOIN {Contact._meta.db_table} AS c ON c.root_id = news.id
),
"""
_SPARED = " AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.contact_id = e.contact_id)"
_OF_OTHERS = "SELECT * FROM ({wanted}) AS e WHERE true" + _SPARED


def _fill(claim: Claim) -> tuple[int, int]:
    """INSERT who is missing, DELETE who no longer belongs, note both; how many came and went."""
    segment, now, pk = claim.segment, claim.now, claim.segment.pk
    matched, given = matching.matching_sql(segment.tree, now)
    entries, pinned, wanted = table(SegmentEntry), "", _HOLDS.format(people=matched)
    of_pins: list[Any] = []
    waiting, spared, of_waiting = "", "", list[Any]()
    if SegmentPin.objects.filter(segment=segment).exists():
        everybody, of_all = people().values_list("pk").query.sql_with_params()
        pinned, of_pins = f"pinned AS MATERIALIZED ({PINNED}),", [pk]
        wanted, given = _HOLDS_OR_PINNED.format(people=matched, everybody=everybody), [*given, *of_all]
    if has_answers(segment):
        waiting, of_waiting = _waiting(segment, now)
        wanted, spared = _OF_OTHERS.format(wanted=wanted), _SPARED
    sql = _FILL.format(pinned=waiting + pinned, wanted=wanted, entries=entries, spared=spared)
    before = [pk, segment.tree_version, *of_waiting, *of_pins]
    params = [*before, *given, pk, pk, now, pk, Cause.BUILD, now, claim.job.pk]
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        came, went = cursor.fetchone()
    return came, went


def _waiting(segment: Segment, now: datetime) -> tuple[str, list[Any]]:
    """Whoever is left to her own marks, as a part of the statement."""
    put_off = (own_key(segment.pk), "consumer:segments")
    sql, given = own_changes.waiting(keys_of(segment), put_off, now).query.sql_with_params()
    return _WAITING.format(people=sql), list(given)


def _tell_readers(change: listeners.Change) -> bool:
    """A mark for everybody who moved, if anybody reads the segment: an edit is no news for rules, hence backfill."""
    if reader(change.segment_id) not in segment_entries.keys_read(segments_too=True):
        return False
    if change.came or change.went:
        sql, params = change.rows.values_list("contact_id").query.sql_with_params()
        with dirty.told_by("backfill"):
            dirty.mark_selected(
                f"SELECT moved.id AS contact_id, %s::text AS field_key FROM ({sql}) AS moved (id)",
                [reader(change.segment_id), *params],
            )
    return True
