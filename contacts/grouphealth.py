"""How customer groups fare: who comes and goes, how full they are, who sits in several of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce

from accounts.scope import DataScope
from contacts.models import Contact, GroupChat, GroupMembership
from contacts.queries import family_of, listed_contacts, visible_groups

EXTERNAL = 2
# People in a customer group at most, guides included (WeCom's help pages; its interfaces do not say).
LIMIT = 500
NEARLY_FULL, FULL = LIMIT * 80 // 100, LIMIT * 95 // 100
WEEK, MONTH = 7, 30
LEAST_GROUPS = (2, 3, 5)

_FRIEND = Q(contact__active_follows__gt=0) | Q(contact__root__active_follows__gt=0)


def figures(groups: Sequence[GroupChat], now: datetime) -> dict[int, dict[str, int]]:
    """Group id → customers who joined and left in 7 and 30 days, and how many inside are friends of a guide. One query."""
    within = {name: now - timedelta(days=days) for name, days in (("7", WEEK), ("30", MONTH))}
    moves = {f"joined_{name}": Count("pk", filter=Q(joined_at__gt=since)) for name, since in within.items()}
    moves |= {f"left_{name}": Count("pk", filter=Q(left_at__gt=since)) for name, since in within.items()}
    moves["friends"] = Count("pk", filter=Q(left_at__isnull=True) & _FRIEND)
    rows: Any = GroupMembership.objects.filter(group__in=groups, kind=EXTERNAL).values("group_id").annotate(**moves)
    found = dict.fromkeys([group.pk for group in groups], _with_net(dict.fromkeys(moves, 0)))
    return found | {row["group_id"]: _with_net(row) for row in rows}


def _with_net(row: dict[str, int]) -> dict[str, int]:
    return row | {f"net_{name}": row[f"joined_{name}"] - row[f"left_{name}"] for name in ("7", "30")}


def fullness(group: GroupChat) -> str:
    """ "", "warn" from 80 % of WeCom's limit, "bad" from 95 %."""
    if group.member_count >= FULL:
        return "bad"
    return "warn" if group.member_count >= NEARLY_FULL else ""


def with_health(groups: QuerySet[GroupChat], health: str, now: datetime) -> QuerySet[GroupChat]:
    """Groups of a state of health; nobody's for a word that is none."""
    if health == "nearly_full":
        return groups.filter(member_count__gte=NEARLY_FULL)
    if health == "full":
        return groups.filter(member_count__gte=FULL)
    if health in ("shrinking", "growing"):
        since = now - timedelta(days=WEEK)
        moved = GroupMembership.objects.filter(Q(joined_at__gt=since) | Q(left_at__gt=since), kind=EXTERNAL)
        came, went = Count("pk", filter=Q(joined_at__gt=since)), Count("pk", filter=Q(left_at__gt=since))
        net = moved.values("group_id").annotate(net=came - went)
        return groups.filter(
            pk__in=net.filter(**{"net__lt" if health == "shrinking" else "net__gt": 0}).values("group_id")
        )
    return groups.none()


def groups_of(people: Iterable[int], scope: DataScope) -> dict[int, list[GroupChat]]:
    """Root id → the visible groups she is in. Two queries."""
    family = family_of(people)
    rows = _inside(scope).filter(contact_id__in=family).select_related("group").order_by("joined_at", "pk")
    found: dict[int, dict[int, GroupChat]] = {}
    for row in rows:
        if row.contact_id is not None:
            found.setdefault(family[row.contact_id], {})[row.group_id] = row.group
    return {pk: list(groups.values()) for pk, groups in found.items()}


def in_several(scope: DataScope, least: int) -> QuerySet[Contact]:
    """重复入群: visible people who are in at least so many of the visible groups. People nobody knows are not counted."""
    people = (
        _inside(scope).filter(contact__isnull=False).values(person=Coalesce(F("contact__root_id"), F("contact_id")))
    )
    many = people.annotate(n=Count("group_id", distinct=True)).filter(n__gte=least).order_by()
    return listed_contacts(scope).filter(pk__in=many.values("person"))


def _inside(scope: DataScope) -> QuerySet[GroupMembership]:
    inside = GroupMembership.objects.filter(left_at__isnull=True, kind=EXTERNAL)
    return inside if scope.sees_all else inside.filter(group__in=visible_groups(scope))
