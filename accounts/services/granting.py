"""Nobody gives what she does not hold: what a user may hand on to others, by roles, grants and log-in links."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.models import Role, RoleGrant, User
from accounts.permissions import is_own_work, label_of
from scrm.lib.errors import NotAllowed
from tenants.audit import Actor

Kind = RoleGrant.Scope
Place = tuple[str, int]
EVERYWHERE: Place = (Kind.ALL, 0)


@dataclass(frozen=True)
class Holding:
    """What an actor holds, by place. None: a platform operator or the system itself, whom nothing limits.

    A permission that no active user holds over everything is in nobody's hands: whoever manages roles may bring it back,
    or a merchant that once gave it up could never have it again.
    """

    by_place: dict[Place, frozenset[str]] | None
    claimed: frozenset[str] = frozenset()

    def lacks(self, codes: Iterable[str], place: Place = EVERYWHERE) -> list[str]:
        """Of these permissions over a place, those she may not give."""
        if self.by_place is None:
            return []
        held = self.by_place.get(EVERYWHERE, frozenset())
        if place[0] != Kind.SELF:  # another person's own customers are not hers
            held |= self.by_place.get(place, frozenset())
        return sorted(code for code in set(codes) - held if code in self.claimed and not is_own_work(code))


def holding_of(by: Actor) -> Holding:
    """What the actor may hand on. Two queries."""
    if by.kind != "user":
        return Holding(None)
    grants = RoleGrant.objects.filter(user__is_active=True).select_related("role")
    mine: dict[Place, set[str]] = {}
    for grant in grants.filter(user_id=by.id or 0):
        mine.setdefault((grant.scope_kind, grant.scope_id), set()).update(grant.role.permissions)
    held_by_some = grants.filter(scope_kind=Kind.ALL).values_list("role__permissions", flat=True).distinct()
    claimed = frozenset(code for codes in held_by_some for code in codes)
    return Holding({place: frozenset(codes) for place, codes in mine.items()}, claimed)


def refuse_beyond(by: Actor, grants: Iterable[tuple[int, str, int]]) -> None:
    """Raises NotAllowed when one of these (role, kind, place) would give more than the actor holds."""
    wanted, holding = list(grants), holding_of(by)
    codes = dict(Role.objects.filter(pk__in={role for role, _kind, _place in wanted}).values_list("pk", "permissions"))
    lacking = {code for role, kind, place in wanted for code in holding.lacks(codes.get(role, []), (str(kind), place))}
    refuse(sorted(lacking))


def refuse_standing_for(by: Actor, user: User) -> None:
    """Raises NotAllowed when the user holds more than the actor, who is about to open a way to log in as her."""
    refuse_beyond(by, RoleGrant.objects.filter(user=user).values_list("role_id", "scope_kind", "scope_id"))


def refuse(codes: list[str]) -> None:
    """Raises NotAllowed naming the permissions, unless there are none."""
    if codes:
        names = "、".join(f"「{label_of(code)}」" for code in codes[:3])
        more = _("等 %(n)d 项权限") % {"n": len(codes)} if len(codes) > 3 else ""
        raise NotAllowed(
            _("您自己没有%(names)s%(more)s,不能交给别人。请让有这些权限的管理员来操作。")
            % {"names": names, "more": more},
            code="beyond_own",
        )
