"""What a user may see, as querysets. Lists scope by today's store and owner; facts carry the store of then."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.scope import DataScope
from contacts.models import (
    Contact,
    ContactPhone,
    Dealer,
    Follow,
    GroupChat,
    GroupMembership,
    Member,
    MemberAccount,
    Note,
    Region,
    Relation,
    Store,
    TimelineEvent,
    Todo,
)


def own_member_ids(scope: DataScope) -> QuerySet[Any]:
    """The members a log-in is, as a subquery."""
    return MemberAccount.objects.filter(user_id=scope.user_id).values("member_id")


def visible_stores(scope: DataScope) -> QuerySet[Store]:
    """Stores of the scope: all, those of its regions and dealers, its own; a guide sees the store she works at."""
    if scope.sees_all:
        return Store.objects.all()
    return Store.objects.filter(stores_of(scope, own_store=True))


def visible_members(scope: DataScope) -> QuerySet[Member]:
    """Members of the scope's stores, and the log-in's own."""
    if scope.sees_all:
        return Member.objects.all()
    condition = Q(store__in=Store.objects.filter(stores_of(scope)))
    if scope.own:
        condition |= Q(pk__in=own_member_ids(scope))
    return Member.objects.filter(condition)


def visible_contacts(scope: DataScope) -> QuerySet[Contact]:
    """People (roots) whose store of today lies in the scope, or who are friends of the log-in's own members.

    For a guide: no follow, no page. A follow that ended still shows the person to her, except after a hand-over.
    """
    return _roots(scope).filter(erased_at__isnull=True)


def _roots(scope: DataScope) -> QuerySet[Contact]:
    roots = Contact.objects.filter(root__isnull=True)
    if scope.sees_all:
        return roots
    condition = Q(store__in=Store.objects.filter(stores_of(scope)))
    if scope.own:
        condition |= Q(pk__in=_people_of_own(scope))
    return roots.filter(condition)


def visible_groups(scope: DataScope) -> QuerySet[GroupChat]:
    """Groups of the scope's stores, and those the log-in's own members own."""
    groups = GroupChat.objects.all()
    if scope.sees_all:
        return groups
    condition = Q(store__in=Store.objects.filter(stores_of(scope)))
    if scope.own:
        condition |= Q(owner__in=own_member_ids(scope))
    return groups.filter(condition)


def stores_of(scope: DataScope, *, own_store: bool = False) -> Q:
    """Which stores lie in the scope's places; own_store: the one a guide works at too."""
    condition = Q(pk__in=scope.store_ids) | Q(region_id__in=scope.region_ids) | Q(dealer_id__in=scope.dealer_ids)
    if own_store and scope.own:
        condition |= Q(
            pk__in=Member.objects.filter(pk__in=own_member_ids(scope), store__isnull=False).values("store_id")
        )
    return condition


def _people_of_own(scope: DataScope) -> QuerySet[Any]:
    """Ids among which are the roots of the people the log-in's own members know. Uncorrelated, so that it is computed once.

    The members are looked up first: the planner knows how many customers this guide has, but not whom a log-in is. Who was merged
    is found among the few who were, so that nobody else is read only to learn her root.
    """
    members = list(own_member_ids(scope).values_list("member_id", flat=True))
    known = Follow.objects.filter(~Q(relation=Relation.TRANSFERRED), member_id__in=members).values("contact_id")
    merged = Contact.objects.filter(root__isnull=False, pk__in=known)
    return known.union(merged.values("root_id"))


def listed_contacts(scope: DataScope) -> QuerySet[Contact]:
    """The customer list: visible people who were ever added, as the list's index has them. Of who was erased it says no date."""
    return _roots(scope).filter(last_added_at__isnull=False)


def family_of(root_ids: Iterable[int]) -> dict[int, int]:
    """Contact id → root id, for these roots and everybody merged into them. One query."""
    wanted = set(root_ids)
    rows = Contact.objects.filter(Q(pk__in=wanted) | Q(root_id__in=wanted)).values_list("pk", "root_id")
    return {pk: root_id or pk for pk, root_id in rows}


def follows_of(contact: Contact) -> QuerySet[Follow]:
    """All relations of a person, friends first, then the latest."""
    follows = Follow.objects.filter(contact_id__in=contact.family_ids).select_related("member", "member__store", "corp")
    return follows.annotate(is_active=Q(relation=Relation.ACTIVE)).order_by("-is_active", "-added_at", "pk")


def phones_of(contact: Contact) -> list[str]:
    """Her phones (E.164), each once."""
    phones = ContactPhone.objects.filter(contact_id__in=contact.family_ids).order_by("pk")
    return list(dict.fromkeys(phones.values_list("phone", flat=True)))


def memberships_of(contact: Contact) -> QuerySet[GroupMembership]:
    """Groups she is or was in, present ones first."""
    rows = GroupMembership.objects.filter(contact_id__in=contact.family_ids).select_related("group", "group__owner")
    return rows.annotate(is_in=Q(left_at__isnull=True)).order_by("-is_in", "-joined_at", "pk")


def timeline_of(contact: Contact) -> QuerySet[TimelineEvent]:
    """Her facts, merged branches' ones too, newest first. Loose deletions (without an adding of their own) are facts too."""
    return TimelineEvent.objects.filter(contact_id__in=contact.family_ids).select_related("member", "store", "group")


def list_regions(ids: Iterable[int] | None = None) -> list[tuple[int, str]]:
    """(id, name with the number of stores) of regions, all that are not archived by default: for scopes and their label."""
    regions = (
        Region.objects.filter(archived_at__isnull=True) if ids is None else Region.objects.filter(pk__in=list(ids))
    )
    return _with_stores(regions.order_by("order", "name"))


def list_dealers(ids: Iterable[int] | None = None) -> list[tuple[int, str]]:
    """(id, name with the number of stores) of dealers."""
    dealers = (
        Dealer.objects.filter(archived_at__isnull=True) if ids is None else Dealer.objects.filter(pk__in=list(ids))
    )
    return _with_stores(dealers.order_by("name"))


def list_stores(ids: Iterable[int] | None = None) -> list[tuple[int, str]]:
    """(id, name) of stores."""
    stores = Store.objects.filter(archived_at__isnull=True) if ids is None else Store.objects.filter(pk__in=list(ids))
    return list(stores.order_by("name").values_list("pk", "name"))


def _with_stores(rows: QuerySet[Any]) -> list[tuple[int, str]]:
    counted = rows.annotate(store_count=Count("stores")).values_list("pk", "name", "store_count")
    return [(pk, _("%(name)s · %(count)d 店") % {"name": name, "count": count}) for pk, name, count in counted]


def editable_follows(contact: Contact, scope: DataScope) -> QuerySet[Follow]:
    """Relations whose remark the user may change: of her own members, and of the guides in her scope."""
    return follows_of(contact).filter(member__in=visible_members(scope))


def assignable_members(contact: Contact, scope: DataScope) -> QuerySet[Member]:
    """Guides of the scope who know the person and may still open her page: whom a to-do can be given to."""
    known = Follow.objects.filter(contact_id__in=contact.family_ids).exclude(relation=Relation.TRANSFERRED)
    members = visible_members(scope).filter(pk__in=known.values("member_id"), archived_at__isnull=True)
    return members.exclude(status=Member.Status.LEFT).order_by("name", "pk")


def notes_of(contact: Contact) -> QuerySet[Note]:
    """Her 跟进记录, newest first."""
    return Note.objects.filter(contact_id__in=contact.family_ids).order_by("-written_at", "-pk")


def todos_of(contact: Contact) -> QuerySet[Todo]:
    """Her 待办: the open ones by their time, then those done, the latest first."""
    rows = Todo.objects.filter(contact_id__in=contact.family_ids).select_related("member")
    return rows.order_by(F("done_at").desc(nulls_first=True), "due_at", "pk")


def open_todos(member_ids: Iterable[int]) -> QuerySet[Todo]:
    """What guides still have to do, the earliest first; not for people who were handed over to another."""
    handed = Follow.objects.filter(
        contact=OuterRef("contact"), member=OuterRef("member"), relation=Relation.TRANSFERRED
    )
    rows = Todo.objects.filter(member_id__in=list(member_ids), done_at__isnull=True).exclude(Exists(handed))
    return rows.select_related("contact", "contact__root").order_by("due_at", "pk")
