"""群发 as its pages show it: who sees which, how far each is, and every number as rows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from accounts.scope import DataScope
from campaigns.models import Approval, Broadcast, Delivery, Dispatch, Push
from campaigns.queries.preflight import covers, places_of
from campaigns.states import DeliveryState, DispatchState, reason_name
from contacts.models import MemberAccount

_S = DeliveryState
# Shown as columns of progress, in the order a delivery goes through them.
PROGRESS = (_S.PLANNED, _S.TASKED, _S.SENT, _S.FAILED, _S.SKIPPED, _S.EXPIRED, _S.STOPPED, _S.UNKNOWN)
NOT_SENT_YET = (DispatchState.WAITING, DispatchState.AGREED, DispatchState.CREATING, DispatchState.TASKED)


def places_in(scope: DataScope) -> Q:
    """Units and deliveries by the store of the freeze."""
    if scope.sees_all:
        return Q()
    return Q(store_id__in=scope.store_ids) | Q(region_id__in=scope.region_ids) | Q(dealer_id__in=scope.dealer_ids)


def visible_broadcasts(scope: DataScope) -> QuerySet[Broadcast]:
    """All for those who see everything; else one's own and those that reach a place of the scope."""
    if scope.sees_all:
        return Broadcast.objects.all()
    touched = Dispatch.objects.filter(places_in(scope), push=OuterRef("push"))
    return Broadcast.objects.filter(Q(created_by_id=scope.user_id) | Exists(touched))


def visible_units(push: Push, scope: DataScope) -> QuerySet[Dispatch]:
    """The units of a push within the scope."""
    return Dispatch.objects.filter(places_in(scope), push=push)


def sees_whole(push: Push, scope: DataScope) -> bool:
    """Whether every unit of a push lies within the scope."""
    return not Dispatch.objects.filter(push=push).exclude(pk__in=visible_units(push, scope).values("pk")).exists()


def visible_deliveries(push: Push, scope: DataScope) -> QuerySet[Delivery]:
    """The deliveries of a push within the scope."""
    return Delivery.objects.filter(places_in(scope), push=push)


@dataclass
class Progress:
    """How far a push is: units by what happened to them, people by state. Sums add up: planned = all but excluded and holdout."""

    units: int = 0
    agreed: int = 0
    confirmed: int = 0
    people: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.people.values())

    @property
    def planned(self) -> int:
        return self.total - self.people.get(_S.EXCLUDED, 0) - self.people.get(_S.HOLDOUT, 0)

    @property
    def sent(self) -> int:
        return self.people.get(_S.SENT, 0)


def unit_counts(push_ids: Iterable[int], scope: DataScope) -> dict[int, Progress]:
    """Push → its units in the scope. One query."""
    rows = (
        Dispatch.objects.filter(places_in(scope), push_id__in=list(push_ids))
        .values("push_id")
        .annotate(
            units=Count("pk"),
            agreed=Count("pk", filter=Q(agreed_at__isnull=False)),
            confirmed=Count("pk", filter=Q(confirmed_at__isnull=False)),
        )
    )
    return {row["push_id"]: Progress(row["units"], row["agreed"], row["confirmed"]) for row in rows}


def people_counts(push_ids: Iterable[int], scope: DataScope) -> dict[int, dict[str, int]]:
    """Push → state → people in the scope. One query."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    rows = (
        Delivery.objects.filter(places_in(scope), push_id__in=list(push_ids))
        .values("push_id", "state")
        .annotate(n=Count("pk"))
    )
    for row in rows:
        found[row["push_id"]][row["state"]] = row["n"]
    return found


def progress_of(pushes: Sequence[Push], scope: DataScope) -> dict[int, Progress]:
    """Push id → how far it is, within the scope. Two queries."""
    ids = [push.pk for push in pushes]
    units, people = unit_counts(ids, scope), people_counts(ids, scope)
    for pk in ids:
        units.setdefault(pk, Progress()).people = people.get(pk, {})
    return units


@dataclass(frozen=True)
class ReasonRow:
    """A line of the sum: a state, a reason where there is one, and how many."""

    state: str
    state_name: str
    reason: str
    reason_name: str
    people: int


def sum_of(push: Push, scope: DataScope) -> list[ReasonRow]:
    """Where everybody of the target is, by state and reason; the lines add up to the target. One query."""
    rows = visible_deliveries(push, scope).values("state", "reason").annotate(n=Count("pk"))
    order = {state: index for index, state in enumerate((_S.EXCLUDED, _S.HOLDOUT, *PROGRESS))}
    lines = [
        ReasonRow(
            row["state"],
            str(_S(row["state"]).label),
            row["reason"],
            reason_name(row["reason"]) if row["reason"] else "",
            row["n"],
        )
        for row in rows
    ]
    return sorted(lines, key=lambda line: (order[_S(line.state)], -line.people, line.reason))


@dataclass
class StoreRow:
    """A store's share of a push."""

    store_id: int | None
    name: str
    units: int = 0
    agreed: int = 0
    confirmed: int = 0
    planned: int = 0
    sent: int = 0
    waiting: list[Dispatch] = field(default_factory=list)  # guides who have not sent


def by_store(units: Iterable[Dispatch], sent_by_unit: dict[int, int]) -> list[StoreRow]:
    """Units put together by store, the least confirmed first. No query."""
    rows: dict[int | None, StoreRow] = {}
    for unit in units:
        name = unit.store.name if unit.store else "—"
        row = rows.setdefault(unit.store_id, StoreRow(unit.store_id, name))
        row.units += 1
        row.agreed += unit.agreed_at is not None
        row.confirmed += unit.confirmed_at is not None
        row.planned += unit.planned
        row.sent += sent_by_unit.get(unit.pk, 0)
        if unit.state in NOT_SENT_YET:
            row.waiting.append(unit)
    return sorted(rows.values(), key=lambda row: (row.confirmed / row.units, -row.planned, row.name))


def sent_counts(push: Push, scope: DataScope) -> dict[int, int]:
    """Unit → people sent to. One query."""
    rows = visible_deliveries(push, scope).filter(state=_S.SENT, dispatch__isnull=False)
    return dict(rows.values_list("dispatch_id").annotate(n=Count("pk")))


def delivery_rows(push: Push, scope: DataScope, **chosen: Any) -> QuerySet[Delivery]:
    """The people behind a number: state, reason, dispatch, store."""
    rows = visible_deliveries(push, scope).filter(
        **{key: value for key, value in chosen.items() if value not in (None, "")}
    )
    return rows.select_related("contact", "group", "member", "store").order_by("pk")


def own_member_ids(user_id: int) -> list[int]:
    """The members a log-in is."""
    return list(MemberAccount.objects.filter(user_id=user_id).values_list("member_id", flat=True))


# --- Approvals ------------------------------------------------------------------------------------------------------


def waiting_approvals(scope: DataScope) -> list[Approval]:
    """Requests this approver may decide, the most urgent first. Two queries."""
    return _within(scope, Approval.objects.filter(state=Approval.State.PENDING).order_by("expires_at"))


def decided_approvals(scope: DataScope, limit: int = 20) -> list[Approval]:
    """What was decided lately within this approver's reach. Two queries."""
    lately = Approval.objects.exclude(state=Approval.State.PENDING).order_by("-decided_at", "-pk")[: limit * 5]
    return _within(scope, lately)[:limit]


def _within(scope: DataScope, approvals: Iterable[Approval]) -> list[Approval]:
    rows = list(approvals)
    if scope.sees_all:
        return rows
    touched = {row.pk: row.snapshot.get("store_ids", []) for row in rows}
    places = places_of(store_id for ids in touched.values() for store_id in ids)
    return [row for row in rows if covers(scope, row.level, touched[row.pk], places)]


def last_shown(approval: Approval) -> Approval | None:
    """The latest earlier request for the same thing: what the approver compares with."""
    earlier = Approval.objects.filter(
        subject_kind=approval.subject_kind, subject_id=approval.subject_id, pk__lt=approval.pk
    )
    return earlier.order_by("-pk").first()
