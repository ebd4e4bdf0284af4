"""群标签: the dictionary in sets, and putting a tag on many groups at once."""

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, refuse_part, require_also, requires
from accounts.scope import data_scope
from contacts.models import GroupTag, GroupTagSet
from contacts.queries import visible_groups
from contacts.services import grouptags
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number

MOST = 500  # groups tagged in one request


@require_GET
@requires("groups.view")
def group_tag_list(request: MemberRequest) -> HttpResponse:
    """Sets with their tags, and on how many groups of one's scope each is. Three queries."""
    counts = dict(
        visible_groups(request.scope).filter(dismissed_at__isnull=True, taggings__isnull=False)
        .values_list("taggings__tag").order_by().annotate(Count("pk", distinct=True))
    )  # fmt: skip
    by_set: dict[int | None, list[Any]] = {}
    for tag in GroupTag.objects.order_by("name"):
        by_set.setdefault(tag.tag_set_id, []).append({"tag": tag, "groups": counts.get(tag.pk, 0)})
    sets = [{"set": one, "tags": by_set.get(one.pk, [])} for one in GroupTagSet.objects.order_by("name")]
    context = {"sets": sets, "loose": by_set.get(None, []), "can_edit": _may_edit(request)}
    return render(request, "contacts/group_tags.html", context)


def _may_edit(request: MemberRequest) -> bool:
    """A tag belongs to the whole merchant: renaming and deleting are for those who see all groups."""
    return "contacts.edit" in request.permissions and request.scope.sees_all


def _refuse_part(request: MemberRequest) -> None:
    refuse_part(request, _("群标签全商户共用,只有负责全部门店的人能改。您可以给自己范围内的群打标签。"))


def _names(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@require_POST
@requires("contacts.edit")
def group_tag_set_create(request: MemberRequest) -> HttpResponse:
    _refuse_part(request)
    grouptags.create_set(request.POST.get("name", ""), _names(request.POST.get("tags", "")), by=request.actor)
    return redirect("contacts:group_tags")


@require_POST
@requires("contacts.edit")
def group_tag_set_act(request: MemberRequest, pk: int, act: str) -> HttpResponse:
    """add, rename, delete."""
    tag_set = get_object_or_404(GroupTagSet, pk=pk)
    _refuse_part(request)
    if act == "add":
        grouptags.add_to_set(tag_set, _names(request.POST.get("tags", "")), by=request.actor)
    elif act == "rename":
        grouptags.rename_set(tag_set, request.POST.get("name", ""), by=request.actor)
    else:
        grouptags.delete_set(tag_set, by=request.actor)
    return redirect("contacts:group_tags")


@require_POST
@requires("contacts.edit")
def group_tag_act(request: MemberRequest, pk: int, act: str) -> HttpResponse:
    """rename, delete."""
    tag = get_object_or_404(GroupTag, pk=pk)
    _refuse_part(request)
    if act == "rename":
        grouptags.rename_tag(tag, request.POST.get("name", ""), by=request.actor)
    else:
        grouptags.delete_tag(tag, by=request.actor)
    return redirect("contacts:group_tags")


@require_POST
@requires("contacts.edit")
def group_tag_bulk(request: MemberRequest) -> HttpResponse:
    """Put a tag on the ticked groups of one's scope, or take it off."""
    require_also(request, "groups.view")
    seen = visible_groups(data_scope(request.user, "groups.view", grants=request.grants))
    ids = [number for text in request.POST.getlist("group")[:MOST] if (number := whole_number(text)) is not None]
    groups = list(visible_groups(request.scope).filter(pk__in=ids).filter(pk__in=seen.values("pk")))
    tag = GroupTag.objects.filter(pk=whole_number(request.POST.get("tag", "")) or 0).first()
    if not groups or tag is None:
        raise UserError(_("请先勾选客户群,再选一个群标签。"))
    if request.POST.get("act") == "remove":
        done = grouptags.take_off(groups, tag.pk, by=request.actor)
        messages.success(request, _("已从 %(n)d 个群去掉「%(tag)s」") % {"n": done, "tag": tag.name})
    else:
        done = grouptags.put_on(groups, tag, by=request.actor)
        messages.success(request, _("已给 %(n)d 个群打上「%(tag)s」") % {"n": done, "tag": tag.name})
    return redirect("contacts:group_list")
