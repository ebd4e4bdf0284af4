"""What a person decides about a member who joined, moved or left. One decision each: who comes second is told who was first."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from contacts.models import HandoverPlan, HandoverSplit, Member, PlanState, StaffChange, Store, Todo
from contacts.services.handover import planning
from contacts.services.handover.eligibility import fitness
from contacts.services.members import move_members
from contacts.services.staffing.reading import successors, takers
from contacts.services.todos import hand_on
from scrm.lib import clock
from scrm.lib.errors import Conflict, UserError
from tenants import audit, locks
from tenants.audit import Actor

Kind, State, Customers = StaffChange.Kind, StaffChange.State, StaffChange.Customers


@dataclass(frozen=True)
class Move:
    """调店: to which store, since when (None: now), what becomes of her customers and of her open to-dos."""

    store: Store
    customers: str
    since: datetime | None = None
    todos_to: int | None = None
    with_plan: bool = False


@transaction.atomic
def place_newcomer(change_id: int, store: Store | None, *, seen: str, by: Actor) -> StaffChange:
    """入职: she works at this store, or at none (总部 and the like). Raises Conflict when somebody decided before."""
    change = _locked(change_id, seen, Kind.JOINED)
    _refuse_archived(store)
    if store is not None:
        move_members([(change.member, store.pk)], now=clock.now())
    _settle(change, State.DONE if store else State.KEPT, store, by=by)
    audit.record("staff.placed", change.member, by=by, store=store.pk if store else None)
    return change


@transaction.atomic
def place_newcomers(change_ids: Iterable[int], *, by: Actor) -> tuple[int, int]:
    """入职 of several as their departments propose: how many were placed, and how many not, because nothing is proposed or
    somebody decided meanwhile."""
    wanted = set(change_ids)
    locks.lock_in_transaction("people")
    rows = StaffChange.objects.select_for_update(of=("self",)).select_related("member", "to_store")
    open_ = list(
        rows.filter(pk__in=wanted, kind=Kind.JOINED, state=State.OPEN, to_store__archived_at__isnull=True)
        .exclude(to_store=None)
        .order_by("pk")
    )
    move_members([(row.member, row.to_store_id) for row in open_], now=clock.now())
    for row in open_:
        _settle(row, State.DONE, row.to_store, by=by)
        audit.record("staff.placed", row.member, by=by, store=row.to_store_id)
    return len(open_), len(wanted) - len(open_)


@transaction.atomic
def move(change_id: int, wanted: Move, *, seen: str, by: Actor) -> HandoverPlan | None:
    """调店. Her customers follow to the new store or stay with the old one; the draft of a hand-over, when one is wished.

    Raises UserError for an instant before she came to her store or to come, Conflict when somebody decided before.
    """
    change = _locked(change_id, seen, Kind.MOVED)
    _refuse_archived(wanted.store)
    if wanted.customers not in Customers.values:
        raise UserError(_("请选择她的客户跟到新门店,还是留在原门店。"))
    since = _since(change.member, wanted.since)
    follow = wanted.customers == Customers.FOLLOW
    moved = _give_todos(change, wanted.todos_to, by=by)
    move_members([(change.member, wanted.store.pk)], now=since, follow=follow)
    change.customers = wanted.customers
    _settle(change, State.DONE, wanted.store, by=by)
    audit.record("staff.moved", change.member, by=by, old=change.from_store_id, new=wanted.store.pk,
                 since=since.isoformat(), customers=wanted.customers, todos=moved)  # fmt: skip
    return _draft_plan(change, by=by) if wanted.with_plan and not follow else None


@transaction.atomic
def keep(change_id: int, *, seen: str, by: Actor) -> StaffChange:
    """Nothing changes: she stays where she is, or what a leaver held stays as it is. Nobody is asked about it again."""
    change = _locked(change_id, seen)
    _settle(change, State.KEPT, change.member.store, by=by)
    audit.record("staff.kept", change.member, by=by, kind=change.kind, proposed=change.to_store_id)
    return change


@transaction.atomic
def see_off(change_id: int, *, todos_to: int | None, with_plan: bool, seen: str, by: Actor) -> HandoverPlan | None:
    """离职: her open to-dos go to a colleague, and the draft of her 离职继承 is opened. Raises Conflict as the others."""
    change = _locked(change_id, seen, Kind.LEFT)
    moved = _give_todos(change, todos_to, by=by)
    _settle(change, State.DONE, change.member.store, by=by)
    audit.record("staff.seen_off", change.member, by=by, todos=moved, plan=with_plan)
    return _draft_plan(change, by=by) if with_plan else None


def settle_by_hand(member: Member, *, by: Actor) -> None:
    """Somebody set her store on the member's page: that answers what stands open about it."""
    for change in StaffChange.objects.filter(member=member, state=State.OPEN, kind__in=(Kind.JOINED, Kind.MOVED)):
        _settle(change, State.DONE, member.store, by=by)


def _locked(change_id: int, seen: str, kind: str = "") -> StaffChange:
    """The change, still open and as the person saw it. People are locked first, as by every reading of the directory."""
    locks.lock_in_transaction("people")
    rows = StaffChange.objects.select_for_update(of=("self",))
    change = rows.select_related("member__store", "from_store", "to_store", "store").get(pk=change_id)
    if change.state == State.VOID:
        raise Conflict(_("这条变动已经失效:她的部门、门店或在职状态又变了。请回到名单查看。"))
    if change.state != State.OPEN:
        raise Conflict(_settled_by(change))
    if change.digest != seen or (kind and change.kind != kind):
        raise Conflict(_("您打开之后,企业微信里她的部门又变了,建议也变了。请看过新的建议再决定。"))
    return change


def _settled_by(change: StaffChange) -> str:
    who = User.objects.filter(pk=change.settled_by_id or 0).values_list("display_name", flat=True).first()
    at = timezone.localtime(change.settled_at).strftime("%m-%d %H:%M") if change.settled_at else ""
    what = change.get_state_display() if change.state == State.KEPT else str(change.store or _("不属于门店"))
    return _("%(who)s 已在 %(at)s 处理过:%(what)s。要再改,请到成员页。") % {
        "who": who or _("系统"), "at": at, "what": what,
    }  # fmt: skip


def _settle(change: StaffChange, state: StaffChange.State, store: Store | None, *, by: Actor) -> None:
    change.state, change.store, change.settled_at = state, store, clock.now()
    change.settled_by_id = by.id if by.kind == "user" else None
    change.save(update_fields=["state", "store", "customers", "settled_at", "settled_by_id"])


def _refuse_archived(store: Store | None) -> None:
    if store is not None and store.archived_at is not None:
        raise UserError(_("「%(name)s」已归档,请先恢复它,或选另一家门店。") % {"name": store.name}, code="archived")


def _since(member: Member, given: datetime | None) -> datetime:
    now = clock.now()
    if given is None or given > now:
        if given is not None:
            raise UserError(_("调店日期不能在今天之后。还没到的调店,请到那天再处理。"))
        return now
    latest = member.placements.select_related("store").order_by("-placed_from").first()
    if latest is not None and given <= latest.placed_from:
        raise UserError(
            _("她从 %(day)s 起才在「%(store)s」,调店日期要在这之后。")
            % {"day": timezone.localtime(latest.placed_from).strftime("%Y-%m-%d"), "store": latest.store.name}
        )
    return given


def _give_todos(change: StaffChange, member_id: int | None, *, by: Actor) -> int:
    """Her open to-dos are another's from now on; nobody's are moved for None. How many."""
    if member_id is None:
        return 0
    if member_id not in {one.pk for one, _leads in takers(change)}:
        raise UserError(_("请选择原门店在职的同事来接待办。"))
    open_ones = Todo.objects.filter(member_id=change.member_id, done_at__isnull=True).values_list("pk", flat=True)
    count = hand_on(dict.fromkeys(open_ones, member_id), by=by, at=clock.now())
    if count:
        audit.record("todos.reassigned", change.member, by=by, to=member_id, count=count)
    return count


def _draft_plan(change: StaffChange, *, by: Actor) -> HandoverPlan:
    """Her open plan, or a draft with the colleagues of her old store chosen already; starting it is a decision of its own."""
    member = Member.objects.get(pk=change.member_id)
    plan = planning.open_plan(member, by=by)
    if plan.state == PlanState.DRAFT and not plan.successor_ids:
        able = [one.member for one in fitness(successors(change), clock.now()) if not one.unfit]
        given = planning.Settings(able, None, HandoverSplit.KNOWN.value)
        return planning.change_plan(plan.pk, given, by=by) if able else plan
    return plan
