"""What a user may see, as querysets. Lists scope by today's store and owner; facts carry the store of then."""

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from accounts.scope import DataScope
from contacts.models import Contact, Follow, GroupChat, Member, MemberAccount, Relation, Store


def own_member_ids(scope: DataScope) -> QuerySet:
    """The members a log-in is, as a subquery."""
    return MemberAccount.objects.filter(user_id=scope.user_id).values("member_id")


def visible_stores(scope: DataScope) -> QuerySet[Store]:
    """Stores of the scope: all, those of its regions and dealers, its own; a guide sees the store she works at."""
    if scope.sees_all:
        return Store.objects.all()
    return Store.objects.filter(_store_q(scope, own_store=True))


def visible_members(scope: DataScope) -> QuerySet[Member]:
    """Members of the scope's stores, and the log-in's own."""
    if scope.sees_all:
        return Member.objects.all()
    condition = Q(store__in=Store.objects.filter(_store_q(scope)))
    if scope.own:
        condition |= Q(pk__in=own_member_ids(scope))
    return Member.objects.filter(condition)


def visible_contacts(scope: DataScope) -> QuerySet[Contact]:
    """People (roots) whose store of today lies in the scope, or who are friends of the log-in's own members.

    For a guide: no follow, no page. A follow that ended still shows the person to her, except after a hand-over.
    """
    roots = Contact.objects.filter(root__isnull=True)
    if scope.sees_all:
        return roots
    condition = Q(store__in=Store.objects.filter(_store_q(scope)))
    if scope.own:
        condition |= Q(pk__in=_people_of_own(scope))
    return roots.filter(condition)


def visible_groups(scope: DataScope) -> QuerySet[GroupChat]:
    """Groups of the scope's stores, and those the log-in's own members own."""
    groups = GroupChat.objects.all()
    if scope.sees_all:
        return groups
    condition = Q(store__in=Store.objects.filter(_store_q(scope)))
    if scope.own:
        condition |= Q(owner__in=own_member_ids(scope))
    return groups.filter(condition)


def _store_q(scope: DataScope, *, own_store: bool = False) -> Q:
    condition = Q(pk__in=scope.store_ids) | Q(region_id__in=scope.region_ids) | Q(dealer_id__in=scope.dealer_ids)
    if own_store and scope.own:
        condition |= Q(
            pk__in=Member.objects.filter(pk__in=own_member_ids(scope), store__isnull=False).values("store_id")
        )
    return condition


def _people_of_own(scope: DataScope) -> QuerySet:
    """Root ids of the people the log-in's own members know. Uncorrelated, so that it is computed once."""
    follows = Follow.objects.filter(member__in=own_member_ids(scope)).exclude(relation=Relation.TRANSFERRED)
    return follows.annotate(person=Coalesce(F("contact__root_id"), F("contact_id"))).values("person")
