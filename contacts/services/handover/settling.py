"""WeCom's word on the rows of a plan: answers of calls, results, callbacks. Each may come late, twice, or before another.

Locks are taken in one order: people, then the plan, then its rows; handlers of inbound people hold the first already.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet

from contacts.models import (
    Contact,
    Follow,
    HandoverPlan,
    HandoverRow,
    Identity,
    Member,
    PlanState,
    Relation,
    RowState,
)
from contacts.models.handover import ROW_NEXT, ROW_OPEN
from contacts.services.handover.eligibility import FULL
from contacts.services.handover.running import OVER_A_DAY, OVERDUE, POLL, READ_RESULTS, tomorrow, wake
from contacts.services.inbound import lock_people, note_transferred
from contacts.services.ownership import assign_owner
from contacts.successions import TakenOver, tell
from scrm.lib import clock
from scrm.lib.db.bulk import update_rows
from tenants.audit import SYSTEM
from wecom_bridge.commands import enqueue
from wecom_bridge.contracts import EventFact
from wecom_bridge.models import Corp
from wecom_bridge.settling.transfers import NOT_BEGUN
from wecom_bridge.shapes.transfers import DONE, LIMIT, NO_RECORD, REFUSED

SLACK = timedelta(minutes=10)  # between our clock and WeCom's
FAIL_REASONS = {"customer_refused": RowState.REFUSED, "customer_limit_exceed": RowState.SUCCESSOR_FULL}


def record_answer(plan_id: int, batch: int, codes: Mapping[str, int]) -> None:
    """The answer of a call for customers: external_userid → errcode. Of whom it does not speak nobody knows; the results will tell."""
    plan, rows = _locked(plan_id, batch=batch, state=RowState.ASKING)
    for row in rows:
        assert row.follow is not None
        _take_code(plan, row, codes.get(row.follow.identity.value, 0))
    _save(plan, rows)


def record_groups_answer(plan_id: int, batch: int, failed: Mapping[str, int]) -> None:
    """The answer of a call for groups: chat_id → errcode of those that failed; the others have begun to change hands."""
    plan, rows = _locked(plan_id, batch=batch, state=RowState.ASKING)
    for row in rows:
        assert row.group is not None
        code = failed.get(row.group.chat_id, 0)
        if code == OVER_A_DAY:
            _wait_again(plan, row, errcode=code)
        else:
            _take_code(plan, row, code)
    over = any(code == OVER_A_DAY for code in failed.values())
    _save(plan, rows, at=tomorrow(clock.now()) if over else None)


def record_refusal(plan_id: int, batch: int, errcode: int | None, *, in_doubt: bool) -> None:
    """The whole call was refused, or given up by a person. in_doubt: it may have happened all the same, so the results tell."""
    plan, rows = _locked(plan_id, batch=batch, state=RowState.ASKING)
    for row in rows:
        if in_doubt:
            _step(row, RowState.SENT)
        else:
            _step(row, RowState.FAILED, errcode=errcode, reason="" if errcode else "given_up")
    _save(plan, rows)


def record_cancelled(plan_id: int, batch: int) -> None:
    """The call was not made, because its members or rows are gone: nothing has begun."""
    plan, rows = _locked(plan_id, batch=batch, state=RowState.ASKING)
    for row in rows:
        _step(row, RowState.FAILED, reason="successor_gone")
    _save(plan, rows)


def record_results(plan_id: int, successor_id: int, listed: Sequence[Mapping[str, Any]], next_cursor: str) -> None:
    """A page of what became of the pair's customers. A result older than our call is of an earlier hand-over."""
    told = {row["external_userid"]: row for row in listed}
    plan, rows = _locked(plan_id, successor_id=successor_id, state=RowState.SENT, follow__isnull=False)
    now = clock.now()
    ended: dict[int, datetime] = {}
    for row in rows:
        assert row.follow is not None
        found = told.get(row.follow.identity.value)
        if found is not None:
            _take_result(plan, row, int(found["status"]), _instant(found["takeover_time"]), now)
        if row.state == RowState.DONE:
            ended[row.pk] = row.settled_at or now
        elif row.state == RowState.SENT and not next_cursor and row.asked_at and now - row.asked_at > OVERDUE:
            _step(row, RowState.NO_RECORD, reason="overdue")
    _tell_relations(plan, [row for row in rows if row.pk in ended], ended)
    _save(plan, rows)
    _carry(plan.rows.filter(pk__in=ended))
    if next_cursor:
        payload = {"successor": successor_id, "cursor": next_cursor}
        enqueue(
            READ_RESULTS, corp=plan.from_member.corp_id, entity_key=f"{READ_RESULTS}:{plan.pk}:{successor_id}",
            payload=payload, subject_id=plan.pk, dedupe_key=f"{READ_RESULTS}:{plan.pk}:{successor_id}:{next_cursor}"[:120],
        )  # fmt: skip


def record_owner(row_id: int, userid: str) -> None:
    """Who owns a group now, as WeCom says."""
    row = HandoverRow.objects.filter(pk=row_id, state=RowState.SENT).first()
    if row is None:
        return
    plan, rows = _locked(row.plan_id, pk=row_id, state=RowState.SENT)
    now = clock.now()
    for one in rows:
        if one.successor and one.successor.userid.lower() == userid.lower():
            _step(one, RowState.DONE, at=now)
        elif one.asked_at and now - one.asked_at > OVERDUE:
            _step(one, RowState.NO_RECORD, reason="overdue")
    _save(plan, rows)


def record_group_gone(row_id: int, errcode: int | None) -> None:
    """WeCom does not know the group any more."""
    row = HandoverRow.objects.filter(pk=row_id).first()
    if row is not None and errcode is not None:
        plan, rows = _locked(row.plan_id, pk=row_id, state=RowState.SENT)
        for one in rows:
            _step(one, RowState.FAILED, errcode=errcode)
        _save(plan, rows)


def hear_transfers(corp: Corp, externals: Iterable[str]) -> None:
    """These people were read again, or told of: what is handed over by now is done. The caller holds the lock of people."""
    named = Identity.named(corp, externals, path="follow__identity__")
    found = HandoverRow.objects.filter(
        state__in=(RowState.SENT, RowState.NO_RECORD), follow__relation=Relation.TRANSFERRED,
        follow__relation_since__gte=F("asked_at") - SLACK, **named,
    )  # fmt: skip
    for plan_id in sorted(set(found.values_list("plan_id", flat=True))):
        plan, rows = _locked(plan_id, pk__in=list(found.filter(plan_id=plan_id).values_list("pk", flat=True)))
        for row in rows:
            assert row.follow is not None
            _step(row, RowState.DONE, at=row.follow.relation_since)
        _save(plan, rows)
    _carry(HandoverRow.objects.filter(**named))


def hear_failure(corp: Corp, fact: EventFact) -> None:
    """transfer_fail: the customer refused, or the successor is full. One of an earlier try settles nothing."""
    state = FAIL_REASONS.get(fact.fields.get("FailReason", ""))
    external, userid = fact.fields.get("ExternalUserID", ""), fact.fields.get("UserID", "")
    if state is None or not external:
        return
    named = Identity.named(corp, [external], path="follow__identity__")
    found = HandoverRow.objects.filter(
        state=RowState.SENT, successor__userid=userid, successor__corp=corp,
        asked_at__lte=fact.occurred_at + SLACK, **named,
    )  # fmt: skip
    for plan_id in sorted(set(found.values_list("plan_id", flat=True))):
        lock_people()
        plan, rows = _locked(plan_id, pk__in=list(found.filter(plan_id=plan_id).values_list("pk", flat=True)))
        for row in rows:
            _fail(plan, row, state, at=fact.occurred_at)
        _save(plan, rows)


def hear_groups(corp: Corp, chat_ids: Iterable[str]) -> None:
    """Groups were read again: those whose owner is the successor now are done."""
    found = HandoverRow.objects.filter(
        state__in=(RowState.SENT, RowState.NO_RECORD), group__corp=corp, group__chat_id__in=list(chat_ids),
        group__owner_id=F("successor_id"),
    )  # fmt: skip
    for plan_id in sorted(set(found.values_list("plan_id", flat=True))):
        plan, rows = _locked(plan_id, pk__in=list(found.filter(plan_id=plan_id).values_list("pk", flat=True)))
        for row in rows:
            _step(row, RowState.DONE, at=clock.now())
        _save(plan, rows)


def _locked(plan_id: int, **which: Any) -> tuple[HandoverPlan, list[HandoverRow]]:
    lock_people()
    plan = HandoverPlan.objects.select_for_update(of=("self",)).select_related("from_member").get(pk=plan_id)
    rows = HandoverRow.objects.select_for_update(of=("self",)).filter(plan_id=plan_id, **which)
    return plan, list(rows.select_related("follow__identity", "group", "successor").order_by("pk"))


def _step(
    row: HandoverRow, state: RowState, *, reason: str = "", errcode: int | None = None, at: datetime | None = None
) -> None:
    """Raises ValueError for a step the states do not know."""
    if state not in ROW_NEXT[row.state]:
        raise ValueError(f"a row of a handover does not go from {row.state} to {state}")
    row.state, row.reason, row.errcode = state, reason, errcode
    row.settled_at = None if state in ROW_OPEN else (at or clock.now())


def _take_code(plan: HandoverPlan, row: HandoverRow, code: int) -> None:
    if code == 0:
        _step(row, RowState.SENT)
        row.due_at = (row.asked_at or clock.now()) + timedelta(hours=24)
    elif code == NOT_BEGUN:
        _wait_again(plan, row)
    elif code == FULL:
        _fail(plan, row, RowState.SUCCESSOR_FULL, errcode=code)
    else:
        _step(row, RowState.FAILED, errcode=code)


def _wait_again(plan: HandoverPlan, row: HandoverRow, *, errcode: int | None = None) -> None:
    """It had not begun; a plan that was stopped meanwhile does not begin it. errcode: why not today."""
    _step(row, RowState.WAITING, errcode=errcode)
    row.batch = None
    row.asked_at = row.asked_at if errcode else None
    if plan.state == PlanState.STOPPED:
        _step(row, RowState.STOPPED)


def _fail(
    plan: HandoverPlan, row: HandoverRow, state: RowState, *, errcode: int | None = None, at: datetime | None = None
) -> None:
    """Refused or full; from a successor who is full the customer goes to the fallback, once."""
    _step(row, state, errcode=errcode, at=at)
    if state == RowState.SUCCESSOR_FULL and row.fallback_id and plan.state == PlanState.RUNNING:
        row.successor_id, row.fallback_id = row.fallback_id, None
        row.state, row.errcode, row.batch, row.settled_at = RowState.WAITING, None, None, None


def _take_result(plan: HandoverPlan, row: HandoverRow, status: int, at: datetime | None, now: datetime) -> None:
    asked = row.asked_at or now
    if at is not None and at < asked - SLACK:
        return
    if status == DONE:
        _step(row, RowState.DONE, at=at)
    elif status in (REFUSED, LIMIT):
        _fail(plan, row, RowState.REFUSED if status == REFUSED else RowState.SUCCESSOR_FULL, at=at)
    elif status == NO_RECORD:
        if now - asked >= POLL:  # it may not be listed the moment it is asked for
            _step(row, RowState.NO_RECORD)
    else:
        row.due_at = at or row.due_at


def _instant(seconds: int) -> datetime | None:
    return clock.from_unix(seconds) if seconds else None


def _save(plan: HandoverPlan, rows: Sequence[HandoverRow], *, at: datetime | None = None) -> None:
    if not rows:
        return
    update_rows(HandoverRow, [
        {
            "id": row.pk, "state": str(row.state), "reason": row.reason, "errcode": row.errcode, "batch": row.batch,
            "asked_at": row.asked_at, "due_at": row.due_at, "settled_at": row.settled_at,
            "successor_id": row.successor_id, "fallback_id": row.fallback_id,
        }
        for row in rows
    ])  # fmt: skip
    done = [row for row in rows if row.state == RowState.DONE and row.follow_id]
    if done and plan.moves_ownership:
        _move_ownership(plan, done)
    if any(row.state == RowState.WAITING for row in rows) or not plan.rows.filter(state__in=ROW_OPEN).exists():
        wake(plan.pk, at or clock.now())


def _move_ownership(plan: HandoverPlan, rows: Sequence[HandoverRow]) -> None:
    """业绩归属 goes with the customer where the giver had it; another guide's credit stays hers."""
    people = {row.follow.contact_id: row.successor_id for row in rows if row.follow}
    owned = Contact.objects.filter(pk__in=people, root__isnull=True, owner=plan.from_member_id)
    owned_branches = Contact.objects.filter(pk__in=people, root__owner=plan.from_member_id)
    mine = set(owned.values_list("pk", flat=True)) | set(owned_branches.values_list("pk", flat=True))
    for member in Member.objects.filter(pk__in={people[pk] for pk in mine}):
        hers = [pk for pk in mine if people[pk] == member.pk]
        assign_owner(hers, member, by=SYSTEM, at=clock.now(), reason="transfer", must_be_friend=False)


def _tell_relations(plan: HandoverPlan, rows: Sequence[HandoverRow], ended: Mapping[int, datetime]) -> None:
    """Where no callback told us (none is sent when the successor was her friend before), the result is what we know."""
    still = [row for row in rows if row.follow and row.follow.relation == Relation.ACTIVE]
    pairs = [
        (row.follow.identity.value, row.successor.userid, ended[row.pk])
        for row in still
        if row.follow and row.successor
    ]
    if pairs:
        note_transferred(plan.from_member.corp, plan.from_member.userid, pairs)


def _carry(rows: QuerySet[HandoverRow]) -> None:
    """Tell the apps above of what was taken over, once the successor's relation is known: her add event may come later."""
    found = rows.filter(state=RowState.DONE, carried_at__isnull=True, follow__isnull=False)
    done = list(found.values_list("pk", "follow_id", "follow__identity_id", "successor_id", "plan__moves_remarks"))
    if not done:
        return
    standing = Follow.objects.filter(
        identity_id__in={one[2] for one in done}, member_id__in={one[3] for one in done}, relation=Relation.ACTIVE
    )
    pairs = {(identity, member): pk for pk, identity, member in standing.values_list("pk", "identity_id", "member_id")}
    taken = {
        pk: TakenOver(follow, pairs[identity, member], with_remarks)
        for pk, follow, identity, member, with_remarks in done
        if (identity, member) in pairs
    }
    HandoverRow.objects.filter(pk__in=taken).update(carried_at=clock.now())
    tell(list(taken.values()))
