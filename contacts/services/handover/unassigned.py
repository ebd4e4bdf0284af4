"""待分配 as WeCom counts it: its list of leavers' customers, read page by page, counted per member.

Read when a person asks, and by itself: when a leaver is noticed, and once a night as long as somebody who left still has friends.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from contacts.models import Follow, Member, Relation, UnassignedCount
from contacts.services.handover.eligibility import YEAR
from contacts.services.members import ensure_members
from scrm.lib import clock
from tenants import audit
from tenants.audit import Actor
from wecom_bridge.commands import Wish, enqueue_many
from wecom_bridge.models import Corp, OutboundCommand
from wecom_bridge.services.sync.nightly import latest_night

READ = "handover.read_unassigned"


@transaction.atomic
def ask(*, by: Actor) -> int:
    """Read the list of every corp anew, but where that is wished already; of how many corps it is read."""
    corps = list(Corp.objects.order_by("pk"))
    enqueue_many(READ, [_first(corp.pk) for corp in corps])
    audit.record("handover.unassigned_asked", by=by, corps=len(corps))
    return len(corps)


def ask_due(corp: Corp, now: datetime) -> bool:
    """Read the list by itself, in the caller's transaction: of a leaver it was not read for yet, or not since the night began.

    Whatever came of a reading asked for since, also by a person, it is not asked for again before the next night. Two queries.
    """
    night = latest_night(now)
    read_before = Q(unassigned__read_at__lt=night) | Q(unassigned__read_at__lt=F("left_at"))
    unread = Q(unassigned__isnull=True) | read_before
    latest = undone(corp, now).filter(unread).order_by("-left_at").values_list("left_at", flat=True).first()
    if latest is None:
        return False
    first_pages = OutboundCommand.objects.filter(kind=READ, corp=corp, payload__cursor="").order_by("-pk")
    asked_at = first_pages.values_list("payload__asked_at", flat=True).first()
    if asked_at and datetime.fromisoformat(asked_at) >= max(latest, night):
        return False
    return bool(enqueue_many(READ, [_first(corp.pk)]))


def undone(corp: Corp, now: datetime) -> QuerySet[Member]:
    """Who left within the year, so that WeCom still hands over, and is a friend of customers as far as we know."""
    friends = Follow.objects.filter(member=OuterRef("pk"), relation=Relation.ACTIVE)
    gone = Member.objects.filter(corp=corp, status=Member.Status.LEFT, left_at__gt=now - YEAR, left_at__lte=now)
    return gone.filter(Exists(friends))


def _entity(corp_id: int) -> str:
    return f"{READ}:{corp_id}"


def _first(corp_id: int) -> Wish:
    """The first page; while one waits to be read no other is wished."""
    payload = {"cursor": "", "counts": {}, "asked_at": clock.now().isoformat()}  # by the domain clock, as nights are
    return Wish(corp_id, _entity(corp_id), payload, dedupe_key=_entity(corp_id))


def _next(corp_id: int, cursor: str, counts: Mapping[str, Sequence[int]]) -> Wish:
    return Wish(corp_id, _entity(corp_id), {"cursor": cursor, "counts": dict(counts)})


def record_page(corp: Corp, payload: Mapping[str, Any], info: Sequence[Mapping[str, Any]], next_cursor: str) -> None:
    """Count a page; ask for the next, or write what all pages say. Who is not in them has nobody waiting."""
    counts: dict[str, list[int]] = {userid: list(pair) for userid, pair in payload["counts"].items()}
    for row in info:
        pair = counts.setdefault(row["handover_userid"], [0, 0])
        pair[0] += 1
        pair[1] = max(pair[1], int(row["dimission_time"]))
    if next_cursor:
        enqueue_many(READ, [_next(corp.pk, next_cursor, counts)])
        return
    _write(corp, counts, clock.now())


def _write(corp: Corp, counts: Mapping[str, Sequence[int]], now: datetime) -> None:
    members = ensure_members(corp, counts)
    rows = [
        UnassignedCount(member_id=members[userid], customers=pair[0], read_at=now) for userid, pair in counts.items()
    ]
    UnassignedCount.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["member"], update_fields=["customers", "read_at"]
    )
    UnassignedCount.objects.filter(member__corp=corp, read_at__lt=now).update(customers=0, read_at=now)
    # A leaver whom nobody has waiting for is counted too: the list was read, and she is not in it.
    silent = Member.objects.filter(corp=corp, status=Member.Status.LEFT, unassigned__isnull=True)
    UnassignedCount.objects.bulk_create(
        [UnassignedCount(member_id=pk, customers=0, read_at=now) for pk in silent.values_list("pk", flat=True)],
        ignore_conflicts=True,
    )
    _correct_leaving(corp, {members[userid]: pair[1] for userid, pair in counts.items() if pair[1]})


def _correct_leaving(corp: Corp, left: Mapping[int, int]) -> None:
    """Our instant of leaving is when a sync noticed; the year in which WeCom hands over runs from its own."""
    for member in Member.objects.filter(pk__in=left, status=Member.Status.LEFT):
        at = clock.from_unix(left[member.pk])
        if member.left_at is None or at < member.left_at:
            member.left_at = at
            member.save(update_fields=["left_at"])
