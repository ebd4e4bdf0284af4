"""Condition fields about tags and segments."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Case, F, Q, QuerySet, When
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from conditions import windows
from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field, Option, Trait, register
from conditions.tree import Leaf
from contacts.conditionfields import options
from contacts.models import Contact, Relation
from contacts.queries import visible_members
from tagging.models import FollowTag, SegmentEntry
from tagging.queries import carried_marks, list_groups, live_segments, live_tags

_SOURCES = 5  # marks whose origin an explanation tells


def _tag_options() -> list[Option]:
    return [
        Option(tag.pk, tag.name, tag.group.name)
        for tag in live_tags().order_by("-group__order", "group_id", "-order", "pk")
    ]


def _origins() -> list[Option]:
    return [Option(value, label) for value, label in FollowTag.Origin.choices]


def _groups() -> list[Option]:
    return [Option(group.pk, group.name) for group in list_groups()]


def _owner_s_marks() -> QuerySet[Any]:
    """The root's owner counts: that of a merged row is of before."""
    owner = Case(When(contact__root__isnull=True, then=F("contact__owner_id")), default=F("contact__root__owner_id"))
    # Filtered by directly, the way to the root would be an inner join, which most have none for.
    return carried_marks().annotate(_owner=owner).filter(follow__member_id=F("_owner"))


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


_ORIGIN = Trait("origin", _("打标来源"), "origin", _origins)
_GROUP = Trait("group", _("标签组"), "tag__group", _groups, dies_with_options=True)
_MEMBER = Trait("member", _("打在哪位导购的关系上"), "follow__member", options.members, offered=visible_members)


def _source(rows: Callable[[], QuerySet[Any]]) -> Callable[[int, Leaf], str]:
    """敏感肌:规则「护肤」,2026-02-03 10:20;for the tags that the leaf names, or the latest few."""

    def source(root_id: int, leaf: Leaf) -> str:
        hers = (
            rows().filter(Q(contact=root_id) | Q(contact__root=root_id)).select_related("tag", "rule", "follow__member")
        )
        if isinstance(leaf.value, list):
            hers = hers.filter(tag__in=leaf.value)
        return ";".join(_mark_in_words(mark) for mark in hers.order_by("-tagged_at")[:_SOURCES])

    return source


def _mark_in_words(mark: FollowTag) -> str:
    if mark.rule is not None:
        by = gettext("规则「%(name)s」") % {"name": mark.rule.name}
    elif mark.origin == FollowTag.Origin.GUIDE:
        by = gettext("导购「%(name)s」") % {"name": mark.follow.member}
    else:
        by = str(mark.get_origin_display())
    return f"{mark.tag.name}:{by},{windows.in_words(mark.tagged_at)}"


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
    dies_with_options=True,
    dirty_keys=("tag", "follow.relation"),
    traits=(_ORIGIN, _GROUP, _MEMBER),
    source=_source(carried_marks),
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
    dies_with_options=True,
    dirty_keys=("tag", "follow.relation", "contact.owner"),
    traits=(_ORIGIN, _GROUP),
    source=_source(_owner_s_marks),
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
    at="entered_at",
    options=_segment_options,
    operators=("any", "all", "none"),  # of no segment at all: a segment that says so would be its own contrary
    dirty_keys=_segment_keys,
    order=30,
    permissions=("segments.view",),
)


def register_fields() -> None:
    """Make them known to the language."""
    register(TAG, OWNER_TAG, SEGMENT)
