"""Tags and segments of a person who is erased; how many entered and left stays."""

from collections import Counter
from collections.abc import Sequence

from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from contacts.erasers import of_contact
from tagging.models import Segment, SegmentEntry
from tenants import erasure
from tenants.erasure import Eraser, Subject


def _shrink(rows: Sequence[SegmentEntry], subject: Subject) -> None:
    """Sizes follow at once: nobody hears of a change of somebody who is gone."""
    for segment_id, count in Counter(row.segment_id for row in rows).items():
        Segment.objects.filter(pk=segment_id).update(size=F("size") - count)


def register() -> None:
    """Tell the registry."""
    erasure.register(
        Eraser("tagging.FollowTag", _("客户标签"), of_contact),
        Eraser("tagging.PreTag", _("预打标签"), lambda subject: of_contact(subject) | Q(value__in=subject.texts())),
        Eraser("tagging.TagMergeMove", _("标签合并的明细"), of_contact),
        Eraser("tagging.SegmentEntry", _("所在人群"), of_contact, afterwards=_shrink),
        Eraser("tagging.SegmentPin", _("人群手动调整"), of_contact),
        Eraser(
            "tagging.RuleMatch",
            _("规则命中"),
            lambda subject: of_contact(subject) & Q(left_at__isnull=True),
            blank={"left_at": lambda row, subject: subject.at},
        ),
        Eraser("tagging.RuleEvent", _("规则事件"), of_contact),
    )
