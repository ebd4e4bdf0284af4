"""Log-in with WeCom: to its page and back. The state that comes back must be the one this browser took along, once, within ten
minutes; so nobody can be logged in as somebody else by a link."""

import secrets
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET

from accounts.access import public
from accounts.models import LoginSession
from accounts.services import sessions
from accounts.ways import Way
from contacts.services import wecom_login
from scrm.lib.address import client_address, local_path
from scrm.lib.errors import UserError
from tenants.context import current_scope
from tenants.paths import scope_name
from wecom_bridge import weblinks

COOKIE = "__Host-wecom-login" if settings.SESSION_COOKIE_SECURE else "wecom-login"
LIFE_SECONDS = 600
LONGEST_NEXT = 1_000
MEMBERS = "wecom_members"  # in the session: corp → the member whom WeCom named


def ways(request: HttpRequest, go_on: str) -> list[Way]:
    """A button for each connected corp; none on the platform's own host."""
    scope = current_scope()
    if scope is None or scope.tenant is None:
        return []
    apps = weblinks.connected_apps()
    inside = weblinks.is_inside(request.headers.get("User-Agent", ""))
    return [
        Way(
            _("企业微信登录") if len(apps) == 1 else _("企业微信登录:%(corp)s") % {"corp": app.corp.name},
            start_url(app.corp.pk, go_on),
            "message-circle" if inside else "qr-code",
            at_once=inside,
        )
        for app in apps
    ]


def start_url(corp_pk: int, go_on: str) -> str:
    """Where a log-in with WeCom begins that comes out on this page."""
    return f"{reverse('contacts:wecom_start', args=[corp_pk])}?{urlencode({'next': go_on})}"


@public("the way in")
@never_cache
@require_GET
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Off to WeCom's page, with a state that only this browser can bring back."""
    app = weblinks.app_of(pk)
    if app is None:
        raise Http404
    go_on = local_path(request, request.GET.get("next", "")) or "/"
    state = secrets.token_hex(16)
    taken_along = {"state": state, "corp": pk, "next": go_on if len(go_on) <= LONGEST_NEXT else "/"}
    page = weblinks.login_page(
        app,
        back=request.build_absolute_uri(reverse("contacts:wecom_back")),
        state=state,
        inside=weblinks.is_inside(request.headers.get("User-Agent", "")),
    )
    response = redirect(page)
    response.set_cookie(
        COOKIE, signing.dumps(taken_along, salt=_salt()), max_age=LIFE_SECONDS, path="/", httponly=True, samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )  # fmt: skip
    return response


@public("the way in")
@never_cache
@require_GET
@sensitive_variables("code")
def back(request: HttpRequest) -> HttpResponse:
    """Back from WeCom's page with a code."""
    taken_along = _taken_along(request)
    code = request.GET.get("code", "")
    try:
        if taken_along is None:
            raise UserError(_("这次登录不是从这个浏览器开始的,或者已经过了 10 分钟。请重新登录。"), code="state")
        app = weblinks.app_of(taken_along["corp"])
        if app is None:
            raise UserError(_("这家企业已经断开连接,请用密码登录。"), code="corp")
        if not code:
            raise UserError(_("您在企业微信里没有同意登录。"), code="declined")
        arrival = wecom_login.come_in(app.corp, code, ip=client_address(request))
    except UserError as error:
        response = _refuse(request, error, taken_along)
    else:
        sessions.open_session(request, arrival.user, way=LoginSession.Way.WECOM)
        request.session[MEMBERS] = {**request.session.get(MEMBERS, {}), str(app.corp.pk): arrival.member.pk}
        response = redirect(local_path(request, taken_along["next"]) or "/")
    response.delete_cookie(COOKIE, path="/", samesite="Lax")
    return response


def _taken_along(request: HttpRequest) -> dict[str, Any] | None:
    """What this browser took along for the state that came back; None for no, another's, a used or an old one."""
    try:
        known = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_salt(), max_age=LIFE_SECONDS)
    except signing.BadSignature:
        return None
    if not constant_time_compare(known["state"], request.GET.get("state", "")):
        return None
    return known if cache.add(f"wecom-login:{known['state']}", 1, LIFE_SECONDS) else None


def _refuse(request: HttpRequest, error: UserError, taken_along: dict[str, Any] | None) -> HttpResponse:
    go_on = local_path(request, taken_along["next"]) if taken_along else None
    again = f"{reverse('login')}?{urlencode({'next': go_on, 'by': 'choice'})}" if go_on else reverse("login")
    return render(request, "contacts/wecom_refused.html", {"error": error, "again": again}, status=error.status)


def _salt() -> str:
    return f"wecom-login:{scope_name()}"  # a cookie of one merchant's host says nothing on another's
