"""Users of a tenant: made with a one-time link, edited, closed; what roles they hold over which part of the organisation."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import journal
from accounts.models import Role, RoleGrant, User, as_username
from accounts.scope import places
from accounts.services import granting
from accounts.services.links import issue_link
from accounts.services.sessions import end_sessions
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import locks
from tenants.audit import Actor

# Without a holder of these, nobody could let anybody in again.
KEEPERS = ("users.manage", "roles.manage")
Kind = RoleGrant.Scope


@dataclass(frozen=True)
class Grant:
    """A role over "all", "self", or a region, dealer or store by id."""

    role_id: int
    scope_kind: str = Kind.ALL
    scope_id: int = 0


@transaction.atomic
def create_user(
    *, username: str, display_name: str, grants: Sequence[Grant], by: Actor, phone: str = "", email: str = ""
) -> tuple[User, str]:
    """A user without a password, and the token of her one-time link. Raises Conflict when the name is taken, NotAllowed for
    a grant beyond what the actor holds."""
    user = add_user(username=username, display_name=display_name, grants=grants, by=by, phone=phone, email=email)
    return user, issue_link(user, by=by)


@transaction.atomic
def add_user(
    *, username: str, display_name: str, grants: Sequence[Grant], by: Actor, phone: str = "", email: str = ""
) -> User:
    """A user without a password and without a link: somebody else vouches for her. Raises as create_user does."""
    name = as_username(username)
    user = User(username=name, display_name=display_name.strip(), phone=phone, email=email, created_at=clock.wall())
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(_("用户名 %(name)s 已被使用。") % {"name": name}, fields={"username": _("已被使用")}) from error
    _set_grants(user, grants, by=by)
    journal.record("user.created", user, by=by, roles=_role_names(grants))
    return user


@transaction.atomic
def edit_user(
    user_id: int, *, display_name: str, grants: Sequence[Grant], by: Actor, phone: str = "", email: str = ""
) -> User:
    """New name, phone and grants. Raises UserError when nobody would be left to manage users and roles, NotAllowed for a
    grant added beyond what the actor holds."""
    lock_keepers()
    user = User.objects.select_for_update().get(pk=user_id)
    user.display_name, user.phone, user.email = display_name.strip(), phone, email
    user.save(update_fields=["display_name", "phone", "email"])
    _set_grants(user, grants, by=by)
    require_keepers()
    journal.record("user.edited", user, by=by, roles=_role_names(grants))
    return user


@transaction.atomic
def set_active(user_id: int, active: bool, *, by: Actor) -> User:
    """Close or reopen an account; closing ends its sessions. Raises UserError for one's own, or the last keeper's."""
    lock_keepers()
    user = User.objects.select_for_update().get(pk=user_id)
    if user.is_active == active:
        return user
    if by.kind == "user" and by.id == user.pk:
        raise UserError(_("不能停用自己的账号,请另一位管理员操作。"))
    user.is_active = active
    user.save(update_fields=["is_active"])
    if not active:
        end_sessions(user, by=by)
        require_keepers()
    journal.record("user.reopened" if active else "user.closed", user, by=by)
    return user


def lock_keepers() -> None:
    """Changes that may take the last keeper go one after the other: two that each leave the other's would leave none."""
    locks.lock_in_transaction("keepers")


def require_keepers() -> None:
    """Raises UserError when no active user holds KEEPERS over everything any more. Call at the end of the change, with
    lock_keepers at its beginning."""
    held = RoleGrant.objects.filter(user__is_active=True, scope_kind=Kind.ALL)
    for permission in KEEPERS:
        if not held.filter(role__permissions__contains=[permission]).exists():
            raise UserError(_("至少要有一位在用的用户能管理用户和角色,否则没有人能再开通账号。"), code="last_keeper")


def _set_grants(user: User, grants: Sequence[Grant], *, by: Actor) -> None:
    wanted = {(grant.role_id, grant.scope_kind, grant.scope_id) for grant in grants}
    _check_places(wanted)
    known = {
        (row.role_id, row.scope_kind, row.scope_id): row.pk
        for row in RoleGrant.objects.select_for_update().filter(user=user)
    }
    granting.refuse_beyond(by, wanted - set(known))
    RoleGrant.objects.filter(pk__in=[pk for key, pk in known.items() if key not in wanted]).delete()
    RoleGrant.objects.bulk_create(
        [
            RoleGrant(user=user, role_id=role, scope_kind=kind, scope_id=place)
            for role, kind, place in wanted - set(known)
        ]
    )


def _check_places(wanted: set[tuple[int, str, int]]) -> None:
    """A grant over a place names a row of this tenant's organisation."""
    for kind in (Kind.REGION, Kind.DEALER, Kind.STORE):
        ids = {place for _role, scope_kind, place in wanted if scope_kind == kind}
        if ids and {pk for pk, _name in places(kind, ids)} != ids:
            raise UserError(_("请选择这个角色管的大区、经销商或门店。"), fields={"grants": _("范围不完整")})


def _role_names(grants: Sequence[Grant]) -> list[str]:
    return list(Role.objects.filter(pk__in={grant.role_id for grant in grants}).values_list("name", flat=True))
