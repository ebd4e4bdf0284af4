"""Who works where: read part by part into staging, validated against what we know, then told at once.

Resumable: a list that was read is not read again. Nothing here ends by silence. A list that failed, is empty where we know some, or
lacks too much leaves what we have; a single member who is missing is asked for by name, and only WeCom's "gone" means gone.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.gateway import CallError, Gateway, parse
from wecom_bridge.gateway.errors import GONE_MEMBER, MEMBER_DENIED, NO_PERMISSION, TOO_LARGE
from wecom_bridge.models import StagedRow, SyncRun, SyncUnit
from wecom_bridge.services.errors import in_words
from wecom_bridge.services.parallel import run_all
from wecom_bridge.services.sync import groups, staging
from wecom_bridge.services.sync.pause import is_refusal, note_error
from wecom_bridge.services.sync.removals import read_at_of
from wecom_bridge.services.sync.telling import tell

WIDTH = 4
ALONE = "alone"  # a unit's cursor: this department without those below
FEW = 5  # a loss of more than so many and SHARE of all is not believed
SHARE = 0.1
ASKED = (
    20  # missing members asked for by name; more than that (or SHARE of all) is a narrowed range, not people who left
)

State = SyncUnit.State
Rows = list[tuple[str, Any]]  # key, what was read


@dataclass
class _Found:
    """What was read, after validation."""

    serving: set[str]
    departments: list[c.DepartmentInfo]
    members: list[c.MemberInfo]
    departments_whole: bool
    left: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)  # list → why it is not believed


def read(run: SyncRun, gateway: Gateway, deadline: datetime) -> bool:
    """Read what is left, and tell when all is there. True when it was told. Raises CallError, Paused."""
    if SyncUnit.objects.filter(run=run, kind="list", key="members").exclude(state=State.WAITING).exists():
        return True  # told already, by a worker that ended just then
    _read_list(run, "follow_users", lambda: [(userid, {}) for userid in gateway.get_follow_users()])
    _read_list(run, "departments", lambda: [(str(one.department_id), vars(one)) for one in gateway.get_departments()])
    if not SyncUnit.objects.filter(run=run, kind="members").exists():
        _plan_members(run)
    _read_members(run, gateway, deadline)
    if SyncUnit.objects.filter(run=run, kind="members", state=State.WAITING).exists() or clock.wall() >= deadline:
        return False
    _tell(run, _validate(run, gateway, deadline))
    return True


def _read_list(run: SyncRun, name: str, call: Callable[[], Rows]) -> None:
    """Stage a list once. Without one that WeCom refuses the run goes on. After a failure the hourly run does without it, too; a
    full one waits and tries again."""
    unit, _made = SyncUnit.objects.get_or_create(run=run, kind="list", key=name)
    if unit.state != State.WAITING:
        return
    try:
        rows = call()
    except CallError as error:
        if run.kind != SyncRun.Kind.LISTS and not is_refusal(error):
            raise
        settle_unread(run, name, error)
        return
    with transaction.atomic():
        staging.write([staging.staged_row(run.pk, name, "", key, item) for key, item in rows])
        unit.state, unit.fetched = State.FETCHED if rows else State.EMPTY, len(rows)
        unit.save(update_fields=["state", "fetched"])


def _staged(run: SyncRun, name: str) -> Rows:
    return list(StagedRow.objects.filter(run=run, kind=name).order_by("key").values_list("key", "payload"))


def staged_departments(run: SyncRun) -> list[c.DepartmentInfo]:
    """The departments as this run read them."""
    return [c.DepartmentInfo(**row) for _key, row in _staged(run, "departments")]


def _plan_members(run: SyncRun) -> None:
    """A unit per visible root: one call brings all below it, where WeCom allows that."""
    departments = staged_departments(run)
    known = {one.department_id for one in departments}
    roots = [one.department_id for one in departments if one.parent_id not in known]
    SyncUnit.objects.bulk_create(
        [SyncUnit(run=run, kind="members", key=str(root)) for root in roots], ignore_conflicts=True
    )


def _read_members(run: SyncRun, gateway: Gateway, deadline: datetime) -> None:
    def call(unit: SyncUnit) -> list[dict[str, Any]]:
        return gateway.get_department_members(int(unit.key), with_children=unit.cursor != ALONE)

    while clock.wall() < deadline and (units := list(_due(run))):
        for unit, outcome in run_all(call, units, width=WIDTH):
            if isinstance(outcome, list):
                _stage_members(run, unit, outcome)
                continue
            error = outcome if isinstance(outcome, CallError) else CallError(f"broken answer: {in_words(outcome)}")
            if error.errcode in (TOO_LARGE, NO_PERMISSION) and unit.cursor != ALONE:
                _split(run)
            elif run.kind == SyncRun.Kind.LISTS and not error.held:
                SyncUnit.objects.filter(pk=unit.pk).update(state=State.FAILED, last_error=str(error)[:200])
            else:
                note_error(unit, error)


def _due(run: SyncRun) -> Iterable[SyncUnit]:
    rows = SyncUnit.objects.filter(run=run, kind="members", state=State.WAITING).order_by("id")
    return rows.exclude(next_attempt_at__gt=clock.wall())[:100]


def _stage_members(run: SyncRun, unit: SyncUnit, rows: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        staging.write([staging.staged_row(run.pk, "member", unit.key, str(row["userid"]), row) for row in rows])
        unit.state, unit.fetched = State.FETCHED if rows else State.EMPTY, len(rows)
        unit.save(update_fields=["state", "fetched"])


@transaction.atomic
def _split(run: SyncRun) -> None:
    """Too many at once, or not allowed: every department by itself."""
    units = SyncUnit.objects.filter(run=run, kind="members", state=State.WAITING)
    units.update(cursor=ALONE)
    SyncUnit.objects.bulk_create(
        [
            SyncUnit(run=run, kind="members", key=str(one.department_id), cursor=ALONE)
            for one in staged_departments(run)
        ],
        ignore_conflicts=True,
    )


def _validate(run: SyncRun, gateway: Gateway, deadline: datetime) -> _Found:
    """What of it is believed."""
    have = c.inventory()
    known = dict(have.members(run.corp)) if have else {}
    serving, departments = {key for key, _row in _staged(run, "follow_users")}, staged_departments(run)
    rows = dict(_staged(run, "member"))
    found = _Found(serving, departments, [], departments_whole=bool(departments))
    known_serving = {userid for userid, serves in known.items() if serves}
    if lost_too_many(known_serving, serving):
        found.serving = serving | known_serving
        found.notes["follow_users"] = _("客户联系成员比我们已知的少了很多:没有取消任何人。请检查应用的可见范围。")
    known_departments = have.departments(run.corp) if have else set()
    if lost_too_many(known_departments, {one.department_id for one in departments}):
        found.departments_whole = False
        found.notes["departments"] = _("部门比我们已知的少了很多:没有停用任何部门。请检查应用的可见范围。")
    found.members = parse.kept(
        lambda: [parse.member(row, serves=userid in found.serving) for userid, row in sorted(rows.items())]
    )
    missing = sorted(set(known) - set(rows))
    if is_short(run) or (known and not rows):
        found.notes["members"] = _("成员没有读全:没有读到的成员保持原样。")
    elif too_many_missing(missing, known):
        found.notes["members"] = _("成员比我们已知的少了很多:没有读到的成员保持原样。请检查应用的可见范围。")
    else:
        start = run.pk * ASKED % max(len(missing), 1)  # other ones first in each run, so that all have their turn
        _ask(gateway, missing[start:] + missing[:start], found, deadline)
    return found


def is_short(run: SyncRun) -> bool:
    """Whether a part of the directory's members could not be read: a department's, or those of departments we were not told."""
    parts = SyncUnit.objects.filter(run=run, kind="members").exclude(state__in=(State.FETCHED, State.EMPTY))
    unread = SyncUnit.objects.filter(run=run, kind="list", key="departments", fetched=0)
    unread = unread.filter(state__in=(State.FAILED, State.DENIED))
    return parts.exists() or unread.exists()


def too_many_missing(missing: Collection[str], known: Collection[str]) -> bool:
    """Whether more members are missing than are asked for by name."""
    return len(missing) > max(ASKED, len(known) * SHARE)


def lost_too_many(known: set[Any], told: set[Any]) -> bool:
    """Whether a list lacks so much of what we know that it is not believed; an empty one is never."""
    lost = len(known - told)
    return bool(known) and (not told or lost > max(FEW, len(known) * SHARE))


def _ask(gateway: Gateway, userids: list[str], found: _Found, deadline: datetime) -> None:
    """Members the list lacks, by name: gone, somewhere else, or kept from us. Raises CallError for what is none of these.

    Whom the slice has no time for stays as she is, for a later run to ask: the directory is told in this slice, or it would be read
    for ever.
    """
    in_time = (userid for userid in userids if clock.wall() < deadline)
    hidden, refused = 0, None
    for userid, member in run_all(
        lambda one: gateway.get_member(one, serves=one in found.serving), in_time, width=WIDTH
    ):
        if isinstance(member, c.MemberInfo):
            found.members.append(member)
        elif isinstance(member, CallError) and member.errcode in GONE_MEMBER:
            found.left.append(userid)
        elif isinstance(member, CallError) and member.errcode in MEMBER_DENIED:
            hidden += 1
        elif isinstance(member, CallError) and is_refusal(member):
            refused = member
        else:
            raise member
    if refused:
        found.notes["members"] = str(refused)
    elif hidden:
        found.notes["members"] = _("%(n)s 位成员不在应用的可见范围内:保持原样。") % {"n": hidden}


def _tell(run: SyncRun, found: _Found) -> None:
    batch = c.MembersBatch(
        run.corp, "backfill" if run.kind == SyncRun.Kind.FIRST else "reconcile", read_at_of(run), found.departments,
        found.members, is_full=found.departments_whole, left_userids=found.left,
    )  # fmt: skip
    with transaction.atomic():
        tell(run, "members", batch)
        if run.kind != SyncRun.Kind.LISTS:
            guides = sorted(found.serving)
            SyncUnit.objects.bulk_create(
                [SyncUnit(run=run, kind="contacts", key=userid) for userid in guides], ignore_conflicts=True
            )
            groups.plan_lists(run, guides)
        for name, count in (("follow_users", len(found.serving)), ("departments", len(found.departments)), ("members", len(found.members))):  # fmt: skip
            settle_list(run, name, count, found.notes.get(name, ""))


def settle_list(run: SyncRun, name: str, count: int, note: str = "") -> None:
    """A list is told; with a note, it was not believed. One that was not read keeps its own words."""
    unit = SyncUnit.objects.filter(run=run, kind="list", key=name).exclude(state__in=(State.FAILED, State.DENIED))
    unit.update(state=State.FAILED if note else State.APPLIED, fetched=count, last_error=note[:200])


def settle_unread(run: SyncRun, name: str, error: CallError) -> None:
    """A list that WeCom refuses, or that the hour could not read: what it would name stays as it is."""
    state = State.DENIED if is_refusal(error) else State.FAILED
    SyncUnit.objects.filter(run=run, kind="list", key=name).update(state=state, last_error=str(error)[:200])
