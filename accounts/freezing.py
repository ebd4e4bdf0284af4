"""Frozen accounts: for a while they look on and serve customers as before, and take nothing along.

Who is frozen is said by the app that knows why (contacts: a guide who deleted far more customers than usual). What is taken away is
said by each permission (`Permission.freezes`) and by views that act on many at once (`requires(…, many=True)`). It is read together
with the grants of every request, so that it holds, and ends, with the next one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, QuerySet, Value

from accounts.models import RoleGrant, User
from tenants.context import current_scope


@dataclass(frozen=True)
class Freezer:
    """expression(): over role grants, whether their holder is frozen. sentence(user): why, what is shut and whom to ask."""

    expression: Callable[[], Any]
    sentence: Callable[[User], str]


_freezers: list[Freezer] = []


def register(freezer: Freezer) -> None:
    """The app that knows. Raises ValueError for a second one."""
    if _freezers and _freezers[0] != freezer:
        raise ValueError("who is frozen is told twice")
    _freezers[:] = [freezer]


def with_freeze(grants: QuerySet[RoleGrant]) -> QuerySet[RoleGrant]:
    """The grants, each knowing whether its holder is frozen; in the same query. Nobody of the platform's own is."""
    scope = current_scope()
    is_merchants = scope is not None and scope.tenant is not None
    said = _freezers[0].expression() if _freezers and is_merchants else Value(False, BooleanField())
    return grants.annotate(is_frozen=said)


def is_frozen(grants: Iterable[RoleGrant]) -> bool:
    """Whether the holder of these grants (accounts.scope.grants_of) is."""
    return any(getattr(grant, "is_frozen", False) for grant in grants)


def sentence(user: User) -> str:
    """What she is told."""
    return _freezers[0].sentence(user) if _freezers else ""
