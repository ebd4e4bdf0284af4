"""What became of a segment: its size by day, and who came and went between two days, as far back as the records are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext as _

from contacts.models import Contact
from scrm.lib.errors import UserError
from tagging.models import Segment, SegmentChange, SegmentSize
from tenants.context import current_tenant


@dataclass(frozen=True)
class Difference:
    """Between the ends of two days. came: in at the end of the later one only; went: of the earlier one only. Roots, in no order;
    somebody who came and went between, or became one with another who was in, is neither."""

    came: QuerySet[Contact]
    went: QuerySet[Contact]


# Of each person (as the root she is today) the first and the last change between two instants: what she was before, and is after.
_TURNS = f"""
SELECT root_id FROM (
    SELECT coalesce(c.root_id, c.id) AS root_id,
        (array_agg(s.kind ORDER BY s.changed_at, s.id))[1] AS first,
        (array_agg(s.kind ORDER BY s.changed_at DESC, s.id DESC))[1] AS last
    FROM {SegmentChange._meta.db_table} AS s JOIN {Contact._meta.db_table} AS c ON c.id = s.contact_id
    WHERE s.segment_id = %s AND s.changed_at >= %s AND s.changed_at < %s GROUP BY 1
) AS turns WHERE first = %s AND last = %s
"""


def segment_diff(segment: Segment, day_a: date, day_b: date) -> Difference:
    """Who came and went from the end of one day to the end of a later one, in the merchant's time. Raises UserError when the days
    are the wrong way round."""
    if day_b <= day_a:
        raise UserError(_("请把较早的一天选在前面"), fields={"day_b": _("要晚于前一个日期")})
    since, until = _end(day_a), _end(day_b)
    return Difference(_turned(segment, since, until, "enter"), _turned(segment, since, until, "leave"))


def _turned(segment: Segment, since: datetime, until: datetime, kind: str) -> QuerySet[Contact]:
    """Whoever first entered was out before, and whoever last entered is in after."""
    turns = RawSQL(_TURNS, [segment.pk, since, until, kind, kind])  # noqa: S611  constant text, values as parameters
    return Contact.objects.filter(pk__in=turns, erased_at__isnull=True).order_by()


def _end(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(current_tenant().time_zone))


def size_history(segment: Segment, first: date, last: date) -> Sequence[tuple[date, int | None]]:
    """The size at the end of each day; None before the first record. A day without a row is as the day before. Two queries."""
    rows: Any = SegmentSize.objects.filter(segment=segment)
    before = rows.filter(day__lt=first).order_by("-day").values_list("size", flat=True).first()
    known = dict(rows.filter(day__range=(first, last)).values_list("day", "size"))
    found = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        before = known.get(day, before)
        found.append((day, before))
    return found
