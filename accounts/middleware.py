"""Who is asking: the user of this host's own session, her permissions, her language, the actor for audit."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.functional import SimpleLazyObject

from accounts.models import RoleGrant
from accounts.scope import grants_of, permissions_of
from accounts.services import sessions
from scrm.lib.address import client_address
from tenants.audit import Actor


class AccountMiddleware:
    """Sets request.user, .grants, .permissions and .actor, all lazy: a callback or an API call pays nothing for them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        request.user = SimpleLazyObject(lambda: _active_user(request))
        request.grants = SimpleLazyObject(lambda: _grants(request))
        request.permissions = SimpleLazyObject(lambda: permissions_of(request.user, grants=request.grants))
        request.actor = SimpleLazyObject(lambda: _actor(request))
        if request.COOKIES.get(settings.SESSION_COOKIE_NAME) and request.user.is_authenticated:
            sessions.touch(request.session.session_key)
            translation.activate(request.user.language)
            request.LANGUAGE_CODE = translation.get_language()
        return self.get_response(request)


def _active_user(request: HttpRequest) -> Any:
    user = get_user(request)
    return user if user.is_authenticated and user.is_active else AnonymousUser()


def _grants(request: Any) -> list[RoleGrant]:
    return grants_of(request.user) if request.user.is_authenticated else []


def _actor(request: Any) -> Actor:
    user = request.user
    if not user.is_authenticated:
        return Actor("anonymous", ip=client_address(request))
    return Actor("user" if request.tenant else "platform", user.pk, user.display_name, client_address(request))
