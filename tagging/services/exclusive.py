"""Groups in which a person has one tag only: two put by two guides, or in WeCom by hand, are listed, and the latest is kept."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, F, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from contacts.models import Contact
from tagging.models import FollowTag, Tag, TagGroup
from tagging.queries import carried_marks
from tagging.services.marks import mark_tags
from tenants import audit
from tenants.audit import Actor

AT_ONCE = 200
ROOT = Coalesce(F("contact__root_id"), F("contact_id"))


@dataclass(frozen=True)
class Conflict:
    """One person with several tags of one exclusive group; marks: the latest first."""

    person: Contact
    marks: list[FollowTag]


def rivals_among(tag_ids: Iterable[int]) -> str:
    """Why a person cannot have all these tags at once, naming two of one group; empty when she can."""
    first: dict[int, Tag] = {}
    for tag in Tag.objects.filter(pk__in=set(tag_ids), group__is_exclusive=True).select_related("group").order_by("pk"):
        other = first.setdefault(tag.group_id, tag)
        if other != tag:
            words = _("「%(one)s」和「%(other)s」都在标签组「%(group)s」里,这组的标签一位客户只能有一个,请只选一个")
            return words % {"one": other.name, "other": tag.name, "group": tag.group.name}
    return ""


def conflicting_people(group: TagGroup, people: QuerySet[Contact]) -> QuerySet[Contact]:
    """Those of the people (roots) who have two tags of the group, on whosever relations."""
    if not group.is_exclusive:
        return people.none()
    marks = carried_marks().filter(tag__group=group).annotate(root=ROOT).values("root").order_by()
    torn = marks.annotate(tags=Count("tag_id", distinct=True)).filter(tags__gt=1)
    return people.filter(pk__in=torn.values("root"))


def conflicts_of(group: TagGroup, people: Collection[Contact]) -> list[Conflict]:
    """What each of them carries in the group. One query."""
    marks: dict[int, list[FollowTag]] = defaultdict(list)
    rows = carried_marks().filter(tag__group=group).annotate(root=ROOT).filter(root__in=[one.pk for one in people])
    for mark in rows.select_related("tag", "follow__member", "rule").order_by("-tagged_at", "-pk"):
        marks[mark.root].append(mark)  # type: ignore[attr-defined]  # `root` is a column that the query above adds
    return [Conflict(one, marks[one.pk]) for one in people if len({mark.tag_id for mark in marks[one.pk]}) > 1]


@transaction.atomic
def keep_latest(group: TagGroup, people: QuerySet[Contact], *, by: Actor) -> int:
    """Of each person's tags in the group the latest stays, the others go, in WeCom too. How many people; AT_ONCE at most."""
    chosen = list(conflicting_people(group, people).order_by("pk")[:AT_ONCE])
    wishes: dict[int, list[int]] = defaultdict(list)
    for conflict in conflicts_of(group, chosen):
        kept = conflict.marks[0].tag_id
        for mark in conflict.marks:
            if mark.tag_id != kept:
                wishes[mark.tag_id].append(mark.follow_id)
    for tag_id, follows in wishes.items():
        mark_tags(follows, remove=[tag_id], origin=FollowTag.Origin.OPERATOR, by=by)
    if chosen:
        audit.record("tag_group.latest_kept", group, by=by, people=len(chosen))
    return len(chosen)
