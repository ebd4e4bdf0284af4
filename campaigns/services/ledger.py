"""The ledger of all mass sends of a corp, ours or not: WeCom's quota is shared, so we must know what others spent.

A reading is a chain of commands: pages of messages, then each foreign message's tasks, then each sender's results. The
coverage advances when its last answer is in; until then what lies beyond it is 额度未知.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from campaigns.models import Dispatch, LedgerCoverage, MassSend, MassSendResult
from campaigns.policy import SendPolicy
from campaigns.queries.verdicts import covered_corps
from campaigns.services.asking import has_sent
from campaigns.services.broadcasts import LANE
from campaigns.times import quota_window
from contacts.services.forgotten import find_forgotten
from scrm.lib import clock
from tenants import jobs
from wecom_bridge import commands
from wecom_bridge.models import Corp

LEDGER = "groupmsg.list"
SPAN = timedelta(days=28)  # get_groupmsg_list_v2 takes at most a month
BACK_AT_FIRST = timedelta(days=32)
# WeCom may list a message late: the list of the latest days is read again.
READ_AGAIN = timedelta(days=3)
# A foreign message is read at every reading until all of its senders confirmed and everybody's result is known, or so long.
UNREAD_FOR = timedelta(days=30)
FRESH_FOR = timedelta(hours=20)
GIVE_UP_AFTER = timedelta(hours=2)
RETRY_AFTER = timedelta(minutes=30)
# Until so long before its 确认截止时间 a push waits for a ledger that has grown old; then it goes on with what is known.
LAST_CALL = timedelta(minutes=30)
CHAT_TYPES = ("single", "group")
PAGE = 100


def refresh_due() -> int:
    """Start a reading for every connected corp whose ledger is growing old. How many were started."""
    return sum(start_reading(corp.pk, older_than=FRESH_FOR) for corp in connected_corps())


def connected_corps() -> Iterable[Corp]:
    return Corp.objects.filter(is_active=True, connected_at__isnull=False).order_by("pk")


def corps_to_wait_for(now: datetime, policy: SendPolicy) -> set[int]:
    """Connected corps whose ledger is too old to judge anybody's quota: after an outage everybody would be 额度未知, for good.

    A reading of each is under way or will be tried again.
    """
    connected = {corp.pk for corp in connected_corps()}
    return connected - set(covered_corps(now, quota_window(now, policy)[0], policy)) if connected else set()


@transaction.atomic
def start_reading(corp_id: int, *, older_than: timedelta = timedelta()) -> bool:
    """Read the corp's mass sends up to now, unless that is young enough or under way. Whether one was started."""
    now = clock.now()
    LedgerCoverage.objects.bulk_create([LedgerCoverage(corp_id=corp_id)], ignore_conflicts=True)
    coverage = LedgerCoverage.objects.select_for_update().get(corp_id=corp_id)
    if coverage.covered_to and now - coverage.covered_to < older_than:
        return False
    if coverage.reading_to and now - coverage.reading_to < _pause(coverage):
        return False
    start = coverage.covered_to - READ_AGAIN if coverage.covered_to else now - BACK_AT_FIRST
    coverage.reading_from, coverage.reading_to, coverage.awaited, coverage.last_error = start, now, 0, ""
    older = _unread(corp_id).filter(created_at__lt=start, created_at__gt=now - UNREAD_FOR)
    for msgid in older.values_list("msgid", flat=True):
        coverage.awaited += 1
        _ask(coverage, {"step": "task", "msgid": msgid})
    for chat_type in CHAT_TYPES:
        for begin in _spans(start, now):
            coverage.awaited += 1
            end = min(begin + SPAN, now)
            _ask(coverage, {"step": "list", "chat_type": chat_type, "start": _unix(begin), "end": _unix(end)})
    coverage.save(update_fields=["reading_from", "reading_to", "awaited", "last_error"])
    return True


def _unread(corp_id: int) -> QuerySet[MassSend]:
    """Foreign messages of which not every result is known."""
    return MassSend.objects.filter(corp_id=corp_id, dispatch_id__isnull=True, results_final_at__isnull=True)


def _spans(start: datetime, end: datetime) -> Iterable[datetime]:
    while start < end:
        yield start
        start += SPAN


def _unix(instant: datetime) -> int:
    return int(instant.timestamp())


def _ask(coverage: LedgerCoverage, payload: dict[str, Any]) -> None:
    assert coverage.reading_to is not None
    commands.enqueue(
        LEDGER,
        corp=coverage.corp_id,
        entity_key=f"ledger:{coverage.corp_id}:{payload.get('msgid') or payload.get('chat_type')}",
        payload=payload | {"reading": coverage.reading_to.isoformat()},
        priority=80,
    )


def record_answer(corp_id: int, payload: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """One answer of a reading: write it down, ask what follows from it, and advance the coverage after the last one."""
    coverage = LedgerCoverage.objects.select_for_update().get(corp_id=corp_id)
    step = {"list": _record_list, "task": _record_tasks, "results": _record_results}[payload["step"]]
    following = step(corp_id, payload, answer)
    if answer.get("next_cursor"):
        following.append({**_question(payload), "cursor": answer["next_cursor"]})
    if not _is_under_way(coverage, payload):
        return
    for question in following:
        _ask(coverage, question)
    _count_down(coverage, len(following))


def record_failure(corp_id: int, payload: Mapping[str, Any], message: str) -> None:
    """An answer that will not come. Without a list nothing is known: the reading ends and the coverage stays.

    Without one message the others are known: `last_error` says so, and it is asked for again at the next reading.
    """
    coverage = LedgerCoverage.objects.select_for_update().get(corp_id=corp_id)
    if not _is_under_way(coverage, payload):
        return
    coverage.last_error = message[:200]
    coverage.save(update_fields=["last_error"])
    if payload["step"] == "list":
        coverage.awaited = 0
        coverage.save(update_fields=["awaited"])
    else:
        _count_down(coverage, 0)


def _is_under_way(coverage: LedgerCoverage, payload: Mapping[str, Any]) -> bool:
    """Whether an answer belongs to the present reading, not to one that was given up."""
    return bool(coverage.awaited and coverage.reading_to and coverage.reading_to.isoformat() == payload["reading"])


def _question(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key not in ("cursor", "reading")}


def _count_down(coverage: LedgerCoverage, more: int) -> None:
    coverage.awaited += more - 1
    if coverage.awaited <= 0:
        coverage.covered_from = min(filter(None, (coverage.covered_from, coverage.reading_from)))
        coverage.covered_to, coverage.reading_to, coverage.awaited = coverage.reading_to, None, 0
        jobs.nudge(LANE)  # what waited for it goes on
    coverage.save(update_fields=["awaited", "covered_from", "covered_to", "reading_to"])


def _record_list(corp_id: int, payload: Mapping[str, Any], answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = answer.get("group_msg_list") or []
    msgids = [item["msgid"] for item in listed]
    ours = dict(Dispatch.objects.filter(msgid__in=msgids).values_list("msgid", "pk"))
    rows = [
        MassSend(
            corp_id=corp_id,
            msgid=item["msgid"],
            chat_type=payload["chat_type"],
            create_type=int(item.get("create_type", 0)),
            creator_userid=item.get("creator") or "",
            dispatch_id=ours.get(item["msgid"]),
            created_at=clock.from_unix(item["create_time"]),
        )
        for item in listed
    ]
    MassSend.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["corp", "msgid"], update_fields=["dispatch_id", "creator_userid"]
    )
    unread = _unread(corp_id).filter(msgid__in=msgids)
    return [{"step": "task", "msgid": msgid} for msgid in unread.values_list("msgid", flat=True)]


def _record_tasks(corp_id: int, payload: Mapping[str, Any], answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Senders who confirmed have results; the others have sent nothing so far. senders: how many, when all of them did."""
    tasks = answer.get("task_list") or []
    sent = [task["userid"] for task in tasks if has_sent(task)]
    is_whole = not payload.get("cursor") and not answer.get("next_cursor")
    senders = len(sent) if is_whole and len(sent) == len(tasks) else None
    return [{"step": "results", "msgid": payload["msgid"], "userid": userid, "senders": senders} for userid in sent]


def _record_results(corp_id: int, payload: Mapping[str, Any], answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    send = MassSend.objects.get(corp_id=corp_id, msgid=payload["msgid"])
    told = answer.get("send_list") or []
    gone = find_forgotten({row["external_userid"] for row in told if row.get("external_userid")})
    marks = {value: mark for value, mark in gone.marks().items() if gone.holds(value, send.created_at)}
    rows = [
        MassSendResult(
            corp_id=corp_id,
            mass_send=send,
            userid=payload["userid"],
            target=marks.get(target, target),
            status=int(row["status"]),
            sent_at=clock.from_unix(row["send_time"]) if row.get("send_time") else None,
        )
        for row in told
        for target in (row.get("external_userid") or row.get("chat_id") or "",)
    ]
    MassSendResult.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["mass_send", "userid", "target"],
        update_fields=["status", "sent_at"],
    )
    if not answer.get("next_cursor") and _is_final(send, payload.get("senders")):
        MassSend.objects.filter(pk=send.pk).update(results_final_at=clock.now())
    return []


def _is_final(send: MassSend, senders: int | None) -> bool:
    """Nothing more will come: every sender confirmed and has results, none of them open. Of groups WeCom lists only the sent
    ones, so they are given READ_AGAIN."""
    if senders is None or clock.now() - send.created_at <= READ_AGAIN:
        return False
    found = send.results.all()
    return found.values("userid").distinct().count() >= senders and not found.filter(status=0).exists()


def next_due() -> datetime | None:
    """When the next reading is wanted, or the one under way is given up."""
    coverages = {row.corp_id: row for row in LedgerCoverage.objects.all()}
    moments = [_next_reading(coverages.get(corp.pk)) for corp in connected_corps()]
    return min(moments, default=None)


def _next_reading(coverage: LedgerCoverage | None) -> datetime:
    if coverage is None:
        return clock.now()
    wanted = coverage.covered_to + FRESH_FOR if coverage.covered_to else clock.now()
    return max(wanted, coverage.reading_to + _pause(coverage)) if coverage.reading_to else wanted


def _pause(coverage: LedgerCoverage) -> timedelta:
    """How long after the beginning of the latest reading another one may begin."""
    return GIVE_UP_AFTER if coverage.awaited else RETRY_AFTER if coverage.last_error else timedelta()
