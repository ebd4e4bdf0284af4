"""Roles: named bundles of permissions. The presets may be edited, never deleted."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from accounts import journal
from accounts.models import Role
from accounts.permissions import is_known
from accounts.services import granting
from accounts.services.users import lock_keepers, require_keepers
from scrm.lib.errors import Conflict, UserError
from tenants.audit import Actor


@transaction.atomic
def create_role(name: str, permissions: Iterable[str], *, by: Actor) -> Role:
    """A role of the tenant's own. Raises UserError for a permission nobody registered, NotAllowed for one the actor lacks."""
    codes = _checked(permissions)
    granting.refuse(granting.holding_of(by).lacks(codes))
    last = Role.objects.aggregate(last=Max("order"))["last"] or 0
    role = Role.objects.create(name=name.strip(), permissions=codes, order=last + 1)
    journal.record("role.created", role, by=by, permissions=codes)
    return role


@transaction.atomic
def edit_role(role_id: int, *, name: str, permissions: Iterable[str], by: Actor) -> Role:
    """New name and permissions, in force from everybody's next request. Raises UserError when nobody would be left to manage
    users and roles, NotAllowed for a permission added that the actor herself does not hold over everything."""
    lock_keepers()
    role = Role.objects.select_for_update().get(pk=role_id)
    before, codes = set(role.permissions), _checked(permissions)
    granting.refuse(granting.holding_of(by).lacks(set(codes) - before))
    role.name, role.permissions = name.strip(), codes
    role.save(update_fields=["name", "permissions"])
    require_keepers()
    journal.record("role.edited", role, by=by, added=sorted(set(codes) - before), removed=sorted(before - set(codes)))
    return role


@transaction.atomic
def delete_role(role_id: int, *, by: Actor) -> None:
    """Raises Conflict for a preset, and for a role somebody holds."""
    role = Role.objects.select_for_update().get(pk=role_id)
    if role.key:
        raise Conflict(_("“%(name)s”是预设角色,可以修改,不能删除。") % {"name": role.name})
    holders = role.grants.count()
    if holders:
        raise Conflict(_("还有 %(n)d 项授权在用这个角色,请先改掉。") % {"n": holders})
    journal.record("role.deleted", role, by=by, name=role.name)
    role.delete()


def _checked(permissions: Iterable[str]) -> list[str]:
    codes = sorted(set(permissions))
    unknown = [code for code in codes if not is_known(code)]
    if unknown:
        raise UserError(
            _("没有这些权限:%(codes)s") % {"codes": ", ".join(unknown)}, fields={"permissions": _("含未知权限")}
        )
    return codes
