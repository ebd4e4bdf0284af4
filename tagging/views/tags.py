"""Tags on one person: the panel of the customer page, and the tap that puts one on or takes it off."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.access import MemberRequest, requires
from accounts.models import User
from contacts.models import Contact
from contacts.queries import visible_contacts
from scrm.ui.toasts import add_toast
from tagging import sources
from tagging.models import FollowTag, TagGroup
from tagging.queries import follows_to_mark, live_tags, marks_of_person
from tagging.services.marks import mark_tags

ON_A_PERSON = "contacts.edit"


def person_panel(request: Any, contact: Contact) -> dict[str, Any]:
    """What the 标签 panel of the customer page shows."""
    marks: list[Any] = list(marks_of_person(contact.pk))
    came, actors = sources.named(mark.via for mark in marks), _names({mark.actor_id for mark in marks} - {None})
    shown: dict[int, dict[str, Any]] = {}
    for mark in marks:
        mark.came, mark.by = came.get(mark.via), actors.get(mark.actor_id, "")
        one = shown.setdefault(mark.tag_id, {"tag": mark.tag, "marks": [], "state": mark.state})
        one["marks"].append(mark)
        if mark.state == FollowTag.State.ON:
            one["state"] = mark.state
    carried = {pk for pk, one in shown.items() if one["state"] in ("on", "adding")}
    groups: dict[int, dict[str, Any]] = {}
    if ON_A_PERSON in request.permissions:
        choices = (
            live_tags()
            .exclude(group__kind=TagGroup.Kind.PERSONAL)
            .order_by("-group__order", "group_id", "-order", "pk")
        )
        for tag in choices:
            if tag.group.kind == TagGroup.Kind.INTERNAL or tag.wecom_tag_id:
                group = groups.setdefault(tag.group_id, {"group": tag.group, "tags": []})
                group["tags"].append((tag, tag.pk in carried))
    return {"shown": list(shown.values()), "groups": list(groups.values()), "contact": contact}


def _names(user_ids: set[int]) -> dict[int, str]:
    return dict(User.objects.filter(pk__in=user_ids).values_list("pk", "display_name")) if user_ids else {}


@require_POST
@requires(ON_A_PERSON)
def person_tag(request: MemberRequest, pk: int, tag_pk: int) -> HttpResponse:
    """Put the tag on, or take it off: one tap on the customer page."""
    contact = get_object_or_404(visible_contacts(request.scope), pk=pk)
    tag = get_object_or_404(live_tags(), pk=tag_pk)
    is_on = request.POST.get("on") == "1"
    follows = follows_to_mark([contact.pk], "owner" if is_on else "all").get(contact.pk, [])
    changed = mark_tags(
        follows,
        add=[tag.pk] if is_on else [],
        remove=[] if is_on else [tag.pk],
        origin=_origin(request),
        by=request.actor,
    )
    if not getattr(request, "htmx", False):
        return redirect(reverse("contacts:contact", args=[contact.pk]))
    response = render(
        request, "tagging/_person_panel.html", {"panel": person_panel(request, contact), "contact": contact}
    )
    if not changed and not follows:
        add_toast(response, _("客户已不是任何导购的好友,不能打标签"), "warn")
    return response


def _origin(request: MemberRequest) -> str:
    return FollowTag.Origin.GUIDE if request.scope.is_own_only else FollowTag.Origin.OPERATOR
