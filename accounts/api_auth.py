"""API tokens: `Authorization: Bearer <prefix>.<secret>`, scopes per view, a rate per token."""

import hmac
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from accounts.models import ApiToken
from scrm.lib import clock
from scrm.lib.crypto import token_digest
from tenants.audit import Actor
from tenants.paths import scope_name

_TOUCH_EVERY = timedelta(minutes=5)


class TokenUser:
    """What request.user is for an API call: authenticated, with the token's scopes."""

    is_authenticated = True

    def __init__(self, token: ApiToken) -> None:
        self.token = token
        self.pk = token.pk
        self.actor = Actor("token", token.pk, token.name)


class TokenAuthentication(BaseAuthentication):
    """Finds the token in this tenant's own table. An unknown, revoked or expired one is 401."""

    def authenticate(self, request: Request) -> tuple[TokenUser, ApiToken] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _space, value = header.partition(" ")
        prefix, dot, secret = value.strip().partition(".")
        if scheme.lower() != "bearer" or not dot:
            raise AuthenticationFailed(_("Authorization 头应为 Bearer <令牌>"))
        token = ApiToken.objects.filter(prefix=prefix, revoked_at__isnull=True).first()
        now = clock.wall()
        valid = token is not None and hmac.compare_digest(token.token_digest, token_digest(secret))
        if token is None or not valid or (token.expires_at and token.expires_at <= now):
            raise AuthenticationFailed(_("令牌无效、已过期或已撤销"))
        if token.last_used_at is None or now - token.last_used_at > _TOUCH_EVERY:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        return TokenUser(token), token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasTokenScope(BasePermission):
    """A view names `required_scope` ("contacts" → contacts:read for GET, contacts:write otherwise)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        token = request.auth
        scope = getattr(view, "required_scope", None)
        if token is None or scope is None:
            return False
        verb = "read" if request.method in ("GET", "HEAD", "OPTIONS") else "write"
        return f"{scope}:{verb}" in token.scopes or "*" in token.scopes


class TokenThrottle(SimpleRateThrottle):
    scope = "token"

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        return f"throttle:{scope_name()}:{request.auth.pk}" if request.auth else None
