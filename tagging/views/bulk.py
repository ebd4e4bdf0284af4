"""Tags over many people at once, from the customer list."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from conditions import registry
from contacts import listing
from contacts.services import bulk
from contacts.views.people import selected_people, selection_of
from tagging.models import TagGroup
from tagging.queries import live_tags


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
@requires("tags.edit", many=True)
def bulk_tag(request: MemberRequest) -> HttpResponse:
    """Do it, or begin to: rows here, the calls left to the outbox."""
    chosen = selection_of(request)
    people = selected_people(request, chosen)
    known = registry.get("tag").options
    options = {str(option.value): int(option.value) for option in (known() if known else ())}
    params = {
        "add": [options[value] for value in request.POST.getlist("add") if value in options],
        "remove": [options[value] for value in request.POST.getlist("remove") if value in options],
        "whose": "all" if request.POST.get("whose") == "all" else "owner",
    }
    change = bulk.start("tag", people, params, request.scope, by=request.actor, expected=chosen.expected)
    return redirect("contacts:bulk_change", pk=change.pk)
