"""Condition fields about tags and segments."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field, Option, register
from conditions.tree import Leaf
from contacts.models import Contact, Relation
from tagging.models import FollowTag, SegmentEntry
from tagging.queries import carried_marks, live_segments, live_tags


def _tag_options() -> list[Option]:
    return [
        Option(tag.pk, tag.name, tag.group.name)
        for tag in live_tags().order_by("-group__order", "group_id", "-order", "pk")
    ]


def _owner_s_marks() -> QuerySet[Any]:
    return carried_marks().filter(follow__member_id=Coalesce(F("contact__root__owner_id"), F("contact__owner_id")))


def _read(root_ids: Sequence[int], *, by_owner: bool) -> dict[int, list[tuple[int, datetime]]]:
    root_of = branches(root_ids)
    owners = {person.pk: person.owner_id for person in Contact.objects.filter(pk__in=list(root_ids))}
    found: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    marks = FollowTag.objects.filter(contact_id__in=list(root_of)).select_related("follow", "tag")
    for mark in marks:
        root_id = root_of[mark.contact_id]
        if mark.follow.relation != Relation.ACTIVE or mark.state in ("removing", "failed") or mark.tag.deleted_at:
            continue
        if not by_owner or (owners[root_id] is not None and mark.follow.member_id == owners[root_id]):
            found[root_id].append((mark.tag_id, mark.tagged_at))
    return found


def _read_tags(root_ids: Sequence[int]) -> Mapping[int, Any]:
    return _read(root_ids, by_owner=False)


def _read_owner_s_tags(root_ids: Sequence[int]) -> Mapping[int, Any]:
    return _read(root_ids, by_owner=True)


def _segment_options() -> list[Option]:
    return [Option(segment.pk, segment.name) for segment in live_segments()]


def _segment_keys(leaf: Leaf) -> list[str]:
    if isinstance(leaf.value, list):
        return [f"segment:{pk}" for pk in leaf.value]
    return [f"segment:{segment.pk}" for segment in live_segments()]


def _read_segments(root_ids: Sequence[int]) -> Mapping[int, Any]:
    found: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    for entry in SegmentEntry.objects.filter(contact_id__in=root_ids).select_related("segment"):
        if entry.segment.archived_at is None:
            found[entry.contact_id].append((entry.segment_id, entry.entered_at))
    return found


TAG = Field(
    "tag",
    _("标签"),
    _("标签与人群"),
    ValueType.SET,
    read=_read_tags,
    rows=carried_marks,
    value="tag_id",
    at="tagged_at",
    options=_tag_options,
    dirty_keys=("tag", "follow.relation"),
    order=10,
    permissions=("tags.view",),
)
OWNER_TAG = Field(
    "tag.owner",
    _("归属导购打的标签"),
    _("标签与人群"),
    ValueType.SET,
    read=_read_owner_s_tags,
    rows=_owner_s_marks,
    value="tag_id",
    at="tagged_at",
    options=_tag_options,
    dirty_keys=("tag", "follow.relation", "contact.owner"),
    order=20,
    permissions=("tags.view",),
)
SEGMENT = Field(
    "segment",
    _("所在人群"),
    _("标签与人群"),
    ValueType.SET,
    read=_read_segments,
    rows=lambda: SegmentEntry.objects.filter(segment__archived_at__isnull=True),
    value="segment_id",
    options=_segment_options,
    operators=("any", "all", "none"),
    dirty_keys=_segment_keys,
    order=30,
    permissions=("segments.view",),
)


def register_fields() -> None:
    """Make them known to the language."""
    register(TAG, OWNER_TAG, SEGMENT)
