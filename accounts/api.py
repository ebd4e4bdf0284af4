"""API routes every deployment has: the description of the API itself, and a sandbox's clock and quiet."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Min
from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import ApiMixin
from scrm.lib import clock
from tenants import quiet
from tenants.context import current_tenant
from tenants.models import DueHint
from tenants.services.clock import set_offset


class SchemaView(SpectacularAPIView):
    """GET /api/v1/schema/: OpenAPI 3. It names resources and shows no data, so it needs no token."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    public_reason = "names resources, shows no data"


class TokenScheme(OpenApiAuthenticationExtension):
    """How the description writes our tokens down."""

    target_class = "accounts.api_auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class ClockSerializer(serializers.Serializer):
    """offset_seconds: domain time minus wall time; now: domain time."""

    offset_seconds = serializers.IntegerField()
    now = serializers.DateTimeField(read_only=True)


class QuietSerializer(serializers.Serializer):
    """pending: what is left to do now, by name. next_due_at: the domain instant of the next known work, if any."""

    quiet = serializers.BooleanField()
    pending = serializers.DictField(child=serializers.IntegerField())
    now = serializers.DateTimeField()
    next_due_at = serializers.DateTimeField(allow_null=True)


class SandboxView(ApiMixin):
    """Only a sandbox tenant on a site that allows them has these routes."""

    required_scope = "sandbox"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not (settings.ALLOW_SANDBOX and current_tenant().is_sandbox):
            raise Http404


class QuietView(SandboxView):
    @extend_schema(responses=QuietSerializer)
    def get(self, request: Request) -> Response:
        """Whether anything is left to do now: inbox, commands, due rows, lanes at work."""
        pending = quiet.pending()
        later = DueHint.objects.filter(tenant_id=current_tenant().pk, due_at__gt=clock.wall()).aggregate(
            at=Min("due_at")
        )["at"]
        body = {
            "quiet": not any(pending.values()),
            "pending": pending,
            "now": clock.now(),
            "next_due_at": later + clock.offset() if later else None,
        }
        return Response(QuietSerializer(body).data)


class ClockView(SandboxView):
    @extend_schema(responses=ClockSerializer)
    def get(self, request: Request) -> Response:
        """The tenant's domain clock."""
        return self._answer(clock.offset())

    @extend_schema(request=ClockSerializer, responses=ClockSerializer)
    def put(self, request: Request) -> Response:
        """Move the domain clock, and look at every lane."""
        form = ClockSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        row = set_offset(current_tenant(), timedelta(seconds=form.validated_data["offset_seconds"]))
        return self._answer(row.clock_offset)

    def _answer(self, offset: timedelta) -> Response:
        body = {"offset_seconds": int(offset.total_seconds()), "now": clock.wall() + offset}
        return Response(ClockSerializer(body).data)
