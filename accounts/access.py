"""What a view says first: who may come in."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django_htmx.middleware import HtmxDetails

from accounts import freezing
from accounts.models import RoleGrant, User
from accounts.permissions import is_taken_by_freeze
from accounts.scope import DataScope, data_scope
from scrm.lib.address import local_path
from scrm.lib.errors import NotAllowed
from tenants.audit import Actor

View = Callable[..., HttpResponse]


class MemberRequest(HttpRequest):
    """A request of a logged-in user, as views see it after @requires.

    grants: her roles with their places; permissions: codes of all her roles; scope: her data scope for the view's permission; actor: for services and audit.
    """

    user: User  # type: ignore[assignment]
    grants: list[RoleGrant]
    permissions: frozenset[str]
    scope: DataScope
    actor: Actor
    htmx: HtmxDetails


def requires(permission: str | None, *, with_old_password: bool = False, many: bool = False) -> Callable[[View], View]:
    """Log-in needed, and the permission (None: any log-in). Without the first: to the log-in page; without the second: 403.

    A user who must change her password is led there first, except by views that say with_old_password. many: it changes many
    customers at once, which a frozen account may not.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return _to_login(request)
            if request.user.must_change_password and not with_old_password:
                return redirect("password_change")
            if permission is not None and permission not in request.permissions:
                raise _refused(request, permission)
            if many:
                refuse_frozen(request)
            request.scope = data_scope(request.user, permission, grants=request.grants)
            return view(request, *args, **kwargs)

        guarded.required_permission = permission  # type: ignore[attr-defined]  # set here for the page or the sweep, no column of the model
        return guarded

    return wrap


def require_also(request: MemberRequest, *permissions: str) -> None:
    """Further permissions that what is shown needs, beside the one that opens the view. Raises PermissionDenied without any of them."""
    for permission in permissions:
        if permission not in request.permissions:
            raise _refused(request, permission)


def refuse_frozen(request: MemberRequest) -> None:
    """For the part of a view that changes many customers at once. Raises NotAllowed for a frozen account."""
    if freezing.is_frozen(request.grants):
        raise NotAllowed(freezing.sentence(request.user))


def refuse_part(request: MemberRequest, text: str) -> None:
    """For what belongs to the whole merchant. Raises NotAllowed with a sentence for whoever sees a part only."""
    if not request.scope.sees_all:
        raise NotAllowed(text)


def _refused(request: MemberRequest, permission: str) -> Exception:
    """Why she may not: a frozen person is told that, where the freeze takes what her roles give."""
    given = is_taken_by_freeze(permission) and any(permission in grant.role.permissions for grant in request.grants)
    return (
        NotAllowed(freezing.sentence(request.user))
        if given and freezing.is_frozen(request.grants)
        else PermissionDenied()
    )


def public(reason: str) -> Callable[[View], View]:
    """Marks a view that anybody may open, and why: the isolation sweep expects such a mark on every open route."""

    def wrap(view: View) -> View:
        view.public_reason = reason  # type: ignore[attr-defined]  # set here for the page or the sweep, no column of the model
        return view

    return wrap


def _to_login(request: HttpRequest) -> HttpResponse:
    if "HX-Request" not in request.headers:
        return redirect_to_login(request.get_full_path())
    response = HttpResponse(status=204)  # htmx would swap the log-in page into a corner of this one
    response["HX-Redirect"] = redirect_to_login(_page_of(request)).url
    return response


def _page_of(request: HttpRequest) -> str:
    """The path of the page an htmx request came from, if it is ours."""
    return local_path(request, request.headers.get("HX-Current-URL", "")) or "/"
