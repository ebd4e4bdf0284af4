"""What the page of a sync shows: who was read and who was not and why, what differed, and the runs before it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Count, F
from django.utils.translation import gettext as _

from scrm.lib import clock
from tenants.ledger.models import Job
from wecom_bridge.comparing import in_words
from wecom_bridge.contracts import inventory
from wecom_bridge.gateway import CallError
from wecom_bridge.gateway.errors import MEMBER_DENIED
from wecom_bridge.models import DriftRow, SyncRun, SyncUnit
from wecom_bridge.queries import page_of
from wecom_bridge.services.doctor import words
from wecom_bridge.services.sync.telling import total_drift

SHOWN = 200
RECENT = 15
State = SyncUnit.State
OUTCOMES = (State.FETCHED, State.EMPTY, State.DENIED, State.FAILED, State.WAITING)
TONES: Mapping[str, str] = {"fetched": "ok", "empty": "idle", "denied": "warn", "failed": "bad", "waiting": "wait"}
UNKNOWN_MEMBER = {40003, 40031, 60111}
_CODE = re.compile(r"^\[(-?\d+)\]\s*")


def count_outcomes(run: SyncRun) -> dict[str, int]:
    """state → guides."""
    rows = SyncUnit.objects.filter(run=run, kind="contacts").values_list("state").annotate(n=Count("pk")).order_by()
    return dict(rows)


def list_outcomes(run: SyncRun, state: str, before: int | None) -> tuple[list[SyncUnit], int | None]:
    """Guides of a state (or all), with `name`, `tone` and `cause` in words; where the next page begins."""
    rows = SyncUnit.objects.filter(run=run, kind="contacts")
    found, following = page_of(rows.filter(state=state) if state else rows, before)
    names = _names(run, [unit.key for unit in found])
    for unit in found:
        shown: Any = unit
        shown.name, shown.tone, shown.cause = names.get(unit.key, ""), TONES.get(unit.state, "idle"), say_cause(unit)
    return found, following


def _names(run: SyncRun, userids: Sequence[str]) -> Mapping[str, str]:
    have = inventory()
    return have.names(run.corp, userids) if have and userids else {}


def name_some(run: SyncRun) -> list[str]:
    """Some of the members a shrunken directory lacks, by name where we know one."""
    userids = list(run.shrink.get("who", ()))
    names = _names(run, userids)
    return [names.get(userid) or userid for userid in userids]


def list_unread(run: SyncRun) -> list[SyncUnit]:
    """Lists and groups that were not read, or not believed: what they name is unknown, not gone."""
    rows = SyncUnit.objects.filter(run=run, kind__in=("list", "members", "group_list", "group"))
    found = list(rows.filter(state__in=(State.DENIED, State.FAILED)).order_by("kind", "key")[:SHOWN])
    labels = {"list": _list_labels(), "members": {}, "group_list": {}, "group": {}}
    words = {"members": _("部门成员"), "group_list": _("客户群列表"), "group": _("客户群")}
    for unit in found:
        shown: Any = unit
        shown.label = labels[unit.kind].get(unit.key) or f"{words.get(unit.kind, '')} {unit.key}".strip()
        shown.cause = say_cause(unit) if _CODE.match(unit.last_error) else unit.last_error
    return found


def _list_labels() -> dict[str, str]:
    return {"follow_users": _("客户联系成员"), "departments": _("部门"), "members": _("成员"), "tags": _("企业标签")}


def say_cause(unit: SyncUnit) -> str:
    """Why a unit came out as it did, in a sentence that says what to do."""
    if unit.state == State.FETCHED:
        return _("读到 %(n)s 位客户") % {"n": unit.fetched}
    if unit.state == State.EMPTY:
        return _("没有客户")
    if not unit.last_error:
        return _("还没有读到这里") if unit.state == State.WAITING else ""
    found = _CODE.match(unit.last_error)
    code = int(found[1]) if found else None
    if code in UNKNOWN_MEMBER:
        return _("企业微信不认识这个成员:可能已离职,或账号改了名。")
    if code in MEMBER_DENIED:
        return _("成员不在应用的可见范围内,或没有「客户联系」权限。请在企业微信管理后台检查后再同步。")
    found_out = words.explain(CallError(_CODE.sub("", unit.last_error), errcode=code))
    return f"{found_out.saw}{found_out.fix}"


def list_drift(run: SyncRun) -> list[DriftRow]:
    """What differed, unrepaired first, with `what` and the sides as text."""
    rows = list(DriftRow.objects.filter(run=run).order_by(F("repaired_at").asc(nulls_first=True), "id")[:SHOWN])
    names = name_entities()
    for row in rows:
        shown: Any = row
        shown.what, shown.ours, shown.theirs = (
            names.get(row.entity, row.entity),
            in_words(row.before),
            in_words(row.after),
        )
    return rows


def name_entities() -> dict[str, str]:
    """entity → its name on pages."""
    return {
        "follow": _("好友关系"), "contact": _("客户"), "group": _("客户群"), "group_member": _("群成员"),
        "member": _("成员"), "department": _("部门"), "tag": _("企业标签"),
    }  # fmt: skip


def sum_drift(run: SyncRun) -> list[dict[str, Any]]:
    """A row per entity with the true figures, however many rows are kept."""
    return [
        {"what": name, **{kind: run.drift_counts[entity].get(kind, 0) for kind in ("missing", "extra", "different", "repaired")}}
        for entity, name in name_entities().items()
        if entity in run.drift_counts
    ]  # fmt: skip


def list_recent(run: SyncRun) -> list[SyncRun]:
    """The latest runs of the same corp, with what they found."""
    rows = list(SyncRun.objects.filter(corp=run.corp_id).order_by("-id")[:RECENT])
    for row in rows:
        shown: Any = row
        shown.found, shown.mended = total_drift(row)
    return rows


def seconds_left(job: Job | None) -> int | None:
    """At the pace so far."""
    if job is None or job.is_over or not job.total or not job.done or not job.started_at:
        return None
    spent = (clock.wall() - job.started_at).total_seconds()
    return int(spent / job.done * (job.total - job.done))
