"""Named permissions. Apps register theirs in AppConfig.ready(); roles are rows that group them (accounts.presets)."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True)
class Permission:
    """`code` is `<app>.<verb>_<noun>` or `<app>.<noun>`; `group` is the heading it stands under on the roles page.

    tenant_wide: what it allows cannot be kept within a part of the organisation, so only a grant over everything gives it.
    says: one sentence of what a holder can do, for who ticks it on the roles page.
    own_work: it opens nothing but the holder's own tasks, so that who manages users may give it without holding it.
    freezes: customers can be taken along by it, one after another or all at once: a frozen account (accounts.freezing) has it not.
    """

    code: str
    label: str | Promise
    group: str | Promise
    tenant_wide: bool = False
    says: str | Promise = ""
    own_work: bool = False
    freezes: bool = False


_permissions: dict[str, Permission] = {}


def register(*permissions: Permission) -> None:
    """Add permissions. Raises ValueError when a code is taken by another."""
    for permission in permissions:
        if _permissions.get(permission.code, permission) != permission:
            raise ValueError(f"permission {permission.code} is registered twice")
        _permissions[permission.code] = permission


def all_permissions() -> list[Permission]:
    """Every registered permission, in order of registration."""
    return list(_permissions.values())


def is_tenant_wide(code: str) -> bool:
    """Whether only a grant over the whole organisation gives the permission."""
    return code in _permissions and _permissions[code].tenant_wide


def is_own_work(code: str) -> bool:
    """Whether the permission opens nothing but the holder's own tasks."""
    return code in _permissions and _permissions[code].own_work


def is_taken_by_freeze(code: str) -> bool:
    """Whether a frozen account has it not."""
    return code in _permissions and _permissions[code].freezes


def label_of(code: str) -> str:
    """The permission's name; its code when nobody registered it."""
    return str(_permissions[code].label) if code in _permissions else code


def is_known(code: str) -> bool:
    """Whether some app registered the code."""
    return code in _permissions
