"""组织: stores, regions, dealers, departments, members and their log-ins."""

from functools import partial
from typing import Any

from django.db.models import Count, F, Q
from django.forms import ModelForm
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from accounts.models import User
from accounts.scope import data_scope
from contacts import hours
from contacts.departments import lay_out
from contacts.forms import DealerForm, MemberStoreForm, RegionForm
from contacts.models import Dealer, Department, Member, Region, Store
from contacts.queries import visible_members, visible_stores
from contacts.services import archiving, organisation
from contacts.services.staffing import reading as staff
from contacts.storeforms import StoreForm
from scrm.lib import clock
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page, pager
from tenants.context import current_tenant

NEW = "new"  # a store made of the department itself
_STORES = Count("stores", filter=Q(stores__archived_at__isnull=True))
_ACTIVE_MEMBERS = Count("members", filter=~Q(members__status=Member.Status.LEFT), distinct=True)


def org_tabs(request: MemberRequest, active: str) -> list[dict[str, Any]]:
    pages = [
        ("stores", _("门店"), "contacts:store_list"), ("members", _("成员"), "contacts:member_list"),
        ("changes", _("人员变动"), "contacts:change_list"), ("regions", _("大区"), "contacts:region_list"), ("dealers", _("经销商"), "contacts:dealer_list"),
        ("departments", _("部门对应"), "contacts:department_map"),
    ]  # fmt: skip
    shown = pages if "org.edit" in request.permissions else pages[:3]
    open_ = sum(staff.count_open(data_scope(request.user, "org.view", grants=request.grants)).values())
    counts = {"changes": open_} if open_ else {}
    return [
        {"label": label, "url": reverse(name), "active": key == active, "count": counts.get(key)}
        for key, label, name in shown
    ]


@require_GET
@requires("org.view")
def store_list(request: MemberRequest) -> HttpResponse:
    """门店: by region, with guides and customers of today."""
    stores = visible_stores(request.scope).select_related("region", "dealer").annotate(member_count=_ACTIVE_MEMBERS)
    text, region = request.GET.get("q", "").strip(), request.GET.get("region", "")
    stores = stores.filter(archived_at__isnull=not request.GET.get("archived"))
    if text:
        stores = stores.filter(Q(name__icontains=text) | Q(code__icontains=text) | Q(city__icontains=text))
    if region:
        stores = stores.filter(region_id=int(region)) if region.isdecimal() and len(region) < 19 else stores.none()
    page = keyset_page(stores, ("name", "pk"), request.GET.get("cursor", ""), size=100)
    today = clock.local_day(clock.now(), current_tenant().time_zone)
    for store in page.rows:
        spans = hours.on_day(store.opening_hours, today)
        store.today = None if spans is None else hours.say_day(spans)  # type: ignore[attr-defined]  # set here for the page, no column of the model
    context = {
        "tabs": org_tabs(request, "stores"), "rows": page.rows, "total": stores.count(), "shown": len(page.rows),
        "regions": Region.objects.filter(pk__in=visible_stores(request.scope).values("region")).order_by("order", "name"), "is_filtered": bool(text or region or request.GET.get("archived")),
        "can_edit": "org.edit" in request.permissions, **pager(request, page),
    }  # fmt: skip
    return render(request, "contacts/store_list.html", context)


@require_http_methods(["GET", "POST"])
@requires("org.edit")
def store_new(request: MemberRequest) -> HttpResponse:
    """A new store."""
    return _save_form(request, StoreForm, Store(), organisation.save_store, "store", _("新增门店"))


@require_http_methods(["GET", "POST"])
@requires("org.edit")
def store_edit(request: MemberRequest, pk: int) -> HttpResponse:
    """A store's data; another region or dealer counts from now on."""
    store = get_object_or_404(visible_stores(request.scope), pk=pk)
    history = store.placements.select_related("region", "dealer").order_by("-placed_from")[:20]
    save = partial(organisation.save_store, seen=request.POST.get("seen", ""))
    return _save_form(request, StoreForm, store, save, "store", store.name, placements=history)


@require_GET
@requires("org.edit")
def region_list(request: MemberRequest) -> HttpResponse:
    rows = Region.objects.annotate(store_count=_STORES).order_by(
        F("archived_at").asc(nulls_first=True), "order", "name"
    )
    return render(
        request, "contacts/place_list.html", {"tabs": org_tabs(request, "regions"), "rows": rows, **_words("region")}
    )


@require_http_methods(["GET", "POST"])
@requires("org.edit")
def region_new(request: MemberRequest) -> HttpResponse:
    return _save_form(request, RegionForm, Region(), organisation.save_region, "region", _("新增大区"))


@require_http_methods(["GET", "POST"])
@requires("org.edit")
def region_edit(request: MemberRequest, pk: int) -> HttpResponse:
    region = get_object_or_404(Region, pk=pk)
    return _save_form(request, RegionForm, region, organisation.save_region, "region", region.name)


@require_GET
@requires("org.edit")
def dealer_list(request: MemberRequest) -> HttpResponse:
    rows = Dealer.objects.annotate(store_count=_STORES).order_by(F("archived_at").asc(nulls_first=True), "name")
    return render(
        request, "contacts/place_list.html", {"tabs": org_tabs(request, "dealers"), "rows": rows, **_words("dealer")}
    )


@require_http_methods(["GET", "POST"])
@requires("org.edit")
def dealer_new(request: MemberRequest) -> HttpResponse:
    return _save_form(request, DealerForm, Dealer(), organisation.save_dealer, "dealer", _("新增经销商"))


@require_http_methods(["GET", "POST"])
@requires("org.edit")
def dealer_edit(request: MemberRequest, pk: int) -> HttpResponse:
    dealer = get_object_or_404(Dealer, pk=pk)
    return _save_form(request, DealerForm, dealer, organisation.save_dealer, "dealer", dealer.name)


def _words(noun: str) -> dict[str, Any]:
    is_region = noun == "region"
    return {
        "heading": _("大区") if is_region else _("经销商"),
        "empty": _("还没有大区。按大区分门店后,大区经理只看到自己的数据。")
        if is_region
        else _("还没有经销商。加盟店可以归到经销商名下。"),
        "new_label": _("新增大区") if is_region else _("新增经销商"),
        "new_url": reverse(f"contacts:{noun}_new"),
        "edit_name": f"contacts:{noun}_edit",
        "icon_name": "map-pin" if is_region else "landmark",
    }


def _save_form(
    request: MemberRequest, form_class: type[ModelForm], row: Any, save: Any, noun: str, heading: str, **more: Any
) -> HttpResponse:
    """GET shows the form, POST saves through the service; a refused form answers 422, one who came second 409. more: further
    context of the page."""
    status = 422 if request.method == "POST" else 200
    form = form_class(request.POST or None, instance=row)
    back = reverse(f"contacts:{noun}_list")
    if request.method == "POST" and form.is_valid():
        try:
            save(form.save(commit=False), by=request.actor)
        except UserError as error:
            form.add_error(next((name for name in error.fields if name in form.fields), None), str(error.message))
            status = error.status
        else:
            return redirect(back)
    archive_url = reverse(f"contacts:{noun}_archive", args=[row.pk]) if row.pk else ""
    context = {"form": form, "heading": heading, "back": back, "row": row, "archive_url": archive_url, **more}
    template = "contacts/store_form.html" if noun == "store" else "contacts/place_form.html"
    return render(request, template, context, status=status)


@require_POST
@requires("org.edit")
def store_archive(request: MemberRequest, pk: int) -> HttpResponse:
    return _archive(request, get_object_or_404(visible_stores(request.scope), pk=pk), "contacts:store_list")


@require_POST
@requires("org.edit")
def region_archive(request: MemberRequest, pk: int) -> HttpResponse:
    return _archive(request, get_object_or_404(Region, pk=pk), "contacts:region_list")


@require_POST
@requires("org.edit")
def dealer_archive(request: MemberRequest, pk: int) -> HttpResponse:
    return _archive(request, get_object_or_404(Dealer, pk=pk), "contacts:dealer_list")


@require_POST
@requires("org.edit")
def member_archive(request: MemberRequest, pk: int) -> HttpResponse:
    return _archive(request, _get_member(request, pk), "contacts:member_list")


def _archive(request: MemberRequest, row: archiving.Place, back: str) -> HttpResponse:
    """Archive the row, or bring it back when the form says undo."""
    (archiving.restore if "undo" in request.POST else archiving.archive)(row, by=request.actor)
    return redirect(back)


@require_http_methods(["GET", "POST"])
@requires("org.edit")
def department_map(request: MemberRequest) -> HttpResponse:
    """Which store each WeCom department stands for."""
    rows = (
        Department.objects.filter(is_gone=False)
        .select_related("corp", "store")
        .order_by("corp_id", "-order", "department_id")
    )
    if request.method == "POST":
        given = {row.pk: request.POST[f"store-{row.pk}"] for row in rows if f"store-{row.pk}" in request.POST}
        new = {pk for pk, value in given.items() if value == NEW}
        stores = {pk: _store_id(request, value) for pk, value in given.items() if pk not in new}
        organisation.map_departments(stores, by=request.actor, new=new)
        return redirect("contacts:department_map")
    laid = lay_out(list(rows))
    context = {
        "tabs": org_tabs(request, "departments"),
        "rows": laid,
        "circular": [one.department for one in laid if one.is_circular],
        "stores": visible_stores(request.scope).filter(archived_at__isnull=True).order_by("name"),
    }
    return render(request, "contacts/department_map.html", context)


def _store_id(request: MemberRequest, value: str) -> int | None:
    if not value:
        return None
    if not value.isdecimal() or not visible_stores(request.scope).filter(pk=value).exists():
        raise UserError(_("没有这家门店,请刷新页面后重新选择。"))
    return int(value)


@require_GET
@requires("org.view")
def member_list(request: MemberRequest) -> HttpResponse:
    """成员: store, status, log-in."""
    members = visible_members(request.scope).select_related("store", "account__user")
    text, status = request.GET.get("q", "").strip().lower(), request.GET.get("status", "")
    if text:
        members = members.filter(search_text__contains=text)
    if status == "unplaced":
        members = members.filter(store__isnull=True).exclude(status=Member.Status.LEFT)
    elif status and status != "archived":
        members = members.filter(status=status)
    members = members.filter(archived_at__isnull=status != "archived")
    page = keyset_page(members, ("name", "pk"), request.GET.get("cursor", ""))
    context = {
        "tabs": org_tabs(request, "members"), "rows": page.rows, "total": members.count(), "shown": len(page.rows),
        "statuses": [*Member.Status.choices, ("unplaced", _("未分门店")), ("archived", _("已归档"))], "is_filtered": bool(text or status),
        "can_edit": "org.edit" in request.permissions, **pager(request, page),
    }  # fmt: skip
    return render(request, "contacts/member_list.html", context)


@require_GET
@requires("org.edit")
def member_page(request: MemberRequest, pk: int) -> HttpResponse:
    """One member: store and log-in."""
    return render(request, "contacts/member_detail.html", _member(request, _get_member(request, pk)))


def _member(request: MemberRequest, member: Member) -> dict[str, Any]:
    free = User.objects.filter(is_active=True).exclude(member_accounts__member__corp=member.corp_id)
    account = getattr(member, "account", None)
    return {
        "member": member,
        "account": account,
        "form": MemberStoreForm(initial={"store": member.store_id}),
        "users": free.order_by("display_name")[:200] if account is None else [],
        "placements": member.placements.select_related("store").order_by("-placed_from")[:20],
        "changes": member.staff_changes.select_related("from_store", "to_store", "store").order_by("-pk")[:10],
        "departments": Department.objects.filter(corp=member.corp_id, department_id__in=member.department_ids),
    }


def _get_member(request: MemberRequest, pk: int) -> Member:
    return get_object_or_404(visible_members(request.scope).select_related("store", "corp"), pk=pk)


@require_POST
@requires("org.edit")
def member_move(request: MemberRequest, pk: int) -> HttpResponse:
    """调店."""
    member, form = _get_member(request, pk), MemberStoreForm(request.POST)
    if not form.is_valid():
        return render(request, "contacts/member_detail.html", _member(request, member) | {"form": form}, status=422)
    organisation.move_member(member.pk, form.cleaned_data["store"], by=request.actor, seen=request.POST.get("seen"))
    return redirect("contacts:member", pk=pk)


@require_POST
@requires("org.edit")
def member_link(request: MemberRequest, pk: int) -> HttpResponse:
    """This member is that log-in, or none (no user given)."""
    member, user_id = _get_member(request, pk), request.POST.get("user", "")
    if user_id:
        user = get_object_or_404(User, pk=user_id if user_id.isdecimal() else 0, is_active=True)
        organisation.link_member(user, member, by=request.actor)
    else:
        organisation.unlink_member(member.pk, by=request.actor)
    return redirect("contacts:member", pk=pk)
