"""标签整理: tags nobody uses any more, and tags that may mean the same."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.access import MemberRequest, requires
from scrm.lib import clock
from tagging import similar, tag_readers
from tagging.models import TagGroup
from tagging.queries import count_people_per_tag, last_marked, live_tags, unused_tags
from tagging.services.capacity import GROWTH

SHOWN = 200


@require_GET
@requires("tags.view")
def tag_unused(request: MemberRequest) -> HttpResponse:
    """Not put on anybody for 90 days, and named by nothing."""
    named = frozenset().union(*(reader.tags for reader in tag_readers.all_readers()))
    found = unused_tags(clock.now() - GROWTH).exclude(pk__in=named)
    tags: list[Any] = list(found.order_by("-group__order", "group_id", "-order", "pk")[: SHOWN + 1])
    people = count_people_per_tag([tag.pk for tag in tags])
    marked = last_marked([tag.pk for tag in tags])
    for tag in tags:
        tag.people, tag.marked_at = people.get(tag.pk, 0), marked.get(tag.pk)
    return render(
        request, "tagging/tag_unused.html", {"tags": tags[:SHOWN], "has_more": len(tags) > SHOWN, "most": SHOWN}
    )


@require_GET
@requires("tags.view")
def tag_similar(request: MemberRequest) -> HttpResponse:
    """Two and two that may mean the same, with why, and the way to merge them."""
    tags = list(live_tags().exclude(group__kind=TagGroup.Kind.PERSONAL).order_by("pk"))
    found = similar.pairs(tags)
    people = count_people_per_tag([tag.pk for tag, likeness in found] + [likeness.tag.pk for tag, likeness in found])
    rows = [
        {
            "one": tag,
            "one_people": people.get(tag.pk, 0),
            "other": likeness.tag,
            "other_people": people.get(likeness.tag.pk, 0),
            "reason": likeness.reason,
            "can_merge": tag.group.kind == likeness.tag.group.kind and tag.corp_id == likeness.tag.corp_id,
        }
        for tag, likeness in found[:SHOWN]
    ]
    can_merge = "tags.edit" in request.permissions and request.scope.sees_all
    return render(
        request, "tagging/tag_similar.html", {"rows": rows, "total": len(found), "most": SHOWN, "can_merge": can_merge}
    )
