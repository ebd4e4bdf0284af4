"""Users and roles of this host."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import MemberRequest, requires
from accounts.forms import RoleForm, UserForm
from accounts.models import Role, User
from accounts.queries import list_users
from accounts.scope import places
from accounts.services import granting, roles, users
from accounts.services.links import VALID, issue_link, link_url
from scrm.lib.errors import UserError
from scrm.lib.paging import keyset_page


@require_GET
@requires("users.manage")
def user_list(request: MemberRequest) -> HttpResponse:
    """Who may log in here."""
    closed = request.GET.get("closed") == "1"
    rows = list_users(request.GET.get("q", "").strip(), closed=closed)
    page = keyset_page(rows, ("username",), request.GET.get("cursor", ""))
    names = _place_names(page.rows)
    for user in page.rows:
        user.held = [_held(grant, names) for grant in user.grants.all()]  # type: ignore[attr-defined]  # set here for the page or the sweep, no column of the model
    return render(request, "accounts/users.html", {"page": page, "closed": closed, "total": rows.count()})


def _place_names(people: Any) -> dict[tuple[str, int], str]:
    wanted: dict[str, set[int]] = {}
    for user in people:
        for grant in user.grants.all():
            if grant.scope_id:
                wanted.setdefault(grant.scope_kind, set()).add(grant.scope_id)
    return {(kind, pk): name for kind, ids in wanted.items() for pk, name in places(kind, ids)}


def _held(grant: Any, names: dict[tuple[str, int], str]) -> str:
    place = names.get((grant.scope_kind, grant.scope_id)) or grant.get_scope_kind_display()
    return f"{grant.role.name} · {place}"


@never_cache
@require_http_methods(["GET", "POST"])
@requires("users.manage")
def user_create(request: MemberRequest) -> HttpResponse:
    """A new user; the page that follows shows her one-time link, once."""
    form = UserForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            user, token = users.create_user(
                username=data["username"], display_name=data["display_name"], phone=data["phone"], email=data["email"],
                grants=data["grants"], by=request.actor,
            )  # fmt: skip
        except UserError as error:
            _tell(form, error)
        else:
            return _show_link(request, user, token)
    return render(request, "accounts/user_form.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@requires("users.manage")
def user_edit(request: MemberRequest, pk: int) -> HttpResponse:
    """Name, phone, roles and scopes."""
    user = get_object_or_404(User, pk=pk)
    form = UserForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            users.edit_user(
                pk, display_name=data["display_name"], phone=data["phone"], email=data["email"], grants=data["grants"],
                by=request.actor,
            )  # fmt: skip
        except UserError as error:
            _tell(form, error)
        else:
            messages.success(request, _("已保存。"))
            return redirect("users")
    return render(
        request, "accounts/user_form.html", {"form": form, "subject": user}, status=422 if form.errors else 200
    )


@never_cache
@require_POST
@requires("users.manage")
def user_link(request: MemberRequest, pk: int) -> HttpResponse:
    """A fresh one-time link for somebody who forgot her password or never came."""
    user = get_object_or_404(User, pk=pk, is_active=True)
    return _show_link(request, user, issue_link(user, by=request.actor))


@require_POST
@requires("users.manage")
def user_active(request: MemberRequest, pk: int) -> HttpResponse:
    """Close or reopen an account."""
    user = get_object_or_404(User, pk=pk)
    users.set_active(user.pk, request.POST.get("active") == "1", by=request.actor)
    return redirect("users")


def _show_link(request: MemberRequest, user: User, token: str) -> HttpResponse:
    url = link_url(token, request.get_host().rsplit(":", 1)[0])
    return render(
        request, "accounts/user_link.html", {"subject": user, "link": url, "hours": int(VALID.total_seconds() // 3600)}
    )


@require_GET
@requires("roles.manage")
def role_list(request: MemberRequest) -> HttpResponse:
    """Roles and how many hold them."""
    rows = Role.objects.prefetch_related("grants").order_by("order", "pk")
    return render(request, "accounts/roles.html", {"roles": rows})


@require_http_methods(["GET", "POST"])
@requires("roles.manage")
def role_edit(request: MemberRequest, pk: int | None = None) -> HttpResponse:
    """What a role may do; without a pk, a new one."""
    role = get_object_or_404(Role, pk=pk) if pk is not None else None
    form = RoleForm(
        request.POST or None,
        initial={"name": role.name, "permissions": role.permissions} if role else None,
        holding=granting.holding_of(request.actor),
    )
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            if role is None:
                roles.create_role(data["name"], data["permissions"], by=request.actor)
            else:
                roles.edit_role(role.pk, name=data["name"], permissions=data["permissions"], by=request.actor)
        except UserError as error:
            _tell(form, error)
        else:
            messages.success(request, _("已保存。"))
            return redirect("roles")
    return render(request, "accounts/role_form.html", {"form": form, "role": role}, status=422 if form.errors else 200)


@require_POST
@requires("roles.manage")
def role_delete(request: MemberRequest, pk: int) -> HttpResponse:
    """Delete a role of the tenant's own."""
    if not Role.objects.filter(pk=pk).exists():
        raise Http404
    roles.delete_role(pk, by=request.actor)
    return redirect("roles")


def _tell(form: Any, error: UserError) -> None:
    """The service's refusal beside the field it is about."""
    field = next((name for name in error.fields if name in form.fields), None)
    form.add_error(field, str(error.message))
