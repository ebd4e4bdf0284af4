"""What every request passes: an id, health answers, the content policy, and errors that carry a sentence."""

import logging
import secrets
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render

from scrm.lib.address import local_path
from scrm.lib.errors import UserError
from scrm.lib.where import request_id
from scrm.ui.toasts import add_toast

logger = logging.getLogger(__name__)
Handler = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """An id per request: in the logs, and in the answer for whoever reports a problem."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = request_id.set(uuid.uuid4().hex[:16])
        try:
            response = self.get_response(request)
            response["X-Request-Id"] = request_id.get()
            return response
        finally:
            request_id.reset(token)


class HealthMiddleware:
    """/healthz: the process answers. /readyz: it reaches the database. Both on any host, before tenancy."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return HttpResponse("ok", content_type="text/plain")
        if request.path == "/readyz":
            return _ready()
        return self.get_response(request)


def _ready() -> HttpResponse:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        logger.exception("not ready: the database does not answer")
        return HttpResponse("database unreachable", status=503, content_type="text/plain")
    return HttpResponse("ready", content_type="text/plain")


class ContentPolicyMiddleware:
    """Content-Security-Policy: own origin only, no inline script, no eval. Images may be WeChat avatars.

    A view may name origins in request.csp_scripts that its one page loads a script from.
    """

    POLICY = (
        "default-src 'self'; script-src 'self'{scripts}; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob: https:; "
        "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
    )

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        request.csp_nonce = secrets.token_urlsafe(12)
        request.csp_scripts = ()
        response = self.get_response(request)
        scripts = "".join(f" {origin}" for origin in request.csp_scripts)
        response.setdefault("Content-Security-Policy", self.POLICY.format(nonce=request.csp_nonce, scripts=scripts))
        return response


class UserErrorMiddleware:
    """A UserError becomes its sentence: JSON for the API, a toast for htmx, a page or a message and redirect otherwise."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: Any, error: Exception) -> HttpResponse | None:
        if not isinstance(error, UserError):
            return None
        if request.path.startswith("/api/"):
            body = {"error": {"code": error.code, "message": str(error.message), "fields": error.fields}}
            return JsonResponse(body, status=error.status, json_dumps_params={"ensure_ascii": False})
        if request.htmx:
            return add_toast(
                HttpResponse(status=error.status, headers={"HX-Reswap": "none"}), str(error.message), "bad"
            )
        if request.method == "POST" and request.META.get("HTTP_REFERER"):
            messages.error(request, str(error.message))
            return HttpResponseRedirect(_local_path(request))
        return render(request, "error.html", {"error": error}, status=error.status)


def _local_path(request: HttpRequest) -> str:
    """The path of the referring page on this same host, else the path itself."""
    return local_path(request, request.META["HTTP_REFERER"]) or "/" + request.path.lstrip("/\\")
