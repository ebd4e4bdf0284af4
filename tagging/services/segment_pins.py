"""Pins: who is in a segment, or never in it, by somebody's decision. They survive every rebuild and win over the condition."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from conditions.drain import LOCK
from conditions.people import branches, people, roots
from contacts.models import Contact
from scrm.lib import clock
from scrm.lib.errors import UserError
from tagging.models import Segment, SegmentChange, SegmentEntry, SegmentPin
from tagging.services import segment_entries, segment_following
from tagging.services.segment_entries import PINNED, Pair, moves_between, table
from tenants import audit, locks
from tenants.audit import Actor

State = Segment.State
Origin = SegmentEntry.Origin
_PINS_AND_ENTRIES = f"""
SELECT pinned.contact_id, pinned.is_in, e.origin FROM ({PINNED}) AS pinned
JOIN {table(Contact)} AS c ON c.id = pinned.contact_id AND c.erased_at IS NULL
LEFT JOIN {table(SegmentEntry)} AS e ON e.segment_id = %s AND e.contact_id = pinned.contact_id
"""
MOST = 10_000  # pins of a segment: more are a fixed list


@transaction.atomic
def pin(segment: Segment, contact_ids: Iterable[int], *, is_in: bool, reason: str, by: Actor) -> int:
    """Keep these people in the segment, or out of it, from now on; how many. A merged one means her root; an earlier pin of hers
    goes. Raises UserError for a fixed list, an overlong reason or too many.
    """
    reason = reason.strip()
    if len(reason) > 200:
        raise UserError(_("原因请写在 200 字以内"), fields={"reason": _("最多 200 字")})
    segment, root_ids = _begin(segment, contact_ids)
    _forget(segment, root_ids)
    if SegmentPin.objects.filter(segment=segment).count() + len(root_ids) > MOST:
        raise UserError(_("一个人群最多手动调整 %(n)s 位客户,更多请用固定名单") % {"n": MOST})
    now, actor_id = clock.now(), by.id if by.kind == "user" else None
    SegmentPin.objects.bulk_create(
        SegmentPin(segment=segment, contact_id=pk, is_in=is_in, reason=reason, pinned_by_id=actor_id, pinned_at=now)
        for pk in root_ids
    )
    if segment.state != State.BUILDING:  # the build's end does it
        settle(segment, now)
    audit.record("segment.pinned", segment, by=by, people=len(root_ids), is_in=is_in)
    return len(root_ids)


@transaction.atomic
def unpin(segment: Segment, contact_ids: Iterable[int], *, by: Actor) -> int:
    """Let the condition decide about these people again; how many were pinned."""
    segment, root_ids = _begin(segment, contact_ids)
    gone, now = _forget(segment, root_ids), clock.now()
    SegmentEntry.objects.filter(segment=segment, contact_id__in=root_ids, origin=Origin.PIN).update(origin=Origin.TREE)
    segment_following.decide(segment, root_ids, now)
    audit.record("segment.unpinned", segment, by=by, people=gone)
    return gone


def _begin(segment: Segment, contact_ids: Iterable[int]) -> tuple[Segment, Sequence[int]]:
    """The segment, locked against batches of marks and other pins, and the living people meant."""
    locks.lock_in_transaction(LOCK)
    segment = Segment.objects.select_for_update().get(pk=segment.pk)
    if segment.kind != "dynamic" or segment.archived_at is not None:
        raise UserError(_("只有在用的动态人群可以手动调整;固定名单请直接增减客户"))
    wanted = set(roots(contact_ids).values())
    return segment, sorted(people().filter(pk__in=wanted).values_list("pk", flat=True))


def _forget(segment: Segment, root_ids: Sequence[int]) -> int:
    of_them = SegmentPin.objects.filter(segment=segment, contact_id__in=list(branches(root_ids)))
    return of_them.delete()[0]


def settle(segment: Segment, now: datetime) -> None:
    """Make the entries agree with the pins, whatever state the condition is in."""
    with connection.cursor() as cursor:
        cursor.execute(_PINS_AND_ENTRIES, [segment.pk, segment.pk])
        rows = cursor.fetchall()
    present: dict[Pair, str] = {(segment.pk, pk): origin for pk, _is_in, origin in rows if origin}
    wanted: dict[Pair, str] = {(segment.pk, pk): Origin.PIN for pk, is_in, _origin in rows if is_in}
    segment_entries.move([segment], moves_between(present, wanted), SegmentChange.Cause.PIN, now)
