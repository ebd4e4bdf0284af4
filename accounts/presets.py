"""The ten roles every merchant starts with. They are rows: a tenant may edit what they hold, never delete them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts.models import Role, RoleGrant
from tenants import audit, backfills
from tenants.ledger.models import AuditEntry
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
            "contacts.edit", "contacts.unmask", "contacts.export", "contacts.erase", "handover.manage", "orders.import", "tags.edit", "rules.edit",
            "stages.edit", "broadcasts.approve", "bridge.view", "bridge.manage", "org.view", "org.edit", "users.manage", "roles.manage",
            "tokens.manage", "audit.view", "retention.edit", "jobs.view", "fields.edit", "contacts.import", "contacts.merge", "ownership.edit",
            "freezes.lift", "contacts.export_many", "phones.manage",
        ),
    ),
    Preset(
        "operator",
        "私域运营",
        (
            *_SEE_PEOPLE, *_SEE_WORK, *_WRITE_WORK,
            "contacts.edit", "handover.manage", "orders.import", "tags.edit", "rules.edit", "stages.edit", "fields.edit", "bridge.view", "org.view", "contacts.import",
            "jobs.view", "contacts.merge", "ownership.edit", "freezes.lift", "phones.manage",
        ),
    ),
    Preset("content", "内容", ("broadcasts.view", "broadcasts.edit", "sops.view", "sops.edit", "welcomes.edit", "reports.view")),
    Preset("service", "客服", ("contacts.view", "contacts.edit", "groups.view", "orders.view", "tags.view", "tags.edit")),
    Preset(
        "growth",
        "用户增长",
        (*_SEE_PEOPLE, *_SEE_WORK, "segments.edit", "tags.edit", "rules.edit", "welcomes.edit", "org.view", "jobs.view"),
    ),
    Preset("region", "大区", (*_SEE_PEOPLE, *_SEE_WORK, "handover.manage", "broadcasts.approve", "org.view", "jobs.view", "freezes.lift", "phones.manage"), Scope.REGION),
    Preset(
        "store",
        "店长",
        (
            *_SEE_PEOPLE,
            "contacts.edit", "handover.manage", "tags.edit", "broadcasts.view", "broadcasts.approve", "sops.view", "reports.view", "today.use",
            "org.view", "freezes.lift", "phones.manage",
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


# Permissions that came after merchants had their roles: a name for the ledger, kept for ever, and the codes. Each merchant's
# preset roles get them once; a later release adds a line, and changes none.
LATER: dict[str, tuple[str, ...]] = {
    "accounts.people_permissions": (
        "stages.edit",
        "handover.manage",
        "contacts.erase",
        "retention.edit",
        "fields.edit",
        "contacts.import",
        "contacts.merge",
        "ownership.edit",
    ),
    "accounts.guarding_permissions": ("freezes.lift", "contacts.export_many"),
    "accounts.phones_to_add": ("phones.manage",),
}


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


def register_later() -> None:
    """A backfill for each line of LATER."""
    for name, codes in LATER.items():
        backfills.register(backfills.Backfill(name, _giver(codes)))


def _giver(codes: tuple[str, ...]) -> Callable[[dict[str, Any], int], tuple[None, int]]:
    def give(_cursor: dict[str, Any], _limit: int) -> tuple[None, int]:
        return None, give_later(codes)

    return give


def give_later(codes: Sequence[str]) -> int:
    """Give new permissions to the preset roles that are meant to hold them; how many roles changed.

    A code that the merchant took away already (she was made, or upgraded by hand, after it came) stays taken away.
    """
    roles = {role.key: role for role in Role.objects.select_for_update().filter(key__isnull=False)}
    changed = 0
    for item in PRESETS:
        role = roles.get(item.key)
        missing = [code for code in codes if role and code in item.permissions and code not in role.permissions]
        wanted = [code for code in missing if role and not _was_taken(role, code)]
        if role and wanted:
            role.permissions = sorted({*role.permissions, *wanted})
            role.save(update_fields=["permissions"])
            audit.record("role.extended", role, by=audit.SYSTEM, added=wanted)
            changed += 1
    return changed


def _was_taken(role: Role, code: str) -> bool:
    edits = AuditEntry.objects.filter(
        subject_type=role._meta.label_lower, subject_id=str(role.pk), action="role.edited"
    )
    return edits.filter(data__removed__contains=[code]).exists()


def preset(key: str) -> Preset:
    """The preset of a key. Raises KeyError for an unknown one."""
    return {item.key: item for item in PRESETS}[key]
