"""The door WeCom's callbacks knock at, on the platform's own host. No session, no log-in, no CSRF: the signature speaks."""

import logging
import time
from collections.abc import Callable

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from scrm.lib import clock
from tenants.context import TenantUnavailable, tenant_scope
from wecom_bridge.callbacks import knocks, nudges, parsing, routes, rows
from wecom_bridge.callbacks.envelope import Refused, open_envelope
from wecom_bridge.figures import recorder

logger = logging.getLogger(__name__)

MAX_BODY = 256 * 1024


@csrf_exempt
@require_http_methods(["GET", "POST"])
def callback(request: HttpRequest, opaque: str) -> HttpResponse:
    """GET: WeCom verifies the address. POST: an event; answered `success` after its row is committed.

    403 wrong signature, key or corp; 400 truncated or not XML; 413 giant; 404 unknown address; 503 tenant suspended, or
    the database away. Nothing of these is stored.
    """
    try:
        return _take(request, opaque)
    except Refused as refused:
        logger.warning("callback to %s… refused with %s: %s", opaque[:6], refused.status, refused.cause)
        return HttpResponse(refused.cause, status=refused.status, content_type="text/plain")
    except (rows.NotStored, Error, TenantUnavailable):
        logger.exception("callback to %s… not stored; WeCom will send it again", opaque[:6])
        return HttpResponse("try again", status=503, content_type="text/plain")


def _take(request: HttpRequest, opaque: str) -> HttpResponse:
    began = time.perf_counter()
    route = routes.find(opaque)
    try:
        answer = _answer(request, route, opaque)
    except Refused as refused:
        _count(route, refused.cause, refused.status, began)
        _remember(route, knocks.note_refusal, opaque, refused.cause)
        nudges.stir()
        raise
    _count(route, "", 200, began)
    return answer


class _Echo(HttpResponse):
    """The answer of a verification. WeCom waits a second for it, so what is to be noted is noted once it is sent."""

    def __init__(self, echo: bytes, note: Callable[[], None]) -> None:
        super().__init__(echo, content_type="text/plain", headers={"Content-Length": str(len(echo))})
        self._note = note

    def close(self) -> None:
        self._note()
        super().close()


def _remember(route: routes.Route, note: Callable[[str, str], None], opaque: str, what: str) -> None:
    """A note helps a person find a mistake: that it cannot be kept changes no answer."""
    try:
        with tenant_scope(route.tenant):
            note(opaque, what)
    except Exception:
        logger.exception("a knock at %s… could not be noted", opaque[:6])


def _count(route: routes.Route, cause: str, status: int, began: float) -> None:
    recorder.observe("ack", cause, status, time.perf_counter() - began, tenant_id=route.tenant.pk)


def _answer(request: HttpRequest, route: routes.Route, opaque: str) -> HttpResponse:
    if request.method == "GET":
        echo = _open(request, route, request.GET.get("echostr", ""))
        nonce = request.GET.get("nonce", "")
        return _Echo(echo, lambda: _remember(route, knocks.note_verified, opaque, nonce))
    plain = _open(request, route, parsing.encrypted_part(_body(request)))
    event = parsing.understand(plain, clock.now() + route.tenant.clock_offset)
    row, due = rows.build(route.corp_pk, event, plain)
    rows.store(route.tenant, row)
    if event.lane:
        nudges.note(route.tenant.pk, event.lane, due)
    return HttpResponse(b"success", content_type="text/plain")


def _open(request: HttpRequest, route: routes.Route, encrypted: str) -> bytes:
    query = request.GET
    if not query.get("msg_signature"):
        raise Refused(403, "no signature")
    if " " in encrypted:  # base64 has none: somebody on the way decoded the query, and we did once more
        raise Refused(403, "a plus became a blank")
    return open_envelope(
        route.keys,
        given=query.get("msg_signature", ""),
        timestamp=query.get("timestamp", ""),
        nonce=query.get("nonce", ""),
        encrypted=encrypted,
    )


def _body(request: HttpRequest) -> bytes:
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise Refused(400, "no usable length") from None
    if length > MAX_BODY:
        raise Refused(413, "body too large")
    try:
        body = request.body
    except (UnreadablePostError, RawPostDataException, OSError):
        raise Refused(400, "truncated body") from None
    if len(body) < length:
        raise Refused(400, "truncated body")
    return body
