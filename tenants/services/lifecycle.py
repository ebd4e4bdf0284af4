"""A merchant's life on the platform: opened, suspended, resumed, dropped. Each deed leaves a row in PlatformAudit."""

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import jobs, locks
from tenants.audit import Actor
from tenants.context import public_scope
from tenants.models import (
    CallbackRoute,
    Domain,
    DueHint,
    LaneLease,
    PlatformAudit,
    SchemaUpgrade,
    Tenant,
    TenantState,
    new_schema_name,
)
from tenants.services.dumps import dump_tenant

RESERVED_SLUGS = {"admin", "www", "api", "static", "public", "mail"}


def record_platform(action: str, tenant: Tenant | None, *, by: Actor, **data: Any) -> PlatformAudit:
    """Write one row of the platform's own audit, in the transaction of the deed."""
    return PlatformAudit.objects.create(
        at=clock.wall(),
        operator_id=by.id,
        operator_name=by.name,
        action=action,
        tenant_id=tenant.pk if tenant else None,
        data={**({"slug": tenant.slug} if tenant else {}), **data},
    )


def create_tenant(
    slug: str, name: str, *, by: Actor, time_zone: str = "Asia/Shanghai", is_sandbox: bool = False
) -> Tenant:
    """A merchant's row and its host, still without a schema: tenants.provision opens it.

    Raises UserError for a slug that is taken, reserved or not a host name, and for a sandbox on a site that refuses them.
    """
    if is_sandbox and not settings.ALLOW_SANDBOX:
        raise UserError(_("这个平台不允许沙箱商户(ALLOW_SANDBOX)。"), fields={"is_sandbox": _("不允许沙箱")})
    tenant = Tenant(
        slug=slug.lower(), name=name, schema_name=new_schema_name(), time_zone=time_zone, is_sandbox=is_sandbox,
        created_at=clock.wall(),
    )  # fmt: skip
    host = f"{tenant.slug}.{settings.BASE_DOMAIN}"
    _check(tenant, host)
    try:
        with public_scope(), transaction.atomic():
            tenant.save(force_insert=True)
            Domain.objects.create(tenant=tenant, domain=host, is_primary=True, verified_at=clock.wall())
            record_platform("tenant.created", tenant, by=by, name=name)
    except IntegrityError as error:
        raise Conflict(
            _("商户标识 %(slug)s 已被使用,请换一个。") % {"slug": slug}, fields={"slug": _("已被使用")}
        ) from error
    return tenant


def _check(tenant: Tenant, host: str) -> None:
    if tenant.slug in RESERVED_SLUGS or host == settings.PUBLIC_HOST:
        raise UserError(
            _("%(slug)s 是平台保留的标识,请换一个。") % {"slug": tenant.slug}, fields={"slug": _("平台保留")}
        )
    try:
        tenant.clean_fields(exclude=["schema_name", "provision_step"])
    except ValidationError as error:
        fields = {key: " ".join(value) for key, value in error.message_dict.items()}
        raise UserError("; ".join(f"{key}: {value}" for key, value in fields.items()), fields=fields) from error


def suspend(tenant_id: int, *, by: Actor, reason: str = "") -> Tenant:
    """Close the door: pages answer 503, lanes stop. Data and callbacks' rows stay. Suspending twice changes nothing."""
    with public_scope(), transaction.atomic():
        tenant = _locked(tenant_id)
        if tenant.state == TenantState.SUSPENDED:
            return tenant
        _require(tenant, TenantState.ACTIVE)
        tenant.state, tenant.suspended_at = TenantState.SUSPENDED, clock.wall()
        tenant.save(update_fields=["state", "suspended_at"])
        record_platform("tenant.suspended", tenant, by=by, reason=reason)
    return tenant


def resume(tenant_id: int, *, by: Actor) -> Tenant:
    """Open it again and look at every lane for what waited. Resuming twice changes nothing."""
    with public_scope(), transaction.atomic():
        tenant = _locked(tenant_id)
        if tenant.state == TenantState.ACTIVE:
            return tenant
        _require(tenant, TenantState.SUSPENDED)
        tenant.state, tenant.suspended_at = TenantState.ACTIVE, None
        tenant.save(update_fields=["state", "suspended_at"])
        record_platform("tenant.resumed", tenant, by=by)
        jobs.nudge_every_lane(tenant.pk)
    return tenant


def drop(tenant_id: int, typed_slug: str, *, folder: Path, by: Actor) -> Path:
    """Delete a suspended merchant for good, after a dump. Returns the dump's path.

    typed_slug: what the operator typed, to be equal to the slug. Raises UserError when it is not, Conflict when the
    merchant is not suspended. A run killed half-way leaves it DROPPING and can be repeated.
    """
    with public_scope():
        check_droppable(tenant_id, typed_slug)
        with locks.session_lock(f"drop:{tenant_id}") as taken:
            if not taken:
                raise Conflict(_("这个商户正在删除,请稍候。"), code="busy")
            # Before the dump: a merchant resumed while it runs would be deleted alive.
            tenant = _mark_dropping(tenant_id, typed_slug)
            try:
                path = dump_tenant(tenant, folder)
            except BaseException:
                _locked_state(tenant_id, TenantState.SUSPENDED)
                raise
        with transaction.atomic():
            _forget(tenant)
            record_platform("tenant.dropped", tenant, by=by, dump=path.name)
    shutil.rmtree(Path(settings.MEDIA_ROOT) / tenant.schema_name, ignore_errors=True)
    return path


@transaction.atomic
def _mark_dropping(tenant_id: int, typed_slug: str) -> Tenant:
    _locked(tenant_id)
    tenant = check_droppable(tenant_id, typed_slug)
    tenant.state = TenantState.DROPPING
    tenant.save(update_fields=["state"])
    return tenant


@transaction.atomic
def _locked_state(tenant_id: int, state: TenantState) -> None:
    tenant = _locked(tenant_id)
    tenant.state = state
    tenant.save(update_fields=["state"])


def check_droppable(tenant_id: int, typed_slug: str) -> Tenant:
    """The merchant, if it may be dropped now: see drop(). A drain that began before the suspension ends with its lease."""
    tenant: Tenant = Tenant.objects.get(pk=tenant_id)
    if typed_slug != tenant.slug:
        raise UserError(
            _("输入的标识与商户不一致,没有删除。"), fields={"typed": _("请输入 %(slug)s") % {"slug": tenant.slug}}
        )
    _require(tenant, TenantState.SUSPENDED, TenantState.DROPPING)
    if LaneLease.objects.filter(tenant_id=tenant.pk, leased_until__gt=clock.wall()).exclude(holder="").exists():
        raise Conflict(_("这个商户还有任务在收尾,请一分钟后再试。"), code="busy")
    return tenant


def _forget(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'DROP SCHEMA IF EXISTS "{tenant.schema_name}" CASCADE')
    for model in (DueHint, LaneLease, SchemaUpgrade):
        model.objects.filter(tenant_id=tenant.pk).delete()
    CallbackRoute.objects.filter(tenant=tenant).delete()
    Tenant.objects.filter(pk=tenant.pk).delete()


def _locked(tenant_id: int) -> Tenant:
    tenant: Tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
    return tenant


def _require(tenant: Tenant, *states: str) -> None:
    if tenant.state not in states:
        raise Conflict(
            _("商户 %(slug)s 现在是“%(state)s”,不能这样操作。")
            % {"slug": tenant.slug, "state": tenant.get_state_display()}
        )
