"""Who is asking: the user of this host's own session, her permissions, her language, the actor for audit."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.functional import SimpleLazyObject

from accounts.scope import permissions_of
from tenants.audit import Actor


class AccountMiddleware:
    """Sets request.user, .permissions and .actor, all lazy: a callback or an API call pays nothing for them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        request.user = SimpleLazyObject(lambda: _active_user(request))
        request.permissions = SimpleLazyObject(lambda: _permissions(request))
        request.actor = SimpleLazyObject(lambda: _actor(request))
        if request.COOKIES.get(_session_cookie()) and request.user.is_authenticated:
            translation.activate(request.user.language)
            request.LANGUAGE_CODE = translation.get_language()
        return self.get_response(request)


def _session_cookie() -> str:
    return settings.SESSION_COOKIE_NAME


def _active_user(request: HttpRequest) -> Any:
    user = get_user(request)
    return user if user.is_authenticated and user.is_active else AnonymousUser()


def _permissions(request: Any) -> frozenset[str]:
    return permissions_of(request.user) if request.user.is_authenticated else frozenset()


def _actor(request: Any) -> Actor:
    user = request.user
    if not user.is_authenticated:
        return Actor("system")
    return Actor("user", user.pk, user.display_name, request.META.get("REMOTE_ADDR"))
