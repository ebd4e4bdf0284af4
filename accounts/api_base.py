"""What every resource of /api/v1/ is built from: a token's scope, keyset cursors, one error shape, Idempotency-Key.

    class OrderViewSet(ReadViewSet):
        required_scope = "orders"            # orders:read for GET, orders:write otherwise
        serializer_class = OrderSerializer

        def get_queryset(self): ...

        def create(self, request): ...       # calls a service with by=self.actor

A write may carry `Idempotency-Key` (1 to 80 characters): the same key with the same body gets the answer already given, for
two days; with another body 422; while the first is still at work 409.
"""

from typing import Any

from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from accounts.services import idempotency
from tenants.audit import Actor


class ApiMixin(APIView):
    """Idempotency and the actor, for views and viewsets."""

    required_scope: str
    _claim: idempotency.Claim | None = None

    @property
    def actor(self) -> Actor:
        """The token, as services and the audit take it."""
        return self.request.user.actor  # type: ignore[no-any-return, union-attr]

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        except BaseException:
            self._forget_claim()
            raise

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        key = request.headers.get("Idempotency-Key")
        if key is not None and request.method in ("POST", "PUT", "PATCH", "DELETE"):
            self._claim = idempotency.claim(
                request.auth.pk, key, method=request.method, path=request.get_full_path(), body=request._request.body
            )

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, idempotency.Answered):
            response = Response(exc.body, status=exc.status)
            response["Idempotent-Replay"] = "true"
            return response
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        claim, self._claim = self._claim, None
        if claim is not None:
            idempotency.settle(claim, response.status_code, getattr(response, "data", None))
        return final

    def _forget_claim(self) -> None:
        if self._claim is not None:
            idempotency.release(self._claim)
            self._claim = None


class ApiViewSet(ApiMixin, GenericViewSet):
    """Routes of its own choice."""


class ReadViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ApiViewSet):
    """List and retrieve; a row of another tenant, or outside the queryset, is 404."""
