"""What the pages of 人员变动 show, within a scope: what is open, and what each decision would touch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, F, Q, QuerySet

from accounts.models import RoleGrant
from accounts.scope import DataScope
from contacts.models import Contact, Follow, GroupChat, HandoverPlan, Member, PlanState, Relation, StaffChange, Todo
from contacts.queries import visible_members

Kind, State = StaffChange.Kind, StaffChange.State
# Who may decide: the organisation is HQ's, a leaver's customers are whose they were.
NEEDED = {Kind.JOINED: "org.edit", Kind.MOVED: "org.edit", Kind.LEFT: "handover.manage"}


@dataclass(frozen=True)
class Burden:
    """What a member holds today. elsewhere: of her own customers, those of another store than hers; they stay where they are."""

    customers: int = 0
    elsewhere: int = 0
    friends: int = 0
    groups: int = 0
    todos: int = 0
    plan: HandoverPlan | None = None

    @property
    def at_store(self) -> int:
        """Customers whose store of today would follow her."""
        return self.customers - self.elsewhere


def visible_changes(scope: DataScope) -> QuerySet[StaffChange]:
    """Changes of the members in the scope."""
    rows = StaffChange.objects.select_related("member__store", "member__unassigned", "from_store", "to_store", "store")
    return rows if scope.sees_all else rows.filter(member__in=visible_members(scope))


def count_open(scope: DataScope) -> dict[str, int]:
    """Kind → open changes. One query."""
    rows = visible_changes(scope).filter(state=State.OPEN).order_by()
    return dict(rows.values_list("kind").annotate(n=Count("pk")))


def burdens(members: Sequence[Member]) -> dict[int, Burden]:
    """Member → what she holds, in five queries."""
    pks = [one.pk for one in members]
    owned = Contact.objects.filter(owner_id__in=pks, root__isnull=True).order_by()
    away = Count("pk", filter=Q(store__isnull=False) & ~Q(store_id=F("owner__store_id")))
    both = owned.values_list("owner_id").annotate(n=Count("pk"), away=away)
    customers = {pk: (n, elsewhere) for pk, n, elsewhere in both}
    friends = _per(Follow.objects.filter(member_id__in=pks, relation=Relation.ACTIVE), "member_id")
    groups = _per(GroupChat.objects.filter(owner_id__in=pks, dismissed_at__isnull=True), "owner_id")
    todos = _per(Todo.objects.filter(member_id__in=pks, done_at__isnull=True), "member_id")
    plans = HandoverPlan.objects.filter(from_member_id__in=pks, state__in=(PlanState.DRAFT, PlanState.RUNNING))
    open_ = {plan.from_member_id: plan for plan in plans}
    return {pk: Burden(*customers.get(pk, (0, 0)), friends[pk], groups[pk], todos[pk], open_.get(pk)) for pk in pks}


def _per(rows: QuerySet[Follow] | QuerySet[GroupChat] | QuerySet[Todo], column: str) -> Counter[int]:
    return Counter(dict(rows.order_by().values_list(column).annotate(n=Count("pk"))))


def takers(change: StaffChange) -> list[tuple[Member, bool]]:
    """Colleagues of the store who could take her to-dos over, those who see the whole store first."""
    if change.from_store_id is None:
        return []
    serving = Member.objects.filter(store=change.from_store_id, status=Member.Status.ACTIVE, archived_at__isnull=True)
    rows = list(serving.exclude(pk=change.member_id).select_related("account").order_by("name", "pk")[:60])
    users = {account.user_id: one.pk for one in rows if (account := getattr(one, "account", None))}
    store = change.from_store
    places = Q(scope_kind="all") | Q(scope_kind="store", scope_id=change.from_store_id)
    if store is not None:
        places |= Q(scope_kind="region", scope_id=store.region_id or 0)
        places |= Q(scope_kind="dealer", scope_id=store.dealer_id or 0)
    grants = RoleGrant.objects.filter(places, user_id__in=users, role__permissions__contains=["contacts.view"])
    leading = {users[pk] for pk in grants.values_list("user_id", flat=True)}
    return sorted(((one, one.pk in leading) for one in rows), key=lambda pair: not pair[1])


def successors(change: StaffChange) -> QuerySet[Member]:
    """Who serves customers at her store of then: what a hand-over is planned with."""
    serving = Member.objects.filter(status=Member.Status.ACTIVE, has_customer_contact=True, archived_at__isnull=True)
    mine = (
        serving.filter(store=change.from_store_id, corp=change.member.corp_id)
        if change.from_store_id
        else serving.none()
    )
    return mine.exclude(pk=change.member_id).order_by("name", "pk")
