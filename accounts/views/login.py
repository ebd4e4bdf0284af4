"""Coming in and going out: log-in, the one-time link, log-out, language."""

from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import ways
from accounts.access import public
from accounts.forms import LoginForm, NewPasswordForm
from accounts.models import User
from accounts.services import sessions
from accounts.services.links import find_link, use_link
from accounts.services.login import check_password
from scrm.lib.address import client_address, local_path
from scrm.lib.errors import UserError


@public("the way in")
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """Name and password of this host's own users, and the other ways in. Who was sent here inside WeCom goes on at once."""
    if request.method == "GET" and request.user.is_authenticated:
        return redirect(_next(request))
    others = ways.ways_for(request, _next(request))
    if request.method == "GET" and _may_go_on(request) and len(others) == 1 and others[0].at_once:
        return redirect(others[0].url)
    form = LoginForm(request.POST or None)
    context = {"form": form, "next": _next(request), "ways": others}
    if request.method == "POST" and form.is_valid():
        try:
            user = check_password(
                form.cleaned_data["username"], form.cleaned_data["password"], ip=client_address(request)
            )
        except UserError as error:
            form.add_error(None, str(error.message))
            return render(request, "accounts/login.html", context, status=error.status)
        sessions.open_session(request, user)
        return redirect(_next(request))
    status = 422 if form.errors else 200
    return render(request, "accounts/login.html", context, status=status)


@public("whoever holds the link is who it was made for")
@sensitive_post_parameters("password", "again")
@never_cache
@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """Set the first (or a new) password by a one-time link. Opening the page does not spend it."""
    link = find_link(token)
    form = NewPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = use_link(token, form.cleaned_data["password"])
        except UserError as error:
            form.add_error("password" if "password" in error.fields else None, str(error.message))
        else:
            sessions.open_session(request, user)
            return redirect("/")
    status = 422 if form.errors else 200
    return render(request, "accounts/welcome.html", {"form": form, "link_user": link.user}, status=status)


@public("ending a session asks for none")
@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End this browser's session."""
    if request.user.is_authenticated and request.session.session_key:
        sessions.forget(request.session.session_key)
    logout(request)
    return redirect("login")


@public("the language of a page without a log-in")
@require_POST
def set_language(request: Any) -> HttpResponse:
    """Remember the language: on the user when there is one, in a cookie for pages before the log-in."""
    language = request.POST.get("language", "")
    response = redirect(_next(request))
    if language in dict(settings.LANGUAGES):
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME, language, max_age=365 * 86400, samesite="Lax",
            secure=settings.LANGUAGE_COOKIE_SECURE, httponly=True,
        )  # fmt: skip
        if request.user.is_authenticated:
            User.objects.filter(pk=request.user.pk).update(language=language)
    return response


def _may_go_on(request: HttpRequest) -> bool:
    """Sent here by a page, not by a log-out, nor by a way that has just failed: that would go round in circles."""
    return bool(request.GET.get("next")) and request.GET.get("by") != "choice"


def _next(request: HttpRequest) -> str:
    """Where to go on, if it is a page of this host."""
    return local_path(request, request.POST.get("next") or request.GET.get("next") or "/") or "/"
