"""批量加好友: the manager's list and batches, and the guide's work list on her phone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.access import MemberRequest, requires
from contacts.models import Member, PhoneBatch, PhoneToAdd, Store
from contacts.phones import show_phone
from contacts.policy import people_policy
from contacts.services import adding
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.numbers import whole_number
from scrm.lib.paging import keyset_page, pager
from scrm.lib.privacy import mask_text

MANAGE, WORK = "phones.manage", "today.use"
PHONE_PAGE, CHOICES, BATCHES = 20, 200, 30
BY_PHONE = 2  # add_way: 手机号搜索
State = PhoneToAdd.State
TONES = {"unassigned": "idle", "to_add": "warn", "waiting": "run", "added": "ok", "recycled": "idle", "invalid": "bad"}


# --- The manager's ------------------------------------------------------------------------------------------------------


@require_GET
@requires(MANAGE)
def adding_list(request: MemberRequest) -> HttpResponse:
    """Every phone of the scope, by state; of one batch or one guide where asked."""
    seen, query = adding.visible_phones(request.scope), {}
    for name, column in (("batch", "batch_id"), ("member", "member_id")):
        if (pk := whole_number(request.GET.get(name))) is not None:
            seen, query[name] = seen.filter(**{column: pk}), pk
    counts = adding.count_states(seen)
    state = request.GET.get("state", "")
    found = seen.filter(state=state) if state in State.values else seen
    page = keyset_page(
        found.select_related("batch", "store", "member__store", "added_by"), ("-pk",), request.GET.get("cursor", "")
    )
    kept = "".join(f"&{name}={pk}" for name, pk in query.items())
    tabs = [("", _("全部"), sum(counts.values())), *((one.value, one.label, counts[one]) for one in State)]
    context = {
        "tabs": [
            {"label": label, "url": f"?state={key}{kept}", "active": key == (state if state in State.values else ""), "count": n}
            for key, label, n in tabs
        ],
        "rows": [_row(phone) for phone in page.rows],
        "total": sum(counts.values()),
        "counted": counts[state] if state in State.values else sum(counts.values()),
        "batch": PhoneBatch.objects.filter(pk=query.get("batch", 0)).first() if page.rows else None,
        "member": Member.objects.filter(pk=query.get("member", 0)).first() if page.rows else None,
        "is_filtered": bool(query),
        "guides": _guides(request),
        "days": people_policy().adding_days,
        "most_guides": adding.MOST_GUIDES,
        "can_set": request.scope.sees_all,
        "can_import": "contacts.import" in request.permissions,
        "here": request.get_full_path(),
        "as_of": clock.now(),
        **pager(request, page),
    }  # fmt: skip
    return render(request, "contacts/adding_list.html", context)


def _row(phone: PhoneToAdd) -> dict[str, Any]:
    by_another = phone.added_by_id if phone.added_by_id != phone.member_id else None
    return {
        "phone": phone,
        "masked": mask_text(show_phone(phone.phone)),
        "tone": TONES[phone.state],
        "is_open": phone.state in adding.OPEN,
        "by_another": phone.added_by if by_another else None,
        "is_by_phone": phone.add_way == BY_PHONE,
    }


def _guides(request: MemberRequest) -> list[Member]:
    """Proposals of the field; whoever is not among them is named by her account."""
    return list(adding.takers(request.scope).select_related("store").order_by("store_id", "name", "pk")[:CHOICES])


def _named(request: MemberRequest, words: Sequence[str]) -> list[Member]:
    """Guides by account or name. Raises UserError for a word that names none, or several."""
    found = list(adding.takers(request.scope).filter(Q(userid__in=words) | Q(name__in=words)))
    named = []
    for word in words:
        alike = [one for one in found if one.userid == word] or [one for one in found if one.name == word]
        if len(alike) != 1:
            raise UserError(
                _("「%(word)s」不是您管辖范围内一位能添加客户的导购,请写成员账号(要已激活、有客户联系权限)。")
                % {"word": word[:40]}
            )
        named.append(alike[0])
    return named


@require_POST
@requires(MANAGE)
def adding_reassign(request: MemberRequest) -> HttpResponse:
    """改派: the chosen ones to one guide."""
    ids = [pk for text in request.POST.getlist("ids") if (pk := whole_number(text)) is not None]
    words = [request.POST.get("guide", "").strip()]
    if not ids or not words[0]:
        raise UserError(_("请先勾选号码,再选一位导购。"))
    (member,) = _named(request, words)
    given, left = adding.reassign(
        adding.visible_phones(request.scope).filter(pk__in=ids), member, by=request.actor, at=clock.now()
    )
    messages.success(
        request,
        _("%(given)d 个号码已分给 %(member)s;%(left)d 个没有动:已经结束,或她已经有过。")
        % {"given": given, "left": left, "member": member},
    )
    return redirect("contacts:adding_list")


@require_POST
@requires(MANAGE)
def adding_days(request: MemberRequest) -> HttpResponse:
    """After how many days a phone goes to the next guide: for the whole merchant."""
    if not request.scope.sees_all:
        raise PermissionDenied
    adding.save_days(whole_number(request.POST.get("days")), by=request.actor)
    messages.success(request, _("已保存,从下一次分配起生效。"))
    return redirect("contacts:adding_list")


def _batches(request: MemberRequest) -> QuerySet[PhoneBatch]:
    """Batches with a phone in the scope; whoever sees everything sees all."""
    if request.scope.sees_all:
        return PhoneBatch.objects.all()
    return PhoneBatch.objects.filter(Exists(adding.visible_phones(request.scope).filter(batch=OuterRef("pk"))))


@require_GET
@requires(MANAGE)
def adding_batches(request: MemberRequest) -> HttpResponse:
    """The files, the latest first, and how far each is."""
    page = keyset_page(_batches(request), ("-pk",), request.GET.get("cursor", ""), size=BATCHES)
    seen = adding.visible_phones(request.scope).filter(batch__in=[one.pk for one in page.rows]).order_by()
    counts: dict[int, dict[str, int]] = {}
    for pk, state, count in seen.values_list("batch_id", "state").annotate(n=Count("pk")):
        counts.setdefault(pk, {})[state] = count
    rows = [
        {"batch": one, "counts": counts.get(one.pk, {}), "all": sum(counts.get(one.pk, {}).values())}
        for one in page.rows
    ]
    return render(request, "contacts/adding_batches.html", {"rows": rows, **pager(request, page)})


@require_GET
@requires(MANAGE)
def adding_batch(request: MemberRequest, pk: int) -> HttpResponse:
    """One file: where its phones stand, with which guides, and giving out what waits."""
    batch = get_object_or_404(_batches(request), pk=pk)
    seen = adding.visible_phones(request.scope).filter(batch=batch)
    counts = adding.count_states(seen)
    by_guide = (
        seen.filter(member__isnull=False)
        .order_by()
        .values("member_id", "member__name", "member__userid", "member__store__name")
        .annotate(
            all=Count("pk"),
            open=Count("pk", filter=Q(state__in=adding.AT_WORK)),
            added=Count("pk", filter=Q(state=State.ADDED)),
            invalid=Count("pk", filter=Q(state=State.INVALID)),
        )
        .order_by("-all", "member_id")[:CHOICES]
    )
    stores = (
        Store.objects.filter(members__in=adding.takers(request.scope), archived_at__isnull=True)
        .annotate(guides=Count("members"))
        .order_by("name")[:CHOICES]
    )
    context = {
        "batch": batch,
        "states": [{"key": one.value, "label": one.label, "count": counts[one]} for one in State],
        "total": sum(counts.values()),
        "waiting": counts[State.UNASSIGNED],
        "by_guide": by_guide,
        "stores": stores,
        "guides": _guides(request),
        "can_stop": _may_stop(request, batch) and batch.stopped_at is None,
        "open_count": sum(counts[state] for state in adding.OPEN),
    }
    return render(request, "contacts/adding_batch.html", context)


def _may_stop(request: MemberRequest, batch: PhoneBatch) -> bool:
    """A batch may reach beyond a manager's stores."""
    return request.scope.sees_all or batch.created_by_id == request.user.pk


@require_POST
@requires(MANAGE)
def adding_distribute(request: MemberRequest, pk: int) -> HttpResponse:
    """平均分."""
    batch = get_object_or_404(_batches(request), pk=pk)
    stores = [int(text) for text in request.POST.getlist("stores") if whole_number(text) is not None]
    words = [
        word for word in request.POST.get("guides", "").replace(",", ",").replace("、", ",").split(",") if word.strip()
    ]
    members = _named(request, [word.strip() for word in words])
    guides = adding.start_distribution(batch.pk, stores, [one.pk for one in members], request.scope, by=request.actor)
    messages.success(request, _("正在平均分给 %(count)d 位导购,稍后刷新查看。") % {"count": guides})
    return redirect("contacts:adding_batch", pk=pk)


@require_POST
@requires(MANAGE)
def adding_stop(request: MemberRequest, pk: int) -> HttpResponse:
    """Nobody adds any more of it."""
    batch = get_object_or_404(_batches(request), pk=pk)
    if not _may_stop(request, batch):
        raise PermissionDenied
    ended = adding.stop(batch.pk, by=request.actor, at=clock.now())
    messages.success(request, _("已停止,%(count)d 个没有加完的号码已回收。") % {"count": ended})
    return redirect("contacts:adding_batch", pk=pk)


# --- The guide's --------------------------------------------------------------------------------------------------------


@require_GET
@requires(WORK)
def phone_adding(request: MemberRequest) -> HttpResponse:
    """待添加 and 待通过 of whoever is logged in."""
    return _work_list(request)


def _work_list(request: MemberRequest, shown: PhoneToAdd | None = None) -> HttpResponse:
    seen = adding.own_phones(request.scope)
    counts = adding.count_states(seen)
    state = State.WAITING if request.GET.get("state") == "waiting" or shown else State.TO_ADD
    page = keyset_page(seen.filter(state=state), ("recycle_at", "pk"), request.GET.get("cursor", ""), size=PHONE_PAGE)
    context = {
        "tabs": [
            {"label": one.label, "url": f"?state={one.value}", "active": one == state, "count": counts[one]}
            for one in (State.TO_ADD, State.WAITING)
        ],
        "rows": [_task(phone, shown is not None and phone.pk == shown.pk) for phone in page.rows],
        "is_waiting": state == State.WAITING,
        "marks": [(one.value, one.label) for one in adding.MARKS],
        "phone_tab": "today",
        **pager(request, page),
    }  # fmt: skip
    return render(request, "contacts/phone_adding.html", context)


def _task(phone: PhoneToAdd, is_whole: bool) -> dict[str, Any]:
    whole = show_phone(phone.phone)
    return {
        "phone": phone,
        "number": whole if is_whole else mask_text(whole),
        "is_whole": is_whole,
        "can_mark": phone.state == State.WAITING,
    }


@require_POST
@requires(WORK)
def phone_adding_copy(request: MemberRequest, pk: int) -> HttpResponse:
    """复制号码: the whole number, on record; from now on it is 待通过."""
    try:
        phone = adding.copy(adding.own_phones(request.scope), pk, by=request.actor, at=clock.now())
    except PhoneToAdd.DoesNotExist as error:
        raise Http404 from error
    if request.htmx:
        context = {"row": _task(phone, True), "marks": [(one.value, one.label) for one in adding.MARKS]}
        return render(request, "contacts/_adding_task.html", context)
    return _work_list(request, phone)


@require_POST
@requires(WORK)
def phone_adding_mark(request: MemberRequest, pk: int) -> HttpResponse:
    """号码无效 or 对方拒绝."""
    try:
        adding.mark(
            adding.own_phones(request.scope), pk, request.POST.get("reason", ""), by=request.actor, at=clock.now()
        )
    except PhoneToAdd.DoesNotExist as error:
        raise Http404 from error
    return redirect("contacts:phone_adding")


def card(members: Sequence[Member], now: datetime) -> dict[str, Any] | None:
    """批量加好友 in 今日: how many phones a guide is to add."""
    mine = PhoneToAdd.objects.filter(member_id__in=[one.pk for one in members], state__in=adding.AT_WORK)
    counts = adding.count_states(mine)
    return (
        {"to_add": counts[State.TO_ADD], "waiting": counts[State.WAITING]}
        if counts[State.TO_ADD] + counts[State.WAITING]
        else None
    )
