"""From the opaque part of a callback address to the tenant, the corp and the keys; remembered for a few seconds."""

import time
from dataclasses import dataclass

from tenants.context import public_scope, tenant_scope
from tenants.models import CallbackRoute, Tenant, TenantState
from wecom_bridge.callbacks.envelope import Keys, Refused, decode_key
from wecom_bridge.gateway import flows
from wecom_bridge.models import CorpCredential

KEEP_SECONDS = 5.0
MAX_KEPT = 2_000


@dataclass(frozen=True)
class Route:
    """Where a callback leads and what opens it."""

    tenant: Tenant
    corp_pk: int
    keys: Keys


_kept: dict[str, tuple[float, Route | None]] = {}


def find(opaque: str) -> Route:
    """The route. Raises Refused: 404 for an unknown one, 503 while the tenant is not active."""
    now = time.monotonic()
    kept = _kept.get(opaque)
    if kept is None or kept[0] < now:
        if len(_kept) >= MAX_KEPT:
            _kept.clear()
        kept = _kept[opaque] = (now + KEEP_SECONDS, _load(opaque))
    route = kept[1]
    if route is None:
        raise Refused(404, "unknown callback address")
    if route.tenant.state != TenantState.ACTIVE:
        raise Refused(503, f"tenant {route.tenant.slug} is {route.tenant.state}")
    return route


def forget() -> None:
    """Drop what this process remembers (keys were changed here)."""
    _kept.clear()


def _load(opaque: str) -> Route | None:
    with public_scope():
        row = CallbackRoute.objects.select_related("tenant").filter(opaque=opaque, is_active=True).first()
    if row is None:
        return None
    if row.tenant.state != TenantState.ACTIVE:
        return Route(row.tenant, row.corp_pk, Keys("", b"", ""))
    with tenant_scope(row.tenant):
        credential = CorpCredential.objects.select_related("corp").filter(pk=row.credential_pk).first()
    if credential is None or not credential.callback_token:
        return None
    receiver = flows.flow_of(credential).receiver(credential)
    keys = Keys(credential.callback_token, decode_key(credential.callback_aes_key), receiver)
    return Route(row.tenant, row.corp_pk, keys)
