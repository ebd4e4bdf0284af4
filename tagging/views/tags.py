"""标签: the dictionary, and putting tags on people."""

from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from contacts.models import Contact
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.ui.toasts import add_toast
from tagging.models import FollowTag, Tag, TagGroup
from tagging.queries import count_people_per_tag, follows_to_mark, list_groups, live_tags, marks_of_person
from tagging.services import dictionary
from tagging.services.marks import mark_tags
from wecom_bridge.models import Corp

ON_A_PERSON = "contacts.edit"


@require_GET
@requires("tags.view")
def tag_list(request: MemberRequest) -> HttpResponse:
    """Groups with their tags and how many people have each."""
    standing = Tag.objects.filter(deleted_at__isnull=True)
    groups: list[Any] = list(list_groups().prefetch_related(Prefetch("tags", queryset=standing, to_attr="standing")))
    counts = count_people_per_tag([tag.pk for group in groups for tag in group.standing])
    for group in groups:
        group.can_add = group.kind != TagGroup.Kind.PERSONAL
        for tag in group.standing:
            tag.people = counts.get(tag.pk, 0)
            tag.is_editable = group.kind == TagGroup.Kind.INTERNAL or tag.is_ours
            tag.is_waiting = group.kind == TagGroup.Kind.CORP and not tag.wecom_tag_id
    groups = [group for group in groups if group.standing or group.can_add]
    context = {
        "groups": groups,
        "total": sum(len(group.standing) for group in groups),
        "corps": Corp.objects.filter(is_active=True).order_by("pk"),
        "can_edit": "tags.edit" in request.permissions,
        "as_of": clock.now(),
    }
    return render(request, "tagging/tag_list.html", context)


@require_POST
@requires("tags.edit")
def group_create(request: MemberRequest) -> HttpResponse:
    corp_id = request.POST.get("corp", "")
    corp = get_object_or_404(Corp, pk=int(corp_id)) if corp_id.isdecimal() else None
    dictionary.create_group(
        name=request.POST.get("name", ""),
        tag_names=request.POST.get("tags", "").splitlines(),
        corp=corp,
        is_exclusive=request.POST.get("is_exclusive") == "on",
        by=request.actor,
    )
    return _back(request, _("标签组已创建,企业标签正在同步到企业微信") if corp else _("标签组已创建"))


@require_POST
@requires("tags.edit")
def tag_create(request: MemberRequest, pk: int) -> HttpResponse:
    group = get_object_or_404(list_groups(), pk=pk)
    dictionary.add_tags(group, request.POST.get("tags", "").splitlines(), by=request.actor)
    return _back(request, _("标签已添加"))


@require_POST
@requires("tags.edit")
def tag_rename(request: MemberRequest, pk: int) -> HttpResponse:
    dictionary.rename_tag(get_object_or_404(live_tags(), pk=pk), request.POST.get("name", ""), by=request.actor)
    return _back(request, _("标签已改名"))


@require_POST
@requires("tags.edit")
def tag_delete(request: MemberRequest, pk: int) -> HttpResponse:
    dictionary.delete_tag(get_object_or_404(live_tags(), pk=pk), by=request.actor)
    return _back(request, _("已提交删除,用到它的规则和人群会变为需修复"))


def _back(request: HttpRequest, text: str) -> HttpResponse:
    from django.contrib import messages

    messages.success(request, text)
    return redirect("tagging:tag_list")


# --- On a person ------------------------------------------------------------------------------------------------


def person_panel(request: Any, contact: Contact) -> dict[str, Any]:
    """What the 标签 panel of the customer page shows."""
    marks = list(marks_of_person(contact.pk))
    shown: dict[int, dict[str, Any]] = {}
    for mark in marks:
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
