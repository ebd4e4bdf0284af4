"""Which tenant answers on this host."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.context import public_scope, tenant_scope
from tenants.models import Domain, Tenant, TenantState


class TenantHostMiddleware:
    """Enters the tenant's scope for the request and leaves it after. The public host gets the platform's routes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        host = request.get_host().rsplit(":", 1)[0].lower()
        if host == settings.PUBLIC_HOST:
            request.tenant = None
            request.urlconf = settings.PUBLIC_SCHEMA_URLCONF
            with public_scope():
                return self.get_response(request)
        with public_scope():
            verified = Domain.objects.filter(verified_at__isnull=False)
            domain = verified.select_related("tenant").filter(domain=host).first()
        response = self._answer(request, domain)
        if not host.endswith(f".{settings.BASE_DOMAIN}") and request.is_secure() and settings.SECURE_HSTS_SECONDS:
            # What hangs below a host that is not ours is not ours to bind to HTTPS, nor to put on a browser's list.
            response["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
        return response

    def _answer(self, request: Any, domain: Domain | None) -> HttpResponse:
        if domain is None:
            return HttpResponseNotFound(
                _("这个网址没有对应的商户,请检查网址是否写错。"), content_type="text/plain; charset=utf-8"
            )
        request.tenant = domain.tenant
        if domain.tenant.state != TenantState.ACTIVE:
            return render(request, "tenants/unavailable.html", {"tenant": domain.tenant}, status=503)
        # Pages speak the tenant's time; what is stored stays UTC.
        with tenant_scope(domain.tenant), timezone.override(ZoneInfo(domain.tenant.time_zone)):
            response = self.get_response(request)
        if response.streaming and getattr(response, "file_to_stream", None) is None:
            response.streaming_content = _chunks_in(domain.tenant, response.streaming_content)  # type: ignore[attr-defined]  # set here for the page or the sweep, no column of the model
        return response


def _chunks_in(tenant: Tenant, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The body of a response that is made while it is sent, after the request has left its scope."""
    made, end = iter(chunks), object()
    while True:
        with tenant_scope(tenant), timezone.override(ZoneInfo(tenant.time_zone)):
            chunk = next(made, end)
        if chunk is end:
            return
        yield chunk  # type: ignore[misc]
