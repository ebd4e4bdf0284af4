"""The ten roles every merchant starts with. They are rows: a tenant may edit what they hold, never delete them."""

from dataclasses import dataclass

from django.db import transaction

from accounts.models import Role, RoleGrant
from tenants.models import Tenant

Scope = RoleGrant.Scope

_SEE_PEOPLE = ("contacts.view", "groups.view", "orders.view", "tags.view", "segments.view")
_SEE_WORK = ("rules.view", "broadcasts.view", "sops.view", "reports.view")
_WRITE_WORK = ("segments.edit", "broadcasts.edit", "sops.edit", "welcomes.edit")


@dataclass(frozen=True)
class Preset:
    """`scope` is the part of the organisation the role usually covers; the users page proposes it."""

    key: str
    name: str
    permissions: tuple[str, ...]
    scope: str = Scope.ALL


PRESETS = (
    Preset(
        "hq",
        "总部",
        (
            *_SEE_PEOPLE, *_SEE_WORK, *_WRITE_WORK,
            "contacts.edit", "contacts.unmask", "contacts.export", "contacts.merge", "ownership.edit", "handover.manage", "orders.import",
            "tags.edit", "rules.edit", "stages.edit",
            "broadcasts.approve", "bridge.view", "bridge.manage", "org.view", "org.edit", "users.manage", "roles.manage",
            "tokens.manage", "audit.view", "jobs.view",
        ),
    ),
    Preset(
        "operator",
        "私域运营",
        (
            *_SEE_PEOPLE, *_SEE_WORK, *_WRITE_WORK,
            "contacts.edit", "contacts.merge", "ownership.edit", "handover.manage", "orders.import", "tags.edit", "rules.edit",
            "stages.edit", "bridge.view", "org.view", "jobs.view",
        ),
    ),
    Preset("content", "内容", ("broadcasts.view", "broadcasts.edit", "sops.view", "sops.edit", "welcomes.edit", "reports.view")),
    Preset("service", "客服", ("contacts.view", "contacts.edit", "groups.view", "orders.view", "tags.view", "tags.edit")),
    Preset(
        "growth",
        "用户增长",
        (*_SEE_PEOPLE, *_SEE_WORK, "segments.edit", "tags.edit", "rules.edit", "welcomes.edit", "org.view", "jobs.view"),
    ),
    Preset("region", "大区", (*_SEE_PEOPLE, *_SEE_WORK, "handover.manage", "broadcasts.approve", "org.view", "jobs.view"), Scope.REGION),
    Preset(
        "store",
        "店长",
        (
            *_SEE_PEOPLE,
            "contacts.edit", "handover.manage", "tags.edit", "broadcasts.view", "broadcasts.approve", "sops.view", "reports.view", "today.use",
            "org.view",
        ),
        Scope.STORE,
    ),
    Preset("guide", "导购", ("contacts.view", "contacts.edit", "groups.view", "orders.view", "tags.view", "today.use"), Scope.SELF),
    Preset(
        "approver",
        "审批",
        ("broadcasts.view", "broadcasts.approve", "sops.view", "segments.view", "contacts.view", "reports.view", "org.view"),
    ),
    Preset(
        "it",
        "IT",
        ("bridge.view", "bridge.manage", "org.view", "org.edit", "users.manage", "roles.manage", "tokens.manage", "audit.view",
         "jobs.view"),
    ),
)  # fmt: skip


@transaction.atomic
def seed_roles(tenant: Tenant) -> None:
    """Lay the preset roles into the tenant in scope. Rows that exist are the merchant's own and stay as they are."""
    Role.objects.bulk_create(
        [
            Role(key=preset.key, name=preset.name, permissions=list(preset.permissions), order=order)
            for order, preset in enumerate(PRESETS)
        ],
        ignore_conflicts=True,
    )


def preset(key: str) -> Preset:
    """The preset of a key. Raises KeyError for an unknown one."""
    return {item.key: item for item in PRESETS}[key]
