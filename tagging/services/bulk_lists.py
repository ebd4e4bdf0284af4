"""Many people put on a fixed list at once, or taken off it, and taken back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.bulk import Kind, Outcome, Params, Reversal
from scrm.lib.errors import UserError
from tagging.models import Segment, SegmentEntry
from tagging.services.static_lists import fill_static
from tenants.audit import Actor


def standing_lists() -> Any:
    """Fixed lists in use, by name."""
    return Segment.objects.filter(kind="static", archived_at__isnull=True).order_by("name")


def _list(params: Params) -> Segment:
    found: Segment | None = standing_lists().filter(pk=params["segment"]).first()
    if found is None:
        raise UserError(_("名单不存在或已归档,请重新选择。"))
    return found


def _check(params: Params) -> None:
    _list(params)


def _run(params: Params, ids: Sequence[int], by: Actor, at: datetime) -> Outcome:
    segment, is_adding = _list(params), params["how"] == "add"
    there = _there(segment, ids)
    moving = [pk for pk in ids if (pk in there) != is_adding]
    fill_static(segment, moving, how=params["how"], by=by, at=at)
    return Outcome(changed=dict.fromkeys(moving, not is_adding))


def _undo(params: Params, before: Mapping[int, Any], by: Actor, done_at: datetime) -> Reversal:
    segment, is_adding = _list(params), params["how"] == "add"
    there = _there(segment, list(before), until=done_at if is_adding else None)  # who was added again since stays
    back = [pk for pk in before if (pk in there) == is_adding]
    fill_static(segment, back, how="remove" if is_adding else "add", by=by)
    return Reversal(undone=set(back))


def _there(segment: Segment, ids: Sequence[int], until: datetime | None = None) -> set[int]:
    entries = SegmentEntry.objects.filter(segment=segment, contact_id__in=list(ids))
    if until is not None:
        entries = entries.filter(entered_at__lte=until)
    return set(entries.values_list("contact_id", flat=True))


def _in_words(params: Params) -> str:
    name = Segment.objects.filter(pk=params["segment"]).values_list("name", flat=True).first() or "—"
    return (_("加入名单「%(name)s」") if params["how"] == "add" else _("移出名单「%(name)s」")) % {"name": name}


LISTS = Kind(
    "list", gettext_lazy("加入固定名单"), "segments.edit", check=_check, run=_run, undo=_undo, in_words=_in_words
)
