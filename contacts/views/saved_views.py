"""保存的视图 as pages: save what the list shows, rename, share, change, delete; and the choice of columns."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from contacts import listing
from contacts.models import SavedView
from contacts.services import saved_views
from contacts.views.looking import Look, looked_at, may_change, may_share
from scrm.lib.errors import NotAllowed, UserError
from scrm.lib.numbers import whole_number


@require_GET
@requires("contacts.view")
def view_list(request: MemberRequest) -> HttpResponse:
    """Every view she may use: her own, then the shared ones of others."""
    rows = [
        {"view": view, "is_own": view.owner_id == request.user.pk, "may_change": may_change(request, view)}
        for view in saved_views.usable_views(request.user.pk)
    ]
    rows.sort(key=lambda row: not row["is_own"])
    return render(request, "contacts/view_list.html", {"rows": rows})


@require_http_methods(["GET", "POST"])
@requires("contacts.view")
def view_new(request: MemberRequest) -> HttpResponse:
    """Save what the address shows under a name."""
    look = looked_at(request)
    error = ""
    if request.method == "POST":
        try:
            view = saved_views.create_view(
                request.POST.get("name", ""), look.content(), is_shared=_is_shared(request), by=request.actor
            )
        except UserError as refused:
            error = str(refused.message)
        else:
            messages.success(request, _("视图「%(name)s」已保存") % {"name": view.name})
            return redirect(_url_of(view))
    context = {
        "look": look,
        "back_url": f"{reverse('contacts:contact_list')}?{look.here}",
        "name": request.POST.get("name", ""),
        "is_shared": _is_shared(request),
    }
    return _form(request, error, context)


@require_http_methods(["GET", "POST"])
@requires("contacts.view")
def view_edit(request: MemberRequest, pk: int) -> HttpResponse:
    """Another name, shared or for herself."""
    view = _changeable(request, pk)
    error, name, is_shared = "", view.name, view.is_shared
    if request.method == "POST":
        name, is_shared = request.POST.get("name", ""), _is_shared(request, view)
        try:
            saved_views.rename_view(pk, name, is_shared=is_shared, seen=_seen(request), by=request.actor)
        except UserError as refused:
            error = str(refused.message)
        else:
            messages.success(request, _("视图已修改"))
            return redirect("contacts:view_list")
    context = {"view": view, "back_url": reverse("contacts:view_list"), "name": name, "is_shared": is_shared}
    return _form(request, error, context)


@require_POST
@requires("contacts.view")
def view_update(request: MemberRequest, pk: int) -> HttpResponse:
    """Let the view hold what the address shows."""
    view = _changeable(request, pk)
    saved_views.overwrite_view(pk, looked_at(request).content(), seen=_seen(request), by=request.actor)
    messages.success(request, _("视图「%(name)s」已更新") % {"name": view.name})
    return redirect(_url_of(view))


@require_POST
@requires("contacts.view")
def view_delete(request: MemberRequest, pk: int) -> HttpResponse:
    view = _changeable(request, pk)
    name = view.name
    saved_views.delete_view(view, by=request.actor)
    messages.success(request, _("视图「%(name)s」已删除") % {"name": name})
    return redirect("contacts:view_list")


@require_http_methods(["GET", "POST"])
@requires("contacts.view")
def columns(request: MemberRequest) -> HttpResponse:
    """Which columns, in which order: remembered for her, in the view she is in or in the list as such."""
    look = looked_at(request)
    error = ""
    if request.method == "POST":
        try:
            if request.POST.get("reset"):
                saved_views.forget_columns(request.user.pk, look.view)
            else:
                saved_views.choose_columns(request.user.pk, look.view, _posted(request, _offered(look)))
        except UserError as refused:
            error = str(refused.message)
        else:
            return redirect(f"{reverse('contacts:contact_list')}?{look.here}")
    shown = {one.key for one in look.columns}
    context = {
        "view": look.view,
        "offered": [
            {"column": one, "place": place, "is_shown": one.key in shown} for place, one in enumerate(_offered(look), 1)
        ],
        "here": look.here,
        "error": error,
    }
    template = "contacts/_columns.html" if "HX-Request" in request.headers else "contacts/columns.html"
    return render(request, template, context, status=422 if error else 200)


def _offered(look: Look) -> list[listing.Column]:
    """Those shown in their order, then the others."""
    shown = look.columns
    return [*shown, *(one for one in listing.all_columns(look.request.permissions) if one not in shown)]


def _posted(request: MemberRequest, offered: list[listing.Column]) -> list[str]:
    """The ticked ones by the numbers beside them. One that was given another's number takes that place: whoever stood there makes
    room, upwards for one that came down and downwards for one that came up."""
    ticked = set(request.POST.getlist("show"))
    places = []
    for before, one in enumerate(offered, 1):
        place = whole_number(request.POST.get(f"place:{one.key}")) or before
        places.append((place, (place > before) - (place < before), before, one.key))
    return [key for *_order, key in sorted(places) if key in ticked]


def _form(request: MemberRequest, error: str, context: dict[str, Any]) -> HttpResponse:
    context |= {"error": error, "may_share": may_share(request), "longest": saved_views.LONGEST_NAME}
    return render(request, "contacts/view_form.html", context, status=422 if error else 200)


def _is_shared(request: MemberRequest, view: SavedView | None = None) -> bool:
    """As ticked, by whoever may share; what is shared already stays so under hands that may not."""
    if not may_share(request):
        return bool(view and view.is_shared)
    return request.POST.get("shared") == "on"


def _seen(request: MemberRequest) -> int:
    return whole_number(request.POST.get("seen")) or 0


def _changeable(request: MemberRequest, pk: int) -> SavedView:
    """A view she may change; one she may not even use does not exist for her."""
    view = get_object_or_404(saved_views.usable_views(request.user.pk), pk=pk)
    if not may_change(request, view):
        raise NotAllowed(_("共享视图只有存它的人和负责全部门店的人能改。您可以打开它,再另存为自己的视图。"))
    return view


def _url_of(view: SavedView) -> str:
    return f"{reverse('contacts:contact_list')}?view={view.pk}"
