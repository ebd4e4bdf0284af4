"""Tags over many people at once, from the customer list."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from conditions import registry
from contacts import listing
from contacts.views.people import selected_people, selection_of
from tagging.models import FollowTag, TagGroup
from tagging.queries import follows_to_mark, live_tags
from tagging.services.marks import mark_tags

CHUNK = 2000


def ask(request: HttpRequest, people: Any, chosen: listing.Selection) -> HttpResponse:
    """Which tags, on or off, on whose relation; with the number of calls it will cost."""
    tags = live_tags().exclude(group__kind=TagGroup.Kind.PERSONAL).order_by("-group__order", "group_id", "-order", "pk")
    groups: dict[str, list[Any]] = {}
    for tag in tags:
        groups.setdefault(tag.group.name, []).append(tag)
    sides = (("add", _("打上标签")), ("remove", _("去掉标签")))
    context = {"chosen": chosen, "groups": groups.items(), "count": people.count(), "sides": sides}
    return render(request, "tagging/bulk_tag.html", context)


@require_POST
@requires("tags.edit")
def bulk_tag(request: MemberRequest) -> HttpResponse:
    """Do it: the people are recounted, the rows written, the calls left to the outbox."""
    people = selected_people(request, selection_of(request))
    known = registry.get("tag").options
    options = {str(option.value): int(option.value) for option in (known() if known else ())}
    add = [options[value] for value in request.POST.getlist("add") if value in options]
    remove = [options[value] for value in request.POST.getlist("remove") if value in options]
    whose = "all" if request.POST.get("whose") == "all" else "owner"
    ids, pairs = list(people.values_list("pk", flat=True)), 0
    for start in range(0, len(ids), CHUNK):
        follows = follows_to_mark(ids[start : start + CHUNK], whose)
        flat = [pk for found in follows.values() for pk in found]
        pairs += mark_tags(flat, add=add, remove=remove, origin=FollowTag.Origin.OPERATOR, by=request.actor)
    messages.success(request, _("已提交 %(pairs)d 个标签变更,正在写入企业微信") % {"pairs": pairs})
    return redirect("contacts:contact_list")
