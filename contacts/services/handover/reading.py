"""What the pages of 客户继承 show, within a scope."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from accounts.scope import DataScope
from contacts.models import Follow, GroupChat, HandoverPlan, HandoverRow, Member, PlanState, Relation, RowState
from contacts.models.handover import ROW_AGAIN
from contacts.queries import visible_contacts, visible_members
from contacts.services.handover.eligibility import Fitness, Line, Preview, fitness
from contacts.services.handover.words import say_why
from scrm.lib import clock

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
STUCK = timedelta(hours=1)
CHOICES = 60  # successors offered at once; the search finds the others


@dataclass(frozen=True)
class Tally:
    """The rows of a plan by state. people + groups = all of them."""

    people: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.people.values())

    @property
    def done(self) -> int:
        return self.people.get(RowState.DONE, 0)

    @property
    def open(self) -> int:
        """Customers not decided yet."""
        return sum(self.people.get(state, 0) for state in (RowState.WAITING, RowState.ASKING, RowState.SENT))

    @property
    def lost(self) -> int:
        """Customers who stayed behind, for whatever reason."""
        return self.total - self.done - self.open

    @property
    def rate(self) -> float | None:
        """继承率: of all customers of the plan, those taken over."""
        return self.done / self.total if self.total else None

    @property
    def again(self) -> int:
        """Customers and groups that may be asked for once more."""
        return sum(self.people.get(state, 0) + self.groups.get(state, 0) for state in ROW_AGAIN)

    @property
    def waiting(self) -> int:
        """What stopping would stop."""
        return self.people.get(RowState.WAITING, 0) + self.groups.get(RowState.WAITING, 0)

    def of(self, state: str) -> int:
        """Rows of a state, customers and groups."""
        return self.people.get(state, 0) + self.groups.get(state, 0)


def visible_plans(scope: DataScope) -> QuerySet[HandoverPlan]:
    """Plans of the members in the scope."""
    plans = HandoverPlan.objects.select_related("from_member__store", "from_member__unassigned", "fallback")
    return plans if scope.sees_all else plans.filter(from_member__in=visible_members(scope))


def tally(plans: Iterable[HandoverPlan]) -> dict[int, Tally]:
    """Plan → its rows by state, in one query."""
    people: dict[int, dict[str, int]] = defaultdict(dict)
    groups: dict[int, dict[str, int]] = defaultdict(dict)
    rows = HandoverRow.objects.filter(plan__in=[plan.pk for plan in plans])
    counted = rows.values_list("plan_id", "state").annotate(n=Count("follow"), g=Count("group")).order_by()
    for plan_id, state, n, g in counted:
        people[plan_id][state], groups[plan_id][state] = n, g
    return {pk: Tally(people[pk], groups[pk]) for pk in people}


def givers(scope: DataScope, *, left: bool, text: str = "") -> QuerySet[Member]:
    """Members with friends or groups to hand over: those who left, latest first, or those at work."""
    follows = Follow.objects.filter(member=OuterRef("pk"), relation=Relation.ACTIVE)
    groups = GroupChat.objects.filter(owner=OuterRef("pk"), dismissed_at__isnull=True)
    members = visible_members(scope).filter(Exists(follows) | Exists(groups)).select_related("store", "unassigned")
    if text:
        members = members.filter(search_text__contains=text.lower())
    if left:
        return members.filter(status=Member.Status.LEFT)
    return members.exclude(status__in=(Member.Status.LEFT, Member.Status.UNKNOWN))


def carried(members: Sequence[Member]) -> dict[int, dict[str, Any]]:
    """Member → friends, groups and open plan, in three queries."""
    pks = [one.pk for one in members]
    friends = Follow.objects.filter(member_id__in=pks, relation=Relation.ACTIVE).values_list("member_id")
    groups = GroupChat.objects.filter(owner_id__in=pks, dismissed_at__isnull=True).values_list("owner_id")
    held, owned = (dict(rows.annotate(n=Count("pk")).order_by()) for rows in (friends, groups))
    open_ = HandoverPlan.objects.filter(from_member_id__in=pks, state__in=(PlanState.DRAFT, PlanState.RUNNING))
    plans = {plan.from_member_id: plan for plan in open_}
    drafts = {pk for pk, plan in plans.items() if plan.state == PlanState.DRAFT}
    return {
        pk: {"friends": held.get(pk, 0), "groups": owned.get(pk, 0), "plan": plans.get(pk), "is_draft": pk in drafts}
        for pk in pks
    }


def candidates(scope: DataScope, plan: HandoverPlan, text: str = "") -> list[Fitness]:
    """Members offered as successors: the chosen ones, then those of the same store, then by name."""
    chosen = Q(pk__in=[*plan.successor_ids, *([plan.fallback_id] if plan.fallback_id else [])])
    serving = Q(status=Member.Status.ACTIVE, has_customer_contact=True, archived_at__isnull=True)
    serving &= Q(pk__in=visible_members(scope).values("pk"))
    if text:
        serving &= Q(search_text__contains=text.lower()) | Q(store__name__icontains=text)
    members = Member.objects.filter(corp_id=plan.from_member.corp_id).filter(chosen | serving)
    first = Case(
        When(chosen, then=Value(0)), When(store_id=plan.from_member.store_id, then=Value(1)), default=Value(2),
        output_field=IntegerField(),
    )  # fmt: skip
    rows = members.exclude(pk=plan.from_member_id).select_related("store").order_by(first, "name", "pk")
    return fitness(rows[: CHOICES + len(plan.successor_ids)], clock.now())


def choosable(scope: DataScope, plan: HandoverPlan) -> QuerySet[Member]:
    """Members whom the form may name: those in the scope, and those a colleague chose before."""
    chosen = [*plan.successor_ids, *([plan.fallback_id] if plan.fallback_id else [])]
    members = Member.objects.filter(corp_id=plan.from_member.corp_id)
    return members.filter(Q(pk__in=visible_members(scope).values("pk")) | Q(pk__in=chosen))


def shares(seen: Preview, members: Iterable[Fitness]) -> list[dict[str, Any]]:
    """Who gets how many of a preview, fewest room last."""
    people, groups = _by_successor(seen.people), _by_successor(seen.groups)
    names = {one.member.pk: one for one in members}
    return [
        {"who": names[pk], "people": people[pk], "groups": groups[pk]}
        for pk in sorted(names, key=lambda pk: (-people[pk], -groups[pk], pk))
        if people[pk] or groups[pk]
    ]


def _by_successor(lines: Iterable[Line]) -> Counter[int]:
    return Counter(line.successor_id for line in lines if line.successor_id and not line.reason)


def refusals(seen: Preview) -> list[tuple[str, int, int]]:
    """(why, customers, groups) of what cannot be handed over; with the eligible ones they are all."""
    people = Counter(line.reason for line in seen.people if line.reason)
    groups = Counter(line.reason for line in seen.groups if line.reason)
    reasons = sorted(set(people) | set(groups), key=lambda one: (-people[one] - groups[one], one))
    return [(say_why(reason, None), people[reason], groups[reason]) for reason in reasons]


def listed_rows(
    plan: HandoverPlan, *, state: str = "", successor: str = "", groups: bool = False
) -> QuerySet[HandoverRow]:
    """A plan's customers, or its groups, narrowed."""
    rows = plan.rows.filter(group__isnull=not groups)
    if state:
        rows = rows.filter(state=state)
    if successor:
        rows = (
            rows.filter(successor_id=int(successor)) if successor.isdecimal() and len(successor) < 19 else rows.none()
        )
    return rows.select_related("follow__contact", "group", "successor", "fallback").order_by("pk")


def is_stuck(plan: HandoverPlan, now: datetime) -> bool:
    """Whether a call stands so long that a person should look at it."""
    return plan.rows.filter(state=RowState.ASKING, asked_at__lt=now - STUCK).exists()


def shown_people(scope: DataScope, rows: Sequence[HandoverRow]) -> set[int]:
    """Roots of these rows' people whom the scope may see by name."""
    roots = {row.follow.contact.root_pk for row in rows if row.follow}
    return set(visible_contacts(scope).filter(pk__in=roots).values_list("pk", flat=True))


def ordered_by_leaving(members: QuerySet[Member]) -> QuerySet[Member]:
    """With `gone_at`, which is never null, for paging."""
    return members.annotate(gone_at=Coalesce("left_at", "synced_at", Value(_LONG_AGO)))
