"""What a view says first: who may come in."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from accounts.scope import DataScope, data_scope
from tenants.audit import Actor

View = Callable[..., HttpResponse]


class MemberRequest(HttpRequest):
    """A request of a logged-in user, as views see it after @requires.

    permissions: codes of all her roles; scope: her data scope for the view's permission; actor: for services and audit.
    """

    user: User  # type: ignore[assignment]
    permissions: frozenset[str]
    scope: DataScope
    actor: Actor


def requires(permission: str | None) -> Callable[[View], View]:
    """Log-in needed, and the permission (None: any log-in). Without the first: to the log-in page; without the second: 403."""

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if permission is not None and permission not in request.permissions:
                raise PermissionDenied(permission)
            request.scope = data_scope(request.user, permission)
            return view(request, *args, **kwargs)

        guarded.required_permission = permission  # type: ignore[attr-defined]
        return guarded

    return wrap
