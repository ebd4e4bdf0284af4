"""Data scope: which part of the organisation a user sees. Queries apply it once; pages only show its label."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts import freezing
from accounts.models import RoleGrant, User
from accounts.permissions import is_taken_by_freeze, is_tenant_wide

Kind = RoleGrant.Scope
# Organisation rows of a kind as (id, name); with ids, only those.
Places = Callable[[Iterable[int] | None], list[tuple[int, str]]]
_places: dict[str, Places] = {}


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


@dataclass(frozen=True)
class Covered:
    """What a scope covers today: its places as (kind, name, open stores), and the open stores of all of them together."""

    places: list[tuple[str, str, int]]
    stores: int


Cover = Callable[[DataScope], Covered]
_covers: list[Cover] = []


def scope_as_json(scope: DataScope) -> dict[str, Any]:
    """A scope as a row keeps it, for work that goes on later."""
    return {
        "user_id": scope.user_id,
        "sees_all": scope.sees_all,
        "region_ids": sorted(scope.region_ids),
        "dealer_ids": sorted(scope.dealer_ids),
        "store_ids": sorted(scope.store_ids),
        "own": scope.own,
    }


def scope_from_json(kept: dict[str, Any]) -> DataScope:
    """The scope a row kept. Nothing kept is nobody's scope: it sees nothing."""
    return DataScope(
        user_id=kept.get("user_id", 0),
        sees_all=kept.get("sees_all", False),
        region_ids=frozenset(kept.get("region_ids", ())),
        dealer_ids=frozenset(kept.get("dealer_ids", ())),
        store_ids=frozenset(kept.get("store_ids", ())),
        own=kept.get("own", False),
    )


def grants_of(user: User) -> list[RoleGrant]:
    """The user's grants with their roles, and whether she is frozen. One query."""
    grants = RoleGrant.objects.filter(user=user).select_related("role").order_by("role__order", "pk")
    return list(freezing.with_freeze(grants))


def _codes(grant: RoleGrant) -> list[str]:
    """What a grant gives today: the permissions of its role, less what a freeze takes."""
    codes: list[str] = grant.role.permissions
    return [code for code in codes if not is_taken_by_freeze(code)] if freezing.is_frozen([grant]) else codes


def data_scope(user: User, permission: str | None = None, *, grants: list[RoleGrant] | None = None) -> DataScope:
    """The scope of a user's grants; with a permission, of only those grants whose role holds it.

    A permission that no grant holds gives a scope that sees nothing. One query, none when the grants are given.
    """
    held = grants_of(user) if grants is None else grants
    counted = [grant for grant in held if permission is None or permission in _codes(grant)]

    def ids(kind: str) -> frozenset[int]:
        return frozenset(grant.scope_id for grant in counted if grant.scope_kind == kind)

    kinds = {grant.scope_kind for grant in counted}
    return DataScope(
        user_id=user.pk,
        sees_all=Kind.ALL in kinds,
        region_ids=ids(Kind.REGION),
        dealer_ids=ids(Kind.DEALER),
        store_ids=ids(Kind.STORE),
        own=Kind.SELF in kinds,
    )


def permissions_of(user: User, *, grants: list[RoleGrant] | None = None) -> frozenset[str]:
    """Every permission the user's roles hold, the tenant-wide ones only by grants over everything, less what a freeze takes. One
    query, none when the grants are given."""
    return frozenset(
        code
        for grant in (grants_of(user) if grants is None else grants)
        for code in _codes(grant)
        if grant.scope_kind == Kind.ALL or not is_tenant_wide(code)
    )


def register_places(kind: str, places: Places) -> None:
    """The organisation tells the names of its rows: `register_places("store", list_stores)`. Kinds: region, dealer, store."""
    if kind not in (Kind.REGION, Kind.DEALER, Kind.STORE):
        raise ValueError(f"{kind} is no kind of place")
    _places[kind] = places


def places(kind: str, ids: Iterable[int] | None = None) -> list[tuple[int, str]]:
    """(id, name) of organisation rows; empty for a kind nobody told."""
    return _places[kind](ids) if kind in _places else []


def register_cover(cover: Cover) -> None:
    """The organisation tells what a scope covers, in one query. Raises ValueError for a second one."""
    if _covers and _covers[0] is not cover:
        raise ValueError("what a scope covers is told twice")
    _covers[:] = [cover]


def scope_label(scope: DataScope) -> str | Promise:
    """What the header says about whose data the page shows: 「仅华东区 42 店」. One query, none for everything or for a guide."""
    if scope.sees_all:
        return _("全部门店")
    if scope.is_own_only:
        return _("仅本人客户")
    covered = _covers[0](scope) if _covers else Covered([], 0)
    if not covered.places:
        return _("没有数据范围")
    label = _place_label(covered) if len(covered.places) == 1 else _places_label(covered)
    return _("%(places)s和本人客户") % {"places": label} if scope.own else label


def _place_label(covered: Covered) -> str:
    kind, name, stores = covered.places[0]
    if kind == Kind.STORE:
        return _("仅%(name)s") % {"name": name}
    words = _("经销商 %(name)s %(count)d 店") if kind == Kind.DEALER else _("仅%(name)s %(count)d 店")
    return words % {"name": name, "count": stores}


def _places_label(covered: Covered) -> str:
    names = [
        _("经销商 %(name)s") % {"name": name} if kind == Kind.DEALER else name for kind, name, _n in covered.places
    ]
    words = _("仅%(names)s 共 %(count)d 店") if len(names) <= 3 else _("仅%(names)s等 共 %(count)d 店")
    return words % {"names": "、".join(names[:3]), "count": covered.stores}
