"""待分配 as WeCom counts it: its list of leavers' customers, read page by page, counted per member."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from contacts.models import Member, UnassignedCount
from contacts.services.members import ensure_members
from scrm.lib import clock
from tenants import audit
from tenants.audit import Actor
from wecom_bridge.commands import Wish, enqueue_many
from wecom_bridge.models import Corp

READ = "handover.read_unassigned"


@transaction.atomic
def ask(*, by: Actor) -> int:
    """Read the list of every corp anew; how many corps are asked."""
    corps = list(Corp.objects.order_by("pk"))
    enqueue_many(READ, [_wish(corp.pk, "", {}) for corp in corps])
    audit.record("handover.unassigned_asked", by=by, corps=len(corps))
    return len(corps)


def _wish(corp_id: int, cursor: str, counts: Mapping[str, Sequence[int]]) -> Wish:
    return Wish(corp_id, f"{READ}:{corp_id}", {"cursor": cursor, "counts": dict(counts)})


def record_page(corp: Corp, payload: Mapping[str, Any], info: Sequence[Mapping[str, Any]], next_cursor: str) -> None:
    """Count a page; ask for the next, or write what all pages say. Who is not in them has nobody waiting."""
    counts: dict[str, list[int]] = {userid: list(pair) for userid, pair in payload["counts"].items()}
    for row in info:
        pair = counts.setdefault(row["handover_userid"], [0, 0])
        pair[0] += 1
        pair[1] = max(pair[1], int(row["dimission_time"]))
    if next_cursor:
        enqueue_many(READ, [_wish(corp.pk, next_cursor, counts)])
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
