"""Internal tags go on with a customer who is taken over; corp tags WeCom carries itself, and personal ones stay with their guide."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from conditions import dirty
from contacts.models import Follow
from contacts.successions import TakenOver
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows
from tagging.models import FollowTag, TagGroup


def take_over(taken: Sequence[TakenOver]) -> None:
    """The successor's relation gets the internal tags of the old one, with their origin. Of an exclusive group in which she put a
    tag herself, hers stays. Four statements, whatever the number of relations."""
    new = {one.old_follow_id: one.new_follow_id for one in taken}
    marks = FollowTag.objects.filter(
        follow_id__in=new,
        state=FollowTag.State.ON,
        tag__deleted_at__isnull=True,
        tag__group__kind=TagGroup.Kind.INTERNAL,
    ).select_related("tag__group")
    found = list(marks.order_by("pk"))
    if not found:
        return
    held: dict[int, set[int]] = defaultdict(set)
    own = FollowTag.objects.filter(follow_id__in=new.values())
    for follow_id, group_id in own.values_list("follow_id", "tag__group_id"):
        held[follow_id].add(group_id)
    people = dict(Follow.objects.filter(pk__in=new.values()).values_list("pk", "contact_id"))
    now = clock.now()
    rows: list[dict[str, Any]] = [
        {
            "follow_id": new[mark.follow_id], "contact_id": people[new[mark.follow_id]], "tag_id": mark.tag_id,
            "origin": mark.origin, "rule_id": mark.rule_id, "actor_id": mark.actor_id, "state": FollowTag.State.ON.value,
            "tagged_at": now, "last_error": "",
        }
        for mark in found
        if not (mark.tag.group.is_exclusive and mark.tag.group_id in held[new[mark.follow_id]])
    ]  # fmt: skip
    if rows:
        insert_rows(FollowTag, rows, ignore_conflicts=True)
        dirty.mark({row["contact_id"] for row in rows}, "tag")
