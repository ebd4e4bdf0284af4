"""Hosts a merchant answers on: <slug>.<base domain> from the start, its own besides."""

import re

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants.audit import Actor
from tenants.context import current_tenant, public_scope
from tenants.models import Domain, Tenant
from tenants.services.lifecycle import record_platform

_HOST = re.compile(r"^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,61}$")


def add_domain(tenant: Tenant, host: str, *, by: Actor) -> Domain:
    """Let the merchant answer on a host of its own. Raises UserError for what is no host name of others, Conflict when taken.

    It is served from the next request on; the proxy's certificate must cover it.
    """
    name = host.strip().lower().rstrip(".")
    ours = name == settings.PUBLIC_HOST or name == settings.BASE_DOMAIN or name.endswith(f".{settings.BASE_DOMAIN}")
    if not _HOST.match(name) or ours:
        raise UserError(_("%(host)s 不是可用的域名。") % {"host": host}, fields={"host": _("请填商户自己的域名")})
    try:
        with public_scope(), transaction.atomic():
            row: Domain = Domain.objects.create(tenant=tenant, domain=name, is_primary=False, verified_at=clock.wall())
            record_platform("domain.added", tenant, by=by, host=name)
    except IntegrityError as error:
        raise Conflict(_("%(host)s 已被一个商户使用。") % {"host": name}, fields={"host": _("已被使用")}) from error
    return row


def remove_domain(tenant: Tenant, domain_id: int, *, by: Actor) -> None:
    """The merchant no longer answers there. Raises Conflict for its first host, <slug>.<base domain>."""
    with public_scope(), transaction.atomic():
        row = Domain.objects.select_for_update().get(pk=domain_id, tenant=tenant)
        if row.domain == f"{tenant.slug}.{settings.BASE_DOMAIN}":
            raise Conflict(_("平台给的网址不能移除。"))
        if row.is_primary:
            Domain.objects.filter(tenant=tenant, domain=f"{tenant.slug}.{settings.BASE_DOMAIN}").update(is_primary=True)
        row.delete()
        record_platform("domain.removed", tenant, by=by, host=row.domain)


def site_url(path: str) -> str:
    """An address on the host of the merchant in scope, for what is read outside of her pages. Her own host before the platform's."""
    tenant = current_tenant()
    hosts = Domain.objects.filter(tenant=tenant, verified_at__isnull=False).order_by("-is_primary", "id")
    host = hosts.values_list("domain", flat=True).first() or f"{tenant.slug}.{settings.BASE_DOMAIN}"
    usual = 443 if settings.SITE_SCHEME == "https" else 80
    port = "" if settings.SITE_PORT == usual else f":{settings.SITE_PORT}"
    return f"{settings.SITE_SCHEME}://{host}{port}{path}"
