"""A directory that shrank much: nothing of it is taken as gone until a person said so, and even then WeCom is asked once more.

An empty list is no question: it is left alone. What is counted here is what `directory` did not believe.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from scrm.lib import clock
from wecom_bridge import contracts as c
from wecom_bridge.gateway import CallError, Gateway
from wecom_bridge.gateway.errors import GONE_MEMBER
from wecom_bridge.models import StagedRow, SyncRun, SyncUnit
from wecom_bridge.services.parallel import run_all
from wecom_bridge.services.sync import directory, staging
from wecom_bridge.services.sync.pause import is_refusal
from wecom_bridge.services.sync.telling import tell

TOGETHER = 100  # members asked for and told in one transaction
SHOWN = 50  # userids that the page names
ASKED = "asked"  # a kind of staged row: this member was asked for by name after a person's word


@dataclass(frozen=True)
class _Lost:
    """What we know and the reading lacks; serving: all guides we know."""

    members: set[str]
    guides: set[str]
    departments: set[int]
    serving: set[str]  # guides as we know them


def find(run: SyncRun) -> dict[str, Any]:
    """How many members, guides and departments would be marked as gone, where a person must say so first; empty for none."""
    have = c.inventory()
    if have is None:
        return {}
    lost, told = _lost(run), {kind: _staged(run, kind) for kind in ("member", "follow_users", "departments")}
    found: dict[str, Any] = {}
    if (
        told["member"]
        and not directory.is_short(run)
        and directory.too_many_missing(lost.members, have.members(run.corp))
    ):
        found["members"] = len(lost.members)
    if told["follow_users"] and directory.lost_too_many(lost.serving, told["follow_users"]):
        found["guides"] = len(lost.guides)
    if told["departments"] and directory.lost_too_many(have.departments(run.corp), set(map(int, told["departments"]))):
        found["departments"] = len(lost.departments)
    if found:
        some = (lost.members if "members" in found else set()) | (lost.guides if "guides" in found else set())
        found["who"] = sorted(some)[:SHOWN]
    return found


def apply(run: SyncRun, gateway: Gateway, deadline: datetime) -> bool:
    """A person said they are gone. False when the slice was over first: who was asked for by then is not asked again.

    WeCom has the last word: whom it still shows by name stays, and a list that has somebody again counts. Raises CallError.
    """
    lost = _lost(run)
    members = lost.members if run.shrink.get("members") else set()
    guides = _still_lost(gateway, lost.guides) if run.shrink.get("guides") else None
    has_departments = bool(run.shrink.get("departments")) and _tell_departments(run, gateway)
    people = members | (guides or set())
    left = sorted(people - _staged(run, ASKED))
    for start in range(0, len(left), TOGETHER):
        if clock.wall() >= deadline:
            return False
        some = left[start : start + TOGETHER]
        _ask_and_tell(run, gateway, some, members, lost.serving - (guides or set()), deadline)
    if people - _staged(run, ASKED):
        return False
    done = {
        "members": bool(run.shrink.get("members")),
        "follow_users": guides is not None,
        "departments": has_departments,
    }
    lists = [name for name, is_done in done.items() if is_done]
    SyncUnit.objects.filter(run=run, kind="list", key__in=lists).update(state=SyncUnit.State.APPLIED, last_error="")
    return True


def _lost(run: SyncRun) -> _Lost:
    have = c.inventory()
    known = have.members(run.corp) if have else {}
    serving = {userid for userid, serves in known.items() if serves}
    departments = have.departments(run.corp) if have else set()
    return _Lost(
        set(known) - _staged(run, "member"), serving - _staged(run, "follow_users"),
        departments - set(map(int, _staged(run, "departments"))), serving,
    )  # fmt: skip


def _staged(run: SyncRun, kind: str) -> set[str]:
    return set(StagedRow.objects.filter(run=run, kind=kind).values_list("key", flat=True))


def _still_lost(gateway: Gateway, guides: set[str]) -> set[str] | None:
    """Whom the list of now lacks, too. None when it is empty or refused: it names nobody, so it ends nobody."""
    try:
        serving = set(gateway.get_follow_users())
    except CallError as error:
        if not is_refusal(error):
            raise
        return None
    return guides - serving if serving else None


def _tell_departments(run: SyncRun, gateway: Gateway) -> bool:
    """Gone is what both readings lack. False when the list is empty or refused now: then none is."""
    read_at = clock.now()
    try:
        now = gateway.get_departments()
    except CallError as error:
        if not is_refusal(error):
            raise
        return False
    if not now:
        return False
    both = {one.department_id: one for one in [*directory.staged_departments(run), *now]}
    with transaction.atomic():
        tell(run, "members", c.MembersBatch(run.corp, _source(run), read_at, list(both.values()), is_full=True))
    return True


def _ask_and_tell(
    run: SyncRun, gateway: Gateway, userids: Iterable[str], missing: set[str], serving: set[str], deadline: datetime
) -> None:
    read_at = clock.now()
    in_time = (userid for userid in userids if clock.wall() < deadline)
    asked, shown, left = [], [], []
    for userid, answer in run_all(
        lambda one: gateway.get_member(one, serves=one in serving), in_time, width=directory.WIDTH
    ):
        if isinstance(answer, c.MemberInfo):
            shown.append(answer)
        elif not isinstance(answer, CallError) or not is_refusal(answer):
            raise answer
        elif answer.errcode in GONE_MEMBER or userid in missing:
            left.append(userid)
        asked.append(userid)
    batch = c.MembersBatch(run.corp, _source(run), read_at, members=shown, left_userids=left)
    with transaction.atomic():
        tell(run, "members", batch)
        staging.write([staging.staged_row(run.pk, ASKED, "", userid, {}) for userid in asked])


def _source(run: SyncRun) -> c.Source:
    return "backfill" if run.kind == SyncRun.Kind.FIRST else "reconcile"
