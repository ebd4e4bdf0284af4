"""The outbox drained: claim → build → mark as sent (committed) → call → settle with the app's on_result, in one transaction.

What a crash leaves in between is found by its lapsed claim. Not marked as sent: nothing happened, again. Marked: an
idempotent command is called again, one that may run once becomes `unknown`, and only asking WeCom settles it.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When

from scrm.lib import clock
from tenants import audit, jobs
from tenants.audit import Actor
from wecom_bridge import answers
from wecom_bridge.contracts import Call, CommandKind, Refusal, Settled, command_kind
from wecom_bridge.figures import recorder
from wecom_bridge.gateway import CallError, Gateway, gateway_for
from wecom_bridge.models import OutboundCommand
from wecom_bridge.services.backoff import next_try
from wecom_bridge.services.errors import in_words
from wecom_bridge.services.parallel import run_all

logger = logging.getLogger(__name__)

State = OutboundCommand.State
OPEN = (State.WAITING, State.RETRY, State.CLAIMED, State.UNKNOWN)
BATCH = 20
WIDTH = 5
CLAIM = timedelta(seconds=90)
ASKS_AT_MOST = 60  # of a command whose result is unknown; then a person decides
LANE = "outbound"
BREATH = timedelta(seconds=0.5)  # a row that is due but held by another drain is not asked for without a pause

Ready = tuple[OutboundCommand, Call, Gateway]


def drain(deadline: datetime, lane: str = LANE) -> bool:
    """Work until nothing is due or the slice is over; True when it stopped with work left."""
    recover(clock.wall(), lane)
    while clock.wall() < deadline:
        commands = claim(clock.wall(), lane)
        if not commands:
            return False
        _run(commands, deadline)
    return OutboundCommand.objects.filter(_due(clock.wall(), lane)).exists()


def recover(now: datetime, lane: str) -> None:
    """Claims that lapsed belong to a worker that died: see the module's text."""
    orphans = OutboundCommand.objects.filter(lane=lane, state=State.CLAIMED, claimed_until__lt=now)
    once = Q(sent_at__isnull=False, policy=OutboundCommand.Policy.ONCE)
    orphans.update(
        state=Case(When(once, then=Value(State.UNKNOWN)), default=Value(State.RETRY)),
        claimed_until=None,
        claim_token="",
        next_attempt_at=now,
    )


def _claimable(lane: str) -> Q:
    """Unclaimed, and with no earlier open command of the same entity."""
    earlier = OutboundCommand.objects.filter(entity_key=OuterRef("entity_key"), pk__lt=OuterRef("pk"), state__in=OPEN)
    return Q(lane=lane, state__in=(State.WAITING, State.RETRY, State.UNKNOWN)) & ~Q(Exists(earlier))


def _due(now: datetime, lane: str) -> Q:
    return _claimable(lane) & Q(next_attempt_at__lte=now)


@transaction.atomic
def claim(now: datetime, lane: str, limit: int = BATCH) -> list[OutboundCommand]:
    """Due commands, most urgent first, at most one per entity. An unknown one stays unknown; its claim is for asking."""
    due = OutboundCommand.objects.select_for_update(skip_locked=True, of=("self",)).filter(_due(now, lane))
    rows = list(due.select_related("corp").order_by("priority", "next_attempt_at", "id")[:limit])
    token, until = secrets.token_hex(16), now + CLAIM
    for row in rows:
        row.claim_token, row.claimed_until = token, until
        row.attempts += 1
        if row.state != State.UNKNOWN:
            row.state, row.sent_at = State.CLAIMED, None
    OutboundCommand.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=Case(When(state=State.UNKNOWN, then=Value(State.UNKNOWN)), default=Value(State.CLAIMED)),
        sent_at=Case(When(state=State.UNKNOWN, then=F("sent_at")), default=None),
        # An unknown one is found by its due time, so that moves past the claim.
        next_attempt_at=Case(When(state=State.UNKNOWN, then=Value(until)), default=F("next_attempt_at")),
        claim_token=token,
        claimed_until=until,
        attempts=F("attempts") + 1,
    )
    return rows


def _run(commands: Sequence[OutboundCommand], deadline: datetime) -> None:
    """Ask about the unknown, build the others, call them in waves. What the slice has no time for is given back unsent."""
    doors: dict[int, Gateway] = {}
    ready: list[Ready] = []
    late: list[OutboundCommand] = []
    for command in commands:
        if clock.wall() >= deadline:
            late.append(command)
            continue
        try:
            door = doors.get(command.corp_id) or doors.setdefault(command.corp_id, gateway_for(command.corp))
            gateway = door.at(command.priority)
            if command.state == State.UNKNOWN:
                ask(command, gateway)
                continue
            call = command_kind(command.kind).build(command)
        except Exception as error:
            _not_called(command, error)
            continue
        if call is None:
            _cancel(command)
        else:
            ready.append((command, call, gateway))
    width = BATCH if commands[0].lane == "welcome" else WIDTH  # no welcome waits for the slowest of others
    while ready and clock.wall() < deadline:
        _call_some(ready[:width])
        del ready[:width]
    _give_back([*late, *(command for command, _call, _gateway in ready)])


def _give_back(commands: Sequence[OutboundCommand]) -> None:
    """Claimed, but nothing was done for them: due at once, and no attempt counted."""
    for command in commands:
        unknown = command.state == State.UNKNOWN
        OutboundCommand.objects.filter(pk=command.pk, claim_token=command.claim_token).update(
            state=State.UNKNOWN if unknown else State.RETRY if command.attempts > 1 else State.WAITING,
            attempts=command.attempts - 1,
            next_attempt_at=clock.wall() if unknown else F("next_attempt_at"),
            claimed_until=None,
            claim_token="",
        )


def _call_some(ready: list[Ready]) -> None:
    """Mark, call side by side, settle one by one as the answers come."""
    sent = _mark_sent([command for command, _call, _gateway in ready])
    marked = [item for item in ready if item[0].pk in sent]
    for (command, _call, _gateway), outcome in run_all(
        lambda item: item[2].call(item[1].method, **item[1].kwargs), marked, width=len(ready)
    ):
        if isinstance(outcome, Exception):
            _failed(command, outcome)
        else:
            _succeeded(command, outcome)


def _mark_sent(commands: Sequence[OutboundCommand]) -> set[int]:
    """Commit, once for all of a claim, that their calls are about to leave. The keys of those whose claim is still ours."""
    now, token = clock.wall(), commands[0].claim_token
    held = OutboundCommand.objects.filter(pk__in=[one.pk for one in commands], claim_token=token, state=State.CLAIMED)
    everything = {one.pk for one in commands}
    if held.update(sent_at=now) == len(everything):
        mine = everything
    else:
        mine = set(held.filter(sent_at=now).values_list("pk", flat=True))
    for command in commands:
        if command.pk in mine:
            command.sent_at = now
    return mine


def _succeeded(command: OutboundCommand, result: Mapping[str, Any]) -> None:
    kind = command_kind(command.kind)
    try:
        _settle(command, kind, result)
    except Exception as error:
        logger.exception("result of command %s could not be recorded", command.pk)
        _keep_result(command, result, error)


@transaction.atomic
def _settle(command: OutboundCommand, kind: CommandKind, result: Mapping[str, Any]) -> None:
    """The result and what the app makes of it, together. Nothing, if the claim is no longer ours."""
    row = _locked(command)
    if row is None:
        return
    row.result, row.sent_at = dict(result), command.sent_at
    kind.on_result(row, result)
    _finish(row, state=State.DONE, result=answers.kept(result), errcode=0)


def _cancel(command: OutboundCommand) -> None:
    """There is nothing left to call for."""
    kind = command_kind(command.kind)
    try:
        with transaction.atomic():
            row = _locked(command)
            if row is None:
                return
            if kind.on_cancelled is not None:
                kind.on_cancelled(row)
            _finish(row, state=State.CANCELLED)
    except Exception as failure:
        logger.exception("the end of command %s could not be recorded", command.pk)
        _again(command, failure)


def _locked(command: OutboundCommand) -> OutboundCommand | None:
    mine = OutboundCommand.objects.select_for_update(of=("self",)).select_related("corp")
    return mine.filter(pk=command.pk, claim_token=command.claim_token).first()


def _keep_result(command: OutboundCommand, result: Mapping[str, Any], error: Exception) -> None:
    """The call has happened, our side failed: keep the answer, so that it is recorded later without a second call."""
    _put_back(command, State.UNKNOWN, error, result=dict(result))


def _finish(command: OutboundCommand, **values: Any) -> None:
    now = clock.wall()
    recorder.observe("command", command.kind, values["state"], (now - command.created_at).total_seconds())
    OutboundCommand.objects.filter(pk=command.pk, claim_token=command.claim_token).update(
        settled_at=now, claimed_until=None, claim_token="", **({"last_error": ""} | values)
    )


def _failed(command: OutboundCommand, error: Exception) -> None:
    """A call that brought no good answer: refused for good, not now, or nobody knows."""
    if not isinstance(error, CallError):
        logger.error("command %s of kind %s broke: %r", command.pk, command.kind, error)
        if command.policy == OutboundCommand.Policy.ONCE:
            _put_back(command, State.UNKNOWN, error)  # it broke at the answer, so the call may have happened
        else:
            _not_called(command, error)
    elif error.executed_maybe and command.policy == OutboundCommand.Policy.ONCE:
        _put_back(command, State.UNKNOWN, error)
    elif error.errcode in command_kind(command.kind).already:
        _succeeded(command, {})
    elif error.retryable:
        _again(command, error)
    else:
        _refused(command, error)


def _not_called(command: OutboundCommand, error: Exception) -> None:
    """Nothing left this house: try again, and park what does not get better."""
    if not isinstance(error, CallError):
        logger.exception("command %s of kind %s could not be built", command.pk, command.kind, exc_info=error)
    _again(command, error)


def _again(command: OutboundCommand, error: Exception) -> None:
    held = isinstance(error, CallError) and error.held
    kind = find_kind(command.kind)
    is_over = command.attempts >= (kind.max_attempts if kind else 8) and not held
    waits = State.RETRY
    if command.state == State.UNKNOWN:
        waits, is_over = State.UNKNOWN, command.attempts >= ASKS_AT_MOST and not held
    if is_over:
        _park(command, kind, waits, error)
    else:
        _put_back(command, waits, error)


def _park(command: OutboundCommand, kind: CommandKind | None, waits: str, error: Exception) -> None:
    """A person decides from here on, and the app is told with it; if it cannot be told now, the command waits on as `waits`."""
    try:
        with transaction.atomic():
            row = _locked(command)
            if row is None:
                return
            row.state, row.sent_at = waits, command.sent_at if waits == State.UNKNOWN else None
            if kind is not None and kind.on_parked is not None:
                kind.on_parked(row)
            _put_back(command, State.PARKED, error)
    except Exception as failure:
        logger.exception("parking of command %s could not be told", command.pk)
        _put_back(command, waits, failure)


def find_kind(name: str) -> CommandKind | None:
    """The kind of a name, None for one that this version does not know (any more)."""
    try:
        return command_kind(name)
    except KeyError:
        return None


def _put_back(command: OutboundCommand, state: str, error: Exception, **values: Any) -> None:
    call = error if isinstance(error, CallError) else None
    now = clock.wall()
    in_doubt = State.UNKNOWN in (state, command.state)
    OutboundCommand.objects.filter(pk=command.pk, claim_token=command.claim_token).update(
        state=state,
        sent_at=command.sent_at if in_doubt else None,
        attempts=command.attempts - 1 if call and call.held else command.attempts,
        next_attempt_at=next_try(command.attempts, now, call.retry_after if call else None),
        claimed_until=None,
        claim_token="",
        errcode=call.errcode if call else None,
        last_error=in_words(error),
        **values,
    )


def _refused(command: OutboundCommand, error: CallError) -> None:
    """WeCom's final no, told to the app in the transaction that settles the row."""
    kind = command_kind(command.kind)
    try:
        with transaction.atomic():
            row = _locked(command)
            if row is None:
                return
            kind.on_refused(row, Refusal(error.errcode, error.message))
            _finish(row, state=State.FAILED, errcode=error.errcode, last_error=in_words(error))
    except Exception as failure:
        logger.exception("refusal of command %s could not be recorded", command.pk)
        _again(command, failure)


def ask(command: OutboundCommand, gateway: Gateway) -> None:
    """Settle a command whose answer was lost: by the answer kept, else by the kind's own procedure, else by another call."""
    kind = command_kind(command.kind)
    if command.result:
        _succeeded(command, command.result)
        return
    if kind.settle is None:
        _put_back_to_call(command)
        return
    try:
        found = kind.settle(command, gateway)
    except CallError as error:
        _again(command, error)
        return
    if found is None:
        _again(command, CallError(command.last_error or "unknown", errcode=command.errcode))
    else:
        _take_finding(command, found)


def _take_finding(command: OutboundCommand, found: Settled) -> None:
    if found.done:
        _succeeded(command, found.result)
    else:
        _put_back_to_call(command)


def _put_back_to_call(command: OutboundCommand) -> None:
    """It had not happened: the command waits for its call as it did at first."""
    OutboundCommand.objects.filter(pk=command.pk, claim_token=command.claim_token).update(
        state=State.RETRY, sent_at=None, next_attempt_at=clock.wall(), claimed_until=None, claim_token=""
    )


def next_due(lane: str = LANE) -> datetime | None:
    """The domain instant at which the next command can be claimed, or a claim lapses."""
    rows = OutboundCommand.objects.filter(lane=lane)
    waiting = rows.filter(_claimable(lane)).order_by("next_attempt_at")
    claimed = rows.filter(state=State.CLAIMED).order_by("claimed_until")
    moments = [
        waiting.values_list("next_attempt_at", flat=True).first(),
        claimed.values_list("claimed_until", flat=True).first(),
    ]
    known = [moment for moment in moments if moment]
    return max(min(known), clock.wall() + BREATH) + clock.offset() if known else None


@transaction.atomic
def retry(command_ids: Sequence[int], *, by: Actor) -> int:
    """A person says: again. Parked and waiting commands are due now; one that may run once is asked about first.

    A parked wish that was wished again meanwhile is cancelled: the newer one stands for it. Returns how many are due. The deed and
    its audit row are one; without a deed there is none.
    """
    cancelled = _cancel_superseded(command_ids)
    states = (State.PARKED, State.RETRY, State.UNKNOWN)
    rows = OutboundCommand.objects.select_for_update(of=("self",)).filter(pk__in=command_ids, state__in=states)
    ids = list(rows.order_by("id").values_list("pk", flat=True))
    doubtful = Q(policy=OutboundCommand.Policy.ONCE, sent_at__isnull=False)
    OutboundCommand.objects.filter(pk__in=ids).update(
        state=Case(When(doubtful, then=Value(State.UNKNOWN)), default=Value(State.RETRY)),
        attempts=0,
        next_attempt_at=clock.wall(),
        claimed_until=None,
        claim_token="",
    )
    if ids or cancelled:
        audit.record("outbox.retried", by=by, count=len(ids), ids=ids, cancelled=cancelled)
    for lane in ("welcome", LANE):
        jobs.nudge(lane)
    return len(ids)


def _cancel_superseded(command_ids: Sequence[int]) -> int:
    """How many."""
    same = OutboundCommand.objects.filter(dedupe_key=OuterRef("dedupe_key"), policy=OutboundCommand.Policy.IDEMPOTENT)
    newer = same.filter(Q(state__in=OPEN) | Q(state=State.PARKED, pk__in=command_ids, pk__gt=OuterRef("pk")))
    parked = OutboundCommand.objects.filter(pk__in=command_ids, state=State.PARKED)
    return parked.filter(Exists(newer), policy=OutboundCommand.Policy.IDEMPOTENT).update(
        state=State.CANCELLED, settled_at=clock.wall()
    )


@transaction.atomic
def drop(command_ids: Sequence[int], *, by: Actor) -> int:
    """A person gives up parked or failing commands; the app is told as of a refusal of our own. Returns how many.

    The deed and its audit row are one: a second click finds them given up, does nothing and leaves no row.
    """
    states = (State.PARKED, State.RETRY, State.WAITING)
    rows = OutboundCommand.objects.select_for_update(of=("self",)).filter(pk__in=command_ids, state__in=states)
    ids = []
    for row in rows.order_by("id"):
        if (kind := find_kind(row.kind)) is not None:
            kind.on_refused(row, Refusal(None, "dropped"))
        row.state, row.settled_at = State.CANCELLED, clock.wall()
        row.save(update_fields=["state", "settled_at"])
        ids.append(row.pk)
    if ids:
        audit.record("outbox.dropped", by=by, count=len(ids), ids=ids)
    return len(ids)
