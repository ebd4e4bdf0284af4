"""Reads of tags, segments and rules."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum, When
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _

from conditions.compiler.asking import Ask
from conditions.compiler.sweeping import join
from conditions.compiler.trees import compile_node
from conditions.tree import parse
from contacts.models import Follow, Relation, Stage
from tagging import actions
from tagging.models import FollowTag, PreTag, Rule, Segment, SegmentEntry, SegmentPin, Tag, TagGroup
from tagging.tag_readers import Reader, tags_named

CARRIED = (FollowTag.State.ON, FollowTag.State.ADDING)


def carried_marks() -> QuerySet[FollowTag]:
    """Tags people have: put by any active follow, standing or on their way to WeCom."""
    return FollowTag.objects.filter(follow__relation=Relation.ACTIVE, state__in=CARRIED, tag__deleted_at__isnull=True)


def live_tags() -> QuerySet[Tag]:
    """Tags that may be put and filtered by, with their groups. Those merged into another are not among them."""
    standing = Tag.objects.filter(deleted_at__isnull=True, group__deleted_at__isnull=True, alias_of__isnull=True)
    return standing.select_related("group")


def list_groups() -> QuerySet[TagGroup]:
    """Tag groups that stand."""
    return TagGroup.objects.filter(deleted_at__isnull=True)


def count_people_per_tag(tag_ids: Sequence[int]) -> dict[int, int]:
    """Tag id → distinct people (roots) who have it. One query."""
    rows = carried_marks().filter(tag_id__in=tag_ids).values("tag_id").order_by()
    people = Count(Coalesce(F("contact__root_id"), F("contact_id")), distinct=True)
    return dict(rows.annotate(people=people).values_list("tag_id", "people"))


def count_marks_by_origin(tag_id: int) -> list[tuple[str, int]]:
    """How many relations carry the tag, by who put it, the most frequent first."""
    rows = carried_marks().filter(tag_id=tag_id).values("origin").order_by().annotate(n=Count("pk"))
    words = dict(FollowTag.Origin.choices)
    return sorted(((str(words[row["origin"]]), row["n"]) for row in rows), key=lambda one: -one[1])


def recent_marks(tag_id: int, people: QuerySet[Any], most: int) -> list[FollowTag]:
    """The latest marks of a tag on some people (roots), standing or on their way, refused ones too. By number: a time order of a
    tag that half of all carry would read them all."""
    marks = FollowTag.objects.filter(tag_id=tag_id)
    hers = Q(contact_id__in=people.values("pk")) | Q(contact__root_id__in=people.values("pk"))
    rows = marks.filter(hers).select_related("contact__root", "follow__member", "rule", "tag__group")
    return list(rows.order_by("-pk")[:most])


def unused_tags(since: datetime) -> QuerySet[Tag]:
    """Tags that nobody put on anybody since an instant and that were there before it. Whether something names them is asked of
    tag_readers."""
    marks = FollowTag.objects.filter(tag=OuterRef("pk"), tagged_at__gt=since)
    old = Q(created_at__lte=since) | Q(created_at__isnull=True)
    return live_tags().filter(old, ~Exists(marks)).exclude(group__kind=TagGroup.Kind.PERSONAL)


def last_marked(tag_ids: Sequence[int]) -> dict[int, datetime]:
    """Tag id → when it was last put, of marks that stand."""
    rows = FollowTag.objects.filter(tag_id__in=tag_ids).order_by().values("tag_id").annotate(at=Max("tagged_at"))
    return dict(rows.values_list("tag_id", "at"))


def segment_members(segment: Segment) -> QuerySet[Any]:
    """Ids of the root contacts in a segment, as last computed (segment.fresh_at)."""
    return SegmentEntry.objects.filter(segment=segment).values_list("contact_id", flat=True)


def tag_readers() -> Iterator[Reader]:
    """Rules, live segments and stages that name tags. A draft or stopped rule counts: it may be enabled again."""
    for rule in Rule.objects.order_by("pk"):
        tags = tags_named(rule.tree).union(*map(actions.tags_of, rule.actions))
        yield Reader(
            "rule", _("规则「%(name)s」") % {"name": rule.name}, reverse("tagging:rule_detail", args=[rule.pk]), tags
        )
    for segment in live_segments().filter(kind="dynamic"):
        url = reverse("tagging:segment_detail", args=[segment.pk])
        yield Reader("segment", _("人群「%(name)s」") % {"name": segment.name}, url, tags_named(segment.tree))
    waiting = (
        PreTag.objects.filter(state__in=("waiting", "clash")).order_by().values_list("tag_ids", flat=True).distinct()
    )
    if tags := frozenset(pk for ids in waiting for pk in ids):
        yield Reader("pretag", _("预打标签"), reverse("tagging:pretag_list"), tags)
    for stage in Stage.objects.filter(is_archived=False, rule__isnull=False):
        url = reverse("tagging:stage_rule", args=[stage.pk])
        yield Reader("stage", _("阶段「%(name)s」的进入条件") % {"name": stage.name}, url, tags_named(stage.rule))


def exactly(segment: Segment, now: datetime) -> Q:
    """Who belongs to a segment at this instant, over root contacts: its condition and pins asked anew; of a fixed list its entries.
    For whoever sends: the count is right though changes wait. Raises conditions.compiler.UnknownField."""
    if segment.kind == "static":
        return Q(pk__in=segment_members(segment))
    pins = SegmentPin.objects.filter(segment=segment).annotate(person=Coalesce(F("contact__root_id"), F("contact_id")))
    known = set(pins.order_by().values_list("is_in", flat=True).distinct())
    matches = compile_node(parse(segment.tree), Ask(now, sweep=True))
    if matches and True in known:  # an empty Q is everybody, and in an OR it would be nobody
        matches |= Q(pk__in=pins.filter(is_in=True).values("person"))
    if False in known:
        matches &= ~Q(pk__in=pins.filter(is_in=False).values("person"))
    return join(matches)  # of the whole: under the OR of the pins no part of the condition may count on being joined


def live_segments() -> QuerySet[Segment]:
    """Segments in use."""
    return Segment.objects.filter(archived_at__isnull=True).order_by("name")


def enabled_rules() -> QuerySet[Rule]:
    """Rules that act, in the order in which they take their turn."""
    return Rule.objects.filter(state=Rule.State.ON).order_by("position", "id")


def marks_of_person(root_id: int) -> QuerySet[FollowTag]:
    """Every tag of a person, with who put it, also those on their way and refused."""
    of_her = Q(contact_id=root_id) | Q(contact__root_id=root_id)
    marks = FollowTag.objects.filter(of_her, tag__deleted_at__isnull=True)
    return marks.select_related("tag__group", "follow__member", "rule").order_by("-tag__group__order", "tag_id", "id")


def follows_to_mark(root_ids: Sequence[int], whose: str) -> dict[int, list[int]]:
    """Root id → active follows that a tag goes on: the owner's (`owner`; where she is no friend, all), or `all`."""
    of_them = Q(contact_id__in=root_ids) | Q(contact__root_id__in=root_ids)
    rows = Follow.objects.filter(of_them, relation=Relation.ACTIVE).values_list(
        Coalesce(F("contact__root_id"), F("contact_id")),
        "pk",
        "member_id",
        Coalesce(F("contact__root__owner_id"), F("contact__owner_id")),
    )
    everyone: dict[int, list[int]] = {}
    owners: dict[int, list[int]] = {}
    for root_id, pk, member_id, owner_id in rows.order_by("pk"):
        everyone.setdefault(root_id, []).append(pk)
        if member_id == owner_id:
            owners.setdefault(root_id, []).append(pk)
    if whose == "owner":
        return {root_id: owners.get(root_id, follows) for root_id, follows in everyone.items()}
    return everyone


def count_follows_to_mark(people: QuerySet[Any], whose: str) -> int:
    """How many follows that is of a query of people, however many. One query."""
    follows = Follow.objects.filter(relation=Relation.ACTIVE).annotate(
        person=Coalesce("contact__root_id", "contact_id"),
        owner=Coalesce("contact__root__owner_id", "contact__owner_id"),
    )
    follows = follows.filter(person__in=people.order_by().values("pk")).order_by()
    if whose != "owner":
        return follows.count()
    hers = follows.values("person").annotate(of_all=Count("pk"), of_owner=Count("pk", filter=Q(member_id=F("owner"))))
    wanted = Case(When(of_owner__gt=0, then=F("of_owner")), default=F("of_all"))
    return int(hers.aggregate(n=Sum(wanted))["n"] or 0)
