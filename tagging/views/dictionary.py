"""标签: the dictionary. Groups and tags: created, renamed, described, ordered, deleted; one tag's own page; exclusive groups' conflicts."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, refuse_part, requires
from accounts.models import User
from accounts.queries import list_users
from accounts.scope import data_scope
from contacts.queries import visible_contacts
from scrm.lib import clock
from scrm.lib.numbers import whole_number
from tagging import similar, sources, tag_readers
from tagging.models import Colour, TagGroup
from tagging.queries import count_marks_by_origin, count_people_per_tag, list_groups, live_tags, recent_marks
from tagging.services import dictionary, exclusive, ordering
from tagging.services.capacity import capacities
from wecom_bridge.models import Corp

RECENT = 30
ONLY = ("editable", "foreign", "exclusive", "undefined", "error")


@require_GET
@requires("tags.view")
def tag_list(request: MemberRequest) -> HttpResponse:
    """Groups with their tags and how many people have each, narrowed by words, kind, owner and state."""
    groups: list[Any] = list(list_groups().select_related("corp").order_by("-order", "pk"))
    shown = _narrowed(live_tags(), request)
    standing: dict[int, list[Any]] = {}
    for tag in shown.order_by("-order", "pk"):
        standing.setdefault(tag.group_id, []).append(tag)
    is_narrowed = any(request.GET.get(key) for key in ("q", "kind", "owner", "only"))
    counts = count_people_per_tag([tag.pk for tags in standing.values() for tag in tags])
    names = _owner_names([*groups, *(tag for tags in standing.values() for tag in tags)])
    for group in groups:
        group.standing = standing.get(group.pk, [])
        group.can_add = group.kind != TagGroup.Kind.PERSONAL
        group.can_change = dictionary.is_editable(group)
        group.owner_name = names.get(group.owner_id, "")
        for tag in group.standing:
            tag.people = counts.get(tag.pk, 0)
            tag.owner_name = names.get(tag.owner_id, "")
            tag.is_editable = group.kind == TagGroup.Kind.INTERNAL or tag.is_ours
            tag.is_waiting = group.kind == TagGroup.Kind.CORP and not tag.wecom_tag_id
    groups = [group for group in groups if group.standing or (group.can_add and not is_narrowed)]
    context = {
        "groups": groups,
        "total": sum(len(group.standing) for group in groups),
        "corps": Corp.objects.filter(is_active=True).order_by("pk"),
        "owners": _owners_of_tags(request),
        "kinds": TagGroup.Kind.choices,
        "onlies": list(zip(ONLY, (_("可改名"), _("只读"), _("同组只留一个"), _("没有说明"), _("有错误")), strict=True)),
        "is_narrowed": is_narrowed,
        "can_pretag": may_change(request),
        "capacities": capacities(clock.now()),
        "can_edit": may_change(request),
        "as_of": clock.now(),
    }
    return render(request, "tagging/tag_list.html", context)


def _narrowed(tags: Any, request: HttpRequest) -> Any:
    words, kind, only = (request.GET.get(key, "").strip() for key in ("q", "kind", "only"))
    if words:
        tags = tags.filter(Q(name__icontains=words) | Q(definition__icontains=words) | Q(group__name__icontains=words))
    if kind in TagGroup.Kind.values:
        tags = tags.filter(group__kind=kind)
    owner = whole_number(request.GET.get("owner", ""))
    if owner is not None:
        tags = tags.filter(Q(owner_id=owner) | Q(owner_id__isnull=True, group__owner_id=owner))
    internal = Q(group__kind=TagGroup.Kind.INTERNAL)
    states = {
        "editable": internal | Q(is_ours=True),
        "foreign": ~internal & Q(is_ours=False),
        "exclusive": Q(group__is_exclusive=True),
        "undefined": Q(definition=""),
        "error": ~Q(last_error=""),
    }
    return tags.filter(states[only]) if only in states else tags


def _owner_names(rows: Sequence[Any]) -> dict[int | None, str]:
    ids = {row.owner_id for row in rows if row.owner_id}
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "display_name")) if ids else {}


def may_change(request: MemberRequest) -> bool:
    """The dictionary belongs to the whole merchant: it is for those who see everybody. Marking customers is not."""
    return "tags.edit" in request.permissions and request.scope.sees_all


def _refuse_part(request: MemberRequest) -> None:
    refuse_part(request, _("标签全商户共用,要由看得到全部门店的人来改。您可以给自己范围内的客户打标签。"))


def _readers(request: MemberRequest, tag_ids: Sequence[int]) -> tuple[list[tag_readers.Reader], int]:
    """What names the tags, as far as she may know it, and how many other things do."""

    def sees_all(code: str) -> bool:
        return data_scope(request.user, code, grants=request.grants).sees_all

    return tag_readers.told(tag_readers.readers_of(tag_ids), request.permissions, sees_all)


def _named_people(request: MemberRequest) -> Any:
    """Customers whose names she may read: of this view's scope and of contacts.view's."""
    named = visible_contacts(data_scope(request.user, "contacts.view", grants=request.grants))
    return visible_contacts(request.scope).filter(pk__in=named.values("pk"))


def _owners_of_tags(request: MemberRequest) -> Any:
    """Everybody for who may name an owner; for others those who are one."""
    users = list_users().prefetch_related(None)
    if may_change(request):
        return users
    standing = live_tags().exclude(owner_id=None).values("owner_id")
    groups = list_groups().exclude(owner_id=None).values("owner_id")
    return users.filter(Q(pk__in=standing.order_by()) | Q(pk__in=groups.order_by()))


# --- Groups -----------------------------------------------------------------------------------------------------


@require_POST
@requires("tags.edit")
def group_create(request: MemberRequest) -> HttpResponse:
    _refuse_part(request)
    corp_id = request.POST.get("corp", "")
    number = whole_number(corp_id)
    corp = get_object_or_404(Corp, pk=number) if number is not None else None
    if asked := _ask_about_near(request, request.POST.get("tags", "").splitlines()):
        return asked
    dictionary.create_group(
        name=request.POST.get("name", ""),
        tag_names=request.POST.get("tags", "").splitlines(),
        corp=corp,
        is_exclusive=request.POST.get("is_exclusive") == "on",
        by=request.actor,
    )
    return _back(request, _("标签组已创建,企业标签正在同步到企业微信") if corp else _("标签组已创建"))


@require_http_methods(["GET", "POST"])
@requires("tags.edit")
def group_edit(request: MemberRequest, pk: int) -> HttpResponse:
    """A group's name, note, owner and whether it is exclusive."""
    _refuse_part(request)
    group = get_object_or_404(_changeable(), pk=pk)
    if request.method == "POST":
        dictionary.save_group(
            group,
            name=request.POST.get("name", "") if dictionary.is_editable(group) else group.name,
            note=request.POST.get("note", ""),
            owner_id=_owner(request),
            is_exclusive=request.POST.get("is_exclusive") == "on",
            by=request.actor,
        )
        return _back(request, _("标签组已保存"))
    tags = list(live_tags().filter(group=group))
    readers, hidden = _readers(request, [tag.pk for tag in tags])
    context = {
        "group": group,
        "can_change": dictionary.is_editable(group),
        "owners": list_users().prefetch_related(None),
        "tags": len(tags),
        "readers": readers,
        "hidden_readers": hidden,
        "people": sum(count_people_per_tag([tag.pk for tag in tags]).values()),
    }
    return render(request, "tagging/tag_group.html", context)


@require_POST
@requires("tags.edit", many=True)
def group_delete(request: MemberRequest, pk: int) -> HttpResponse:
    _refuse_part(request)
    dictionary.delete_group(get_object_or_404(_changeable(), pk=pk), by=request.actor)
    return _back(request, _("已提交删除,用到它的规则和人群会变为需修复"))


@require_POST
@requires("tags.edit")
def group_order(request: MemberRequest, pk: int) -> HttpResponse:
    """A place earlier or later (to), or the place of another (move_to, after dragging)."""
    _refuse_part(request)
    group = get_object_or_404(_changeable(), pk=pk)
    known = list(ordering.groups_in_order(group).values_list("pk", flat=True))
    ordering.order_groups(group, _wanted_order(request, known, group.pk), by=request.actor)
    return _back(request, _("顺序已调整"))


def _changeable() -> Any:
    return list_groups().exclude(kind=TagGroup.Kind.PERSONAL)


def _owner(request: HttpRequest) -> int | None:
    return User.objects.filter(pk=whole_number(request.POST.get("owner", "")) or 0).values_list("pk", flat=True).first()


def _wanted_order(request: HttpRequest, known: Sequence[int], pk: int) -> list[int]:
    target = whole_number(request.POST.get("move_to", ""))
    if target is not None:
        return ordering.moved_to(known, pk, target)
    return ordering.shifted(known, pk, later=request.POST.get("to") == "later")


def _ask_about_near(request: HttpRequest, names: Sequence[str], *, but: int | None = None) -> HttpResponse | None:
    """Whether she still wants new names that resemble tags which stand; None when there is nothing to ask. It never refuses."""
    if request.POST.get("anyway"):
        return None
    index = similar.Index(live_tags().exclude(group__kind=TagGroup.Kind.PERSONAL))
    near = [one for name in names if name.strip() for one in index.like(name, but=but)]
    if not near:
        return None
    posted = [
        (key, value) for key in request.POST if key != "csrfmiddlewaretoken" for value in request.POST.getlist(key)
    ]
    return render(request, "tagging/tag_ask.html", {"near": near, "posted": posted, "action": request.path})


# --- Tags -------------------------------------------------------------------------------------------------------


@require_POST
@requires("tags.edit")
def tag_create(request: MemberRequest, pk: int) -> HttpResponse:
    _refuse_part(request)
    group = get_object_or_404(list_groups(), pk=pk)
    if asked := _ask_about_near(request, request.POST.get("tags", "").splitlines()):
        return asked
    dictionary.add_tags(group, request.POST.get("tags", "").splitlines(), by=request.actor)
    return _back(request, _("标签已添加"))


@require_GET
@requires("tags.view")
def tag_detail(request: MemberRequest, pk: int) -> HttpResponse:
    """What a tag means, how many carry it, who put it, who reads it, and the latest marks within one's scope."""
    tag = get_object_or_404(live_tags(), pk=pk)
    marks = recent_marks(tag.pk, _named_people(request), RECENT)
    names = _owner_names([tag, tag.group])
    readers, hidden = _readers(request, [tag.pk])
    actors = dict(
        User.objects.filter(pk__in={mark.actor_id for mark in marks if mark.actor_id}).values_list("pk", "display_name")
    )
    came = sources.named(mark.via for mark in marks)
    context = {
        "tag": tag,
        "owner_name": names.get(tag.owner_id or tag.group.owner_id, ""),
        "people": count_people_per_tag([tag.pk]).get(tag.pk, 0),
        "origins": count_marks_by_origin(tag.pk),
        "readers": readers,
        "hidden_readers": hidden,
        "marks": [
            {"mark": mark, "person": mark.contact.root or mark.contact, "by": actors.get(mark.actor_id or 0, ""), "came": came.get(mark.via or "")}
            for mark in marks
        ],
        "owners": list_users().prefetch_related(None) if may_change(request) else (),
        "colours": Colour.choices,
        "can_edit": may_change(request),
        "can_merge": tag.group.kind != TagGroup.Kind.PERSONAL and may_change(request),
        "aliases": list(tag.aliases.filter(deleted_at__isnull=True).values_list("name", flat=True)),
        "is_editable": tag.group.kind == TagGroup.Kind.INTERNAL or tag.is_ours,
        "as_of": clock.now(),
    }  # fmt: skip
    return render(request, "tagging/tag_detail.html", context)


@require_POST
@requires("tags.edit")
def tag_describe(request: MemberRequest, pk: int) -> HttpResponse:
    _refuse_part(request)
    tag = get_object_or_404(live_tags(), pk=pk)
    dictionary.describe_tag(
        tag,
        definition=request.POST.get("definition", ""),
        owner_id=_owner(request),
        colour=request.POST.get("colour", ""),
        by=request.actor,
    )
    messages.success(request, _("标签说明已保存"))
    return redirect("tagging:tag_detail", pk=tag.pk)


@require_POST
@requires("tags.edit")
def tag_rename(request: MemberRequest, pk: int) -> HttpResponse:
    _refuse_part(request)
    tag = get_object_or_404(live_tags(), pk=pk)
    if asked := _ask_about_near(request, [request.POST.get("name", "")], but=tag.pk):
        return asked
    dictionary.rename_tag(tag, request.POST.get("name", ""), by=request.actor)
    return _back(request, _("标签已改名"))


@require_POST
@requires("tags.edit", many=True)
def tag_delete(request: MemberRequest, pk: int) -> HttpResponse:
    _refuse_part(request)
    dictionary.delete_tag(get_object_or_404(live_tags(), pk=pk), by=request.actor)
    return _back(request, _("已提交删除,用到它的规则和人群会变为需修复"))


@require_POST
@requires("tags.edit")
def tag_order(request: MemberRequest, pk: int) -> HttpResponse:
    """A place earlier or later (to), or the place of another (move_to, after dragging)."""
    _refuse_part(request)
    tag = get_object_or_404(live_tags(), pk=pk)
    known = list(ordering.tags_in_order(tag.group).values_list("pk", flat=True))
    ordering.order_tags(tag.group, _wanted_order(request, known, tag.pk), by=request.actor)
    return _back(request, _("顺序已调整"))


def _back(request: HttpRequest, text: str) -> HttpResponse:
    messages.success(request, text)
    return redirect("tagging:tag_list")


# --- Exclusive groups -------------------------------------------------------------------------------------------


@require_GET
@requires("tags.view")
def group_conflicts(request: MemberRequest, pk: int) -> HttpResponse:
    """Who carries several tags of an exclusive group, within one's scope."""
    group = get_object_or_404(list_groups(), pk=pk)
    torn = exclusive.conflicting_people(group, _named_people(request)).select_related("owner")
    conflicts = exclusive.conflicts_of(group, list(torn.order_by("pk")[: exclusive.AT_ONCE]))
    context = {
        "group": group,
        "conflicts": conflicts,
        "most": exclusive.AT_ONCE,
        "can_edit": "tags.edit" in request.permissions,
    }
    return render(request, "tagging/tag_conflicts.html", context)


@require_POST
@requires("tags.edit", many=True)
def group_keep_latest(request: MemberRequest, pk: int) -> HttpResponse:
    """保留最新: for one person, or for the first of all that are listed."""
    group = get_object_or_404(list_groups(), pk=pk)
    people = visible_contacts(request.scope)
    one = whole_number(request.POST.get("person", ""))
    count = exclusive.keep_latest(group, people.filter(pk=one) if one is not None else people, by=request.actor)
    messages.success(request, _("已为 %(n)d 位客户保留最新的标签,其余正在去掉") % {"n": count})
    return redirect("tagging:group_conflicts", pk=group.pk)
