"""Tags go on with a customer who is taken over; personal ones stay with their guide."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from conditions import dirty
from contacts.models import Follow
from contacts.successions import TakenOver
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows
from tagging.models import FollowTag, TagGroup
from tagging.services.marks import mark_tags
from tenants.audit import SYSTEM

Kind = TagGroup.Kind


def take_over(taken: Sequence[TakenOver]) -> None:
    """The successor's relation gets the tags of the old one. Of an exclusive group in which she put a tag herself, hers stays.

    WeCom does not say whether it carries corp tags itself: they are wished here, and a wish that the next reading finds fulfilled
    costs no call. One group of statements per different set of corp tags, four for all internal ones.
    """
    new = {one.old_follow_id: one.new_follow_id for one in taken}
    marks = FollowTag.objects.filter(
        follow_id__in=new, state=FollowTag.State.ON, tag__deleted_at__isnull=True, tag__group__deleted_at__isnull=True
    )
    found = list(marks.exclude(tag__group__kind=Kind.PERSONAL).select_related("tag__group").order_by("pk"))
    if not found:
        return
    held: dict[int, set[int]] = defaultdict(set)
    own = FollowTag.objects.filter(follow_id__in=new.values())
    for follow_id, group_id in own.values_list("follow_id", "tag__group_id"):
        held[follow_id].add(group_id)
    going = [
        mark for mark in found if not (mark.tag.group.is_exclusive and mark.tag.group_id in held[new[mark.follow_id]])
    ]
    _copy([mark for mark in going if mark.tag.group.kind == Kind.INTERNAL], new)
    _wish([mark for mark in going if mark.tag.group.kind == Kind.CORP], new)


def _copy(marks: Sequence[FollowTag], new: Mapping[int, int]) -> None:
    """Internal tags stand at once, each with its origin: why it is there has not changed."""
    if not marks:
        return
    people = dict(Follow.objects.filter(pk__in=new.values()).values_list("pk", "contact_id"))
    now = clock.now()
    rows: list[dict[str, Any]] = [
        {
            "follow_id": new[mark.follow_id], "contact_id": people[new[mark.follow_id]], "tag_id": mark.tag_id,
            "origin": mark.origin, "rule_id": mark.rule_id, "actor_id": mark.actor_id, "state": FollowTag.State.ON.value,
            "tagged_at": now, "last_error": "",
        }
        for mark in marks
    ]  # fmt: skip
    insert_rows(FollowTag, rows, ignore_conflicts=True)
    dirty.mark({row["contact_id"] for row in rows}, "tag")


def _wish(marks: Sequence[FollowTag], new: Mapping[int, int]) -> None:
    by_follow: dict[int, set[int]] = defaultdict(set)
    for mark in marks:
        by_follow[new[mark.follow_id]].add(mark.tag_id)
    by_tags: dict[frozenset[int], list[int]] = defaultdict(list)
    for follow_id, wished in by_follow.items():
        by_tags[frozenset(wished)].append(follow_id)
    for tags, follows in by_tags.items():
        mark_tags(follows, sorted(tags), origin=FollowTag.Origin.OPERATOR, by=SYSTEM)
