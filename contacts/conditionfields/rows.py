"""Fields about rows of a person: relations and addings, groups, and the kinds of events on her timeline."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field, Trait
from conditions.tree import Leaf
from contacts import timeline
from contacts.conditionfields import options
from contacts.conditionfields.people import RELATION
from contacts.models import Follow, FollowPeriod, GroupMembership, GroupTagging, Relation, TimelineEvent
from contacts.queries import visible_groups, visible_members, visible_stores

FACTS = _("行为")
GROUP_TAG_MARK = "group.tag"


def _follows() -> QuerySet[Any]:
    return Follow.objects.all()


def _active_follows() -> QuerySet[Any]:
    return Follow.objects.filter(relation=Relation.ACTIVE)


def _present() -> QuerySet[Any]:
    return GroupMembership.objects.filter(left_at__isnull=True, contact__isnull=False)


def _joinings() -> QuerySet[Any]:
    return GroupMembership.objects.filter(contact__isnull=False)


def _endings() -> QuerySet[Any]:
    return FollowPeriod.objects.filter(ended_at__isnull=False)


def _group_has(tag_ids: Sequence[Any]) -> Q:
    return Q(Exists(GroupTagging.objects.filter(group=OuterRef("group_id"), tag__in=tag_ids)))


def _joining_keys(leaf: Leaf) -> Iterable[str]:
    return ("group", GROUP_TAG_MARK) if "tag" in (leaf.where or {}) else ("group",)


# --- For one person's facts --------------------------------------------------------------------------------------


def _set_reader(model: Any, value: str, at: str, keep: Callable[[Any], bool] = lambda row: True) -> Any:
    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        root_of = branches(root_ids)
        found: dict[int, list[tuple[Any, datetime]]] = defaultdict(list)
        for row in model.objects.filter(contact_id__in=list(root_of)):
            if keep(row):
                found[root_of[row.contact_id]].append((getattr(row, value), getattr(row, at)))
        return found

    return read


def _period_reader(at: str) -> Any:
    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        root_of = branches(root_ids)
        found: dict[int, list[tuple[datetime, Any]]] = defaultdict(list)
        for period in FollowPeriod.objects.filter(follow__contact_id__in=list(root_of)).select_related("follow"):
            instant = getattr(period, at)
            if instant is not None:
                found[root_of[period.follow.contact_id]].append((instant, None))
        return found

    return read


def _read_joinings(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[datetime, Any]]] = defaultdict(list)
    for row in GroupMembership.objects.filter(contact_id__in=list(root_of)):
        if row.contact_id:
            found[root_of[row.contact_id]].append((row.joined_at, None))
    return found


# --- Events ------------------------------------------------------------------------------------------------------


def event_field(key: str) -> Field | None:
    """A kind of fact: how often within days, or never."""
    kind = key.removeprefix("event.")
    if all(known.key != kind for known in timeline.all_kinds()):
        return None

    def rows() -> QuerySet[Any]:
        return TimelineEvent.objects.filter(kind=kind, contact__isnull=False)

    def read(root_ids: Sequence[int]) -> Mapping[int, Any]:
        root_of = branches(root_ids)
        found: dict[int, list[tuple[datetime, Any]]] = defaultdict(list)
        for event in TimelineEvent.objects.filter(contact_id__in=list(root_of)):
            if event.kind == kind and event.contact_id:
                found[root_of[event.contact_id]].append((event.occurred_at, None))
        return found

    return Field(
        key, timeline.kind_of(kind).label, FACTS, ValueType.FACTS, read=read, rows=rows, at="occurred_at", unit=_("次"),
        permissions=(timeline.kind_of(kind).permission,), traits=(_MEMBER, _STORE),
    )  # fmt: skip


def event_fields() -> list[Field]:
    """Every kind of fact."""
    return [field for kind in timeline.all_kinds() if (field := event_field(f"event.{kind.key}")) is not None]


# --- The fields --------------------------------------------------------------------------------------------------

_MEMBER = Trait("member", _("导购"), "member", options.members, offered=visible_members)
_STORE = Trait("store", _("当时的门店"), "store", options.stores, offered=visible_stores)
_ADDER = Trait("member", _("导购"), "follow__member", options.members, offered=visible_members)

FIELDS = (
    Field(
        "follow.relation", _("好友关系"), RELATION, ValueType.SET, read=_set_reader(Follow, "relation", "relation_since"),
        rows=_follows, value="relation", at="relation_since", options=options.relations, order=10,
    ),
    Field(
        "follow.add_way", _("添加方式"), RELATION, ValueType.SET, read=_set_reader(Follow, "add_way", "added_at"), rows=_follows,
        value="add_way", at="added_at", options=options.ways, dirty_keys=("follow.add_way", "contact.added_at"), order=20,
    ),
    Field(
        "follow.state", _("渠道"), RELATION, ValueType.SET,
        read=_set_reader(Follow, "state", "added_at", lambda row: row.state != ""),
        rows=lambda: Follow.objects.exclude(state=""), value="state", at="added_at", options=options.states,
        dirty_keys=("follow.state", "contact.added_at"), order=30,
    ),
    Field(
        "follow.member", _("好友导购"), RELATION, ValueType.SET,
        read=_set_reader(Follow, "member_id", "added_at", lambda row: row.relation == Relation.ACTIVE), rows=_active_follows,
        value="member_id", at="added_at", options=options.members, offered=visible_members,
        dirty_keys=("follow.relation", "contact.added_at"), order=40,
    ),
    Field(
        "follow.added", _("添加好友"), RELATION, ValueType.FACTS, read=_period_reader("added_at"), rows=FollowPeriod.objects.all,
        person="follow__contact", at="added_at", unit=_("次"), order=46,
        traits=(
            _ADDER, _STORE,
            Trait("way", _("添加方式"), "add_way", options.ways),
            Trait("state", _("渠道"), "state", options.states),
        ),
    ),
    Field(
        "follow.ended", _("好友关系结束"), RELATION, ValueType.FACTS, read=_period_reader("ended_at"), rows=_endings,
        person="follow__contact", at="ended_at", unit=_("次"), order=47,
        traits=(_ADDER, _STORE, Trait("by", _("谁结束的"), "ended_by", options.enders)),
    ),
    Field(
        "group", _("所在客户群"), RELATION, ValueType.SET,
        read=_set_reader(GroupMembership, "group_id", "joined_at", lambda row: row.left_at is None), rows=_present, value="group_id",
        at="joined_at", options=options.groups, offered=visible_groups, order=50,
    ),
    Field(
        "group.joined", _("加入客户群"), RELATION, ValueType.FACTS, read=_read_joinings, rows=_joinings, at="joined_at",
        unit=_("次"), dirty_keys=_joining_keys, order=51,
        traits=(
            Trait("group", _("客户群"), "group", options.groups, offered=visible_groups),
            Trait("tag", _("群标签"), "group__taggings__tag", options.group_tags, keeps=_group_has),
        ),
    ),
)  # fmt: skip
