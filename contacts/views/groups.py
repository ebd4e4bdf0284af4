"""客户群: the list with its health, one group with its people and history, people in several groups, tags of our own."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from contacts import grouphealth
from contacts.kinds import join_scene_label, quit_scene_label
from contacts.models import GroupChat, GroupMembership, GroupTag, Member, TimelineEvent
from contacts.queries import visible_contacts, visible_groups, visible_stores
from contacts.services import grouptags
from contacts.timeline import kind_of
from scrm.lib import clock
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page, pager

FILTERS = ("q", "store", "state", "health", "tag")


@require_GET
@requires("groups.view")
def group_list(request: MemberRequest) -> HttpResponse:
    """Groups by filters: name or owner, store, state, health, tag."""
    groups = _filtered(visible_groups(request.scope), request)
    shown = groups.select_related("owner", "store").prefetch_related("tags")
    page = keyset_page(shown, ("-created_at", "-pk"), request.GET.get("cursor", ""))
    now = clock.now()
    figures = grouphealth.figures(page.rows, now)
    context = {
        "rows": [{"group": group, "fullness": grouphealth.fullness(group), **figures[group.pk]} for group in page.rows],
        "total": groups.count(),
        "stores": visible_stores(request.scope).order_by("name"),
        "tags": GroupTag.objects.order_by("name"),
        "can_tag": "contacts.edit" in request.permissions,
        "healths": _healths(),
        "limit": grouphealth.LIMIT,
        "is_filtered": any(request.GET.get(key) for key in FILTERS),
        "as_of": now,
        **pager(request, page),
    }
    return render(request, "contacts/group_list.html", context)


def _healths() -> list[tuple[str, str]]:
    return [
        ("nearly_full", _("人数到八成")),
        ("full", _("人数到九成五")),
        ("shrinking", _("7 天净减少")),
        ("growing", _("7 天净增加")),
    ]


def _filtered(groups: QuerySet[GroupChat], request: MemberRequest) -> QuerySet[GroupChat]:
    text, store, state, health, tag = (request.GET.get(key, "").strip() for key in FILTERS)
    if text:
        groups = groups.filter(Q(name__icontains=text) | Q(owner__search_text__contains=text.lower()))
    if store:
        groups = _with_number(groups, "store_id", store)
    if tag:
        groups = _with_number(groups, "taggings__tag", tag)
    if health:
        groups = grouphealth.with_health(groups, health, clock.now())
    if state == "dismissed":
        return groups.filter(dismissed_at__isnull=False)
    if state == "ownerless":
        return groups.filter(dismissed_at__isnull=True).filter(
            Q(owner__isnull=True) | Q(status=GroupChat.Status.OWNER_LEFT)
        )
    return groups.filter(dismissed_at__isnull=True)


def _with_number(groups: QuerySet[GroupChat], column: str, text: str) -> QuerySet[GroupChat]:
    number = whole_number(text)
    return groups.none() if number is None else groups.filter(**{column: number})


@require_GET
@requires("groups.view")
def repeated_list(request: MemberRequest) -> HttpResponse:
    """重复入群: who is in several of our groups, and in which."""
    least = whole_number(request.GET.get("least", ""))
    least = least if least in grouphealth.LEAST_GROUPS else grouphealth.LEAST_GROUPS[0]
    people = grouphealth.in_several(request.scope, least)
    page = keyset_page(people.select_related("owner", "store"), ("-pk",), request.GET.get("cursor", ""))
    groups = grouphealth.groups_of([person.pk for person in page.rows], request.scope)
    context = {
        "rows": [{"person": person, "groups": groups.get(person.pk, [])} for person in page.rows],
        "total": people.count(),
        "least": least,
        "choices": [(n, _("至少 %(n)d 个群") % {"n": n}) for n in grouphealth.LEAST_GROUPS],
        "as_of": clock.now(),
        **pager(request, page),
    }
    return render(request, "contacts/group_repeated.html", context)


@require_GET
@requires("groups.view")
def group_page(request: MemberRequest, pk: int) -> HttpResponse:
    """One group: owner, health, tags, who is in, who left, what happened."""
    group = get_object_or_404(visible_groups(request.scope).select_related("owner", "store"), pk=pk)
    tab = request.GET.get("tab", "")
    tab = tab if tab in ("left", "history") else "in"
    counts = {key: (label, count) for key, label, count in _tabs(group)}
    shown = _history(request, group) if tab == "history" else _people(request, group, tab)
    context = {
        "group": group,
        "tab": tab,
        "tabs": [
            {"label": label, "url": f"?tab={key}", "active": key == tab, "count": count}
            for key, (label, count) in counts.items()
        ],
        "total": counts[tab][1],
        "tags": group.tags.order_by("name"),
        "known_tags": GroupTag.objects.order_by("name"),
        "can_tag": "contacts.edit" in request.permissions,
        "health": grouphealth.figures([group], clock.now())[group.pk],
        "fullness": grouphealth.fullness(group),
        "limit": grouphealth.LIMIT,
        **shown,
    }
    return render(request, "contacts/group_detail.html", context)


def _tabs(group: GroupChat) -> list[tuple[str, Any, int]]:
    counts = group.memberships.aggregate(
        inside=Count("pk", filter=Q(left_at__isnull=True)), gone=Count("pk", filter=Q(left_at__isnull=False))
    )
    history = TimelineEvent.objects.filter(group=group).count()
    return [
        ("in", _("在群"), counts["inside"]),
        ("left", _("已离群"), counts["gone"]),
        ("history", _("进退群记录"), history),
    ]


def _people(request: MemberRequest, group: GroupChat, tab: str) -> dict[str, Any]:
    """People of the group, with how they came, who asked them in, and how many of our groups they are in."""
    people = group.memberships.filter(left_at__isnull=tab == "in").select_related("contact", "member")
    page = keyset_page(people, ("-joined_at", "-pk"), request.GET.get("cursor", ""))
    roots = {row.contact.root_pk for row in page.rows if row.contact}
    visible = _visible(request, roots)
    several = grouphealth.groups_of(roots, request.scope)
    names = _member_names(group, (row.invitor_userid for row in page.rows))
    rows = []
    for row in page.rows:
        root = row.contact.root_pk if row.contact else None
        rows.append(
            {
                "row": row,
                "contact_id": root if root in visible else None,
                "scene": join_scene_label(row.join_scene),
                "invitor": names.get(row.invitor_userid, row.invitor_userid),
                "quit": quit_scene_label(row.quit_scene),
                "in_groups": len(several.get(root, [])) if root in visible else None,
            }
        )
    return {"rows": rows, **pager(request, page)}


def _visible(request: MemberRequest, roots: set[int]) -> set[int]:
    return set(visible_contacts(request.scope).filter(pk__in=roots).values_list("pk", flat=True))


def _member_names(group: GroupChat, userids: Any) -> dict[str, str]:
    wanted = {userid for userid in userids if userid}
    members = Member.objects.filter(corp=group.corp_id, id_space=group.id_space, userid__in=wanted)
    return {member.userid: str(member) for member in members}


def _history(request: MemberRequest, group: GroupChat) -> dict[str, Any]:
    """What happened in the group, newest first: joins, leaves, owners, its end."""
    events = TimelineEvent.objects.filter(group=group).select_related("contact__root", "member")
    page = keyset_page(events, ("-occurred_at", "-pk"), request.GET.get("cursor", ""))
    roots = {event.contact.root_pk for event in page.rows if event.contact}
    visible = _visible(request, roots)
    words = _words_of(group, page.rows)
    rows = []
    for event in page.rows:
        root = event.contact.root_pk if event.contact else None
        rows.append(
            {
                "event": event,
                "kind": kind_of(event.kind),
                "contact_id": root if root in visible else None,
                "text": words.get(event.pk, ""),
            }
        )
    return {"events": rows, **pager(request, page)}


def _words_of(group: GroupChat, events: Sequence[TimelineEvent]) -> dict[int, str]:
    """Event id → whom or what it is about. Two queries."""
    userids = {str(event.payload.get(key) or "") for event in events for key in ("userid", "from", "to")} - {""}
    rows = GroupMembership.objects.filter(group=group, userid__in=userids).order_by("joined_at", "pk")
    names = {row.userid: row.name for row in rows if row.name} | _member_names(group, userids)

    def name(userid: Any) -> str:
        return names.get(str(userid or ""), str(userid or ""))

    found = {}
    for event in events:
        if event.kind == "group.owner_changed":
            found[event.pk] = (
                f"{name(event.payload.get('from')) or _('无')} → {name(event.payload.get('to')) or _('无')}"
            )
        elif event.contact is not None:
            found[event.pk] = (event.contact.root or event.contact).name
        else:
            found[event.pk] = name(event.payload.get("userid"))
    return found


@require_POST
@requires("contacts.edit")
def group_tag_add(request: MemberRequest, pk: int) -> HttpResponse:
    """Put a tag of our own on the group."""
    group = get_object_or_404(visible_groups(request.scope), pk=pk)
    grouptags.add_tag(group, request.POST.get("name", ""), by=request.actor)
    return redirect("contacts:group", pk=pk)


@require_POST
@requires("contacts.edit")
def group_tag_remove(request: MemberRequest, pk: int, tag_pk: int) -> HttpResponse:
    """Take it off again."""
    group = get_object_or_404(visible_groups(request.scope), pk=pk)
    grouptags.take_off([group], tag_pk, by=request.actor)
    return redirect("contacts:group", pk=pk)
