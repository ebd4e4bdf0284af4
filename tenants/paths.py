"""Names that carry the tenant: cache keys, files, channels. Nothing outside builds its own."""

import re
from pathlib import Path

from django.conf import settings

from tenants.context import current_scope, current_tenant

_UNSAFE = re.compile(r"[^0-9A-Za-z._-]+")


def scope_name() -> str:
    """`t_…` of the tenant in scope, or `public`."""
    scope = current_scope()
    return scope.tenant.schema_name if scope and scope.tenant else "public"


def cache_key(key: str, key_prefix: str, version: int) -> str:
    """Django's KEY_FUNCTION: one tenant can never read another's entry."""
    return f"{settings.DEPLOYMENT_ID}:{scope_name()}:{key_prefix}:{version}:{key}"


def channel(name: str) -> str:
    """The name of a Redis key or channel of the tenant in scope."""
    return f"{settings.DEPLOYMENT_ID}:{scope_name()}:{name}"


def shared_channel(name: str) -> str:
    """The name of a Redis key that all tenants share: for what belongs to the machine, never for what is known of anybody."""
    return f"{settings.DEPLOYMENT_ID}:public:{name}"


def tenant_dir(*parts: str) -> Path:
    """A folder of the tenant in scope under MEDIA_ROOT, made if missing. Parts are reduced to safe names."""
    folder = Path(settings.MEDIA_ROOT) / current_tenant().schema_name
    for part in parts:
        folder /= safe_name(part)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def safe_name(name: str) -> str:
    """A file name without separators or leading dots; an empty one becomes `file`."""
    return _UNSAFE.sub("_", name).lstrip(".") or "file"
