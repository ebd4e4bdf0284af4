"""Data scope: which part of the organisation a user sees. Queries apply it once; pages only show its label."""

from dataclasses import dataclass, field

from accounts.models import RoleGrant, User


@dataclass(frozen=True)
class DataScope:
    """The union of a user's grants. Ids name contacts.Region, Dealer and Store rows of the tenant.

    sees_all wins over the rest. `own` adds the customers and tasks of the user's own members.
    """

    user_id: int
    sees_all: bool = False
    region_ids: frozenset[int] = field(default_factory=frozenset)
    dealer_ids: frozenset[int] = field(default_factory=frozenset)
    store_ids: frozenset[int] = field(default_factory=frozenset)
    own: bool = False

    @property
    def is_own_only(self) -> bool:
        """A guide: nothing but her own customers."""
        return self.own and not (self.sees_all or self.region_ids or self.dealer_ids or self.store_ids)


EVERYTHING = DataScope(user_id=0, sees_all=True)


def data_scope(user: User, permission: str | None = None) -> DataScope:
    """The scope of a user's grants; with a permission, of only those grants whose role holds it.

    A permission that no grant holds gives a scope that sees nothing. One query.
    """
    grants = [
        grant
        for grant in RoleGrant.objects.filter(user=user).select_related("role")
        if permission is None or permission in grant.role.permissions
    ]

    def ids(kind: str) -> frozenset[int]:
        return frozenset(grant.scope_id for grant in grants if grant.scope_kind == kind)

    kinds = {grant.scope_kind for grant in grants}
    return DataScope(
        user_id=user.pk,
        sees_all=RoleGrant.Scope.ALL in kinds,
        region_ids=ids(RoleGrant.Scope.REGION),
        dealer_ids=ids(RoleGrant.Scope.DEALER),
        store_ids=ids(RoleGrant.Scope.STORE),
        own=RoleGrant.Scope.SELF in kinds,
    )


def permissions_of(user: User) -> frozenset[str]:
    """Every permission the user's roles hold. One query."""
    rows = RoleGrant.objects.filter(user=user).values_list("role__permissions", flat=True)
    return frozenset(code for codes in rows for code in codes)
