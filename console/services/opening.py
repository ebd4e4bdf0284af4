"""Opening a merchant from the platform's side: row, schema, seeds, and the first user with her one-time link."""

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Role, User, as_username
from accounts.services.links import issue_link, link_url
from accounts.services.users import Grant, create_user
from console.registry import OPERATOR_PERMISSIONS
from scrm.lib.errors import Conflict
from scrm.lib.queue import send
from tenants.audit import Actor
from tenants.context import public_scope, tenant_scope
from tenants.models import Domain, Tenant
from tenants.provision.steps import provision as run_steps
from tenants.services.lifecycle import check_droppable, create_tenant, record_platform


def order_opening(
    slug: str, name: str, *, by: Actor, time_zone: str = "Asia/Shanghai", is_sandbox: bool = False
) -> Tenant:
    """Create the merchant's row and let a worker build its schema; the list page shows how far it is."""
    tenant = create_tenant(slug, name, by=by, time_zone=time_zone, is_sandbox=is_sandbox)
    send_provision(tenant.pk)
    return tenant


def send_provision(tenant_id: int) -> bool:
    """Ask a worker to go on with a merchant that is not open yet."""
    return send("tenants.provision", queue="bulk", kwargs={"tenant_id": tenant_id})


def order_drop(tenant_id: int, typed_slug: str, *, by: Actor) -> Tenant:
    """Check that the merchant may be dropped, and let a worker dump and delete it. Raises what lifecycle.drop raises."""
    tenant = check_droppable(tenant_id, typed_slug)
    operator = {"kind": by.kind, "id": by.id, "name": by.name, "ip": by.ip}
    kwargs = {"tenant_id": tenant_id, "typed_slug": typed_slug, "operator": operator}
    if not send("tenants.drop", queue="bulk", kwargs=kwargs):
        raise Conflict(_("任务队列连不上,没有删除。请稍后再试。"))
    return tenant


def open_now(slug: str, name: str, *, by: Actor, time_zone: str = "Asia/Shanghai", is_sandbox: bool = False) -> Tenant:
    """Create the merchant and build its schema in this process."""
    tenant = create_tenant(slug, name, by=by, time_zone=time_zone, is_sandbox=is_sandbox)
    return run_steps(tenant.pk)


def issue_admin_link(tenant: Tenant, *, by: Actor, username: str = "admin", display_name: str = "管理员") -> str:
    """The address with which the merchant's administrator sets a password; makes the user when there is none yet."""
    platform = Actor("platform", by.id, by.name, by.ip)
    with tenant_scope(tenant), transaction.atomic():
        user = User.objects.filter(username=as_username(username)).first()
        if user is None:
            role = Role.objects.get(key="hq")
            _user, token = create_user(
                username=username, display_name=display_name, grants=[Grant(role.pk)], by=platform
            )
        else:
            token = issue_link(user, by=platform)
    with public_scope():
        record_platform("tenant.admin_link", tenant, by=by, username=username)
        host = Domain.objects.filter(tenant=tenant).order_by("-is_primary", "pk").values_list("domain", flat=True)[0]
    return link_url(token, host)


@transaction.atomic
def make_operator(username: str, display_name: str, *, by: Actor) -> tuple[User, str]:
    """A platform operator and the token of her one-time link. Call inside public_scope."""
    role, _made = Role.objects.get_or_create(
        key="platform", defaults={"name": "平台运营", "permissions": list(OPERATOR_PERMISSIONS)}
    )
    return create_user(username=username, display_name=display_name, grants=[Grant(role.pk)], by=by)
