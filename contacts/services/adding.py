"""批量加好友: phones are given to guides, copied, marked, taken back after some days, and found added.

WeCom has no interface that adds somebody: a guide copies the number and searches it herself, so nothing leaves without her tap.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.scope import EVERYTHING, DataScope, scope_as_json, scope_from_json
from contacts import longjobs
from contacts.models import Member, PhoneBatch, PhoneToAdd, Store
from contacts.policy import MOST_ADDING_DAYS, people_policy
from contacts.queries import own_member_ids, stores_of, visible_members
from scrm.lib import clock
from scrm.lib.db.bulk import update_rows
from scrm.lib.errors import Conflict, UserError
from tenants import audit, jobs
from tenants.audit import Actor
from tenants.ledger.models import Job
from tenants.services.policies import change_policy

LANE = "phones_to_add"
DISTRIBUTE = "adding.distribute"
# How many guides one number is tried by: whoever did not accept three is not to be asked a fourth time.
MOST_GUIDES = 3
STEP = 1000
State, Reason = PhoneToAdd.State, PhoneToAdd.Reason
OPEN = (State.UNASSIGNED, State.TO_ADD, State.WAITING)
AT_WORK = (State.TO_ADD, State.WAITING)
MARKS = (Reason.WRONG_NUMBER, Reason.DECLINED)


# --- Who sees them ----------------------------------------------------------------------------------------------------


def visible_phones(scope: DataScope) -> QuerySet[PhoneToAdd]:
    """Those of the scope's guides, and of its stores where no guide has them."""
    if scope.sees_all:
        return PhoneToAdd.objects.all()
    unheld = Q(member__isnull=True, store__in=Store.objects.filter(stores_of(scope)))
    return PhoneToAdd.objects.filter(unheld | Q(member__in=visible_members(scope)))


def own_phones(scope: DataScope) -> QuerySet[PhoneToAdd]:
    """The work list of whoever is logged in."""
    return PhoneToAdd.objects.filter(member_id__in=own_member_ids(scope), state__in=AT_WORK)


def takers(scope: DataScope) -> QuerySet[Member]:
    """Guides of the scope who can add customers: active, with 客户联系."""
    able = Q(status=Member.Status.ACTIVE, has_customer_contact=True, archived_at__isnull=True)
    return visible_members(scope).filter(able)


def count_states(phones: QuerySet[PhoneToAdd]) -> dict[str, int]:
    """State → how many, all states; together they are all there are."""
    counted = dict(phones.order_by().values_list("state").annotate(n=Count("pk")))
    return {state: counted.get(state, 0) for state in State.values}


# --- Giving out ---------------------------------------------------------------------------------------------------------

Pool = Callable[[PhoneToAdd], Collection[int]]


def give(phones: Sequence[PhoneToAdd], pool: Pool, *, at: datetime) -> int:
    """Give each to a guide of its pool, the one with the fewest of its batch first; how many were given.

    Nobody gets a number she had before. What finds nobody waits as 待分配. Writes in a constant number of statements.
    """
    pools = {
        phone.pk: frozenset(pool(phone)).difference(phone.had) if phone.had else frozenset(pool(phone))
        for phone in phones
    }
    loads = _loads({phone.batch_id for phone in phones}, set().union(*pools.values()))
    heaps: dict[tuple[int, frozenset[int]], list[tuple[int, int, int]]] = {}
    for phone in phones:
        key = (phone.batch_id, pools[phone.pk])
        heap = heaps.get(key)
        if heap is None:
            heap = heaps[key] = [(*_load(loads, phone.batch_id, pk), pk) for pk in key[1]]
            heapq.heapify(heap)
        _take_up(phone, _least(heap, loads, phone.batch_id), at)
    save(phones)
    given = [phone for phone in phones if phone.member_id]
    if given:
        jobs.nudge(LANE, due_at=given[0].recycle_at)
    return len(given)


_Loads = dict[tuple[int, int], int]


def _loads(batches: Collection[int], members: Collection[int]) -> _Loads:
    """(batch or 0 for all at work, member) → how many."""
    rows = PhoneToAdd.objects.filter(member_id__in=list(members)).order_by()
    batched = rows.filter(batch_id__in=list(batches)).values_list("batch_id", "member_id").annotate(n=Count("pk"))
    found: _Loads = {(batch, member): n for batch, member, n in batched}
    work = rows.filter(state__in=AT_WORK).values_list("member_id").annotate(n=Count("pk"))
    return found | {(0, member): n for member, n in work}


def _load(loads: _Loads, batch: int, member: int) -> tuple[int, int]:
    return loads.get((batch, member), 0), loads.get((0, member), 0)


def _least(heap: list[tuple[int, int, int]], loads: _Loads, batch: int) -> int | None:
    """The member with the least; loads that another heap moved meanwhile are put right first."""
    while heap:
        *load, pk = heap[0]
        now = _load(loads, batch, pk)
        if tuple(load) != now:
            heapq.heapreplace(heap, (*now, pk))
            continue
        loads[batch, pk], loads[0, pk] = now[0] + 1, now[1] + 1
        heapq.heapreplace(heap, (now[0] + 1, now[1] + 1, pk))
        return pk
    return None


def _take_up(phone: PhoneToAdd, member_id: int | None, at: datetime) -> None:
    """It is her work from now on; with nobody it waits."""
    phone.member_id = member_id
    phone.state, phone.state_at, phone.reason, phone.copied_at = State.UNASSIGNED, at, "", None
    phone.recycle_at = None
    if member_id is not None:
        phone.state, phone.had = State.TO_ADD, [*phone.had, member_id]
        phone.recycle_at = at + timedelta(days=people_policy().adding_days)


def save(phones: Iterable[PhoneToAdd]) -> None:
    """Write where phones stand."""
    columns = (
        "member_id",
        "had",
        "state",
        "reason",
        "state_at",
        "recycle_at",
        "copied_at",
        "contact_id",
        "added_by_id",
        "add_way",
    )
    update_rows(PhoneToAdd, [{"id": phone.pk, **{name: getattr(phone, name) for name in columns}} for phone in phones])


def _anybody(guides: Collection[int]) -> Pool:
    return lambda phone: guides


def by_store(phones: Sequence[PhoneToAdd], guides: QuerySet[Member]) -> Pool:
    """Each among the guides of its store."""
    stores = {phone.store_id for phone in phones if phone.store_id}
    found: dict[int, list[int]] = defaultdict(list)
    for pk, store_id in guides.filter(store_id__in=stores).values_list("pk", "store_id"):
        found[store_id].append(pk)
    return lambda phone: found.get(phone.store_id or 0, ())


# --- What a manager does ----------------------------------------------------------------------------------------------


@transaction.atomic
def start_distribution(
    batch_id: int, store_ids: Collection[int], member_ids: Collection[int], scope: DataScope, *, by: Actor
) -> int:
    """平均分: what of a batch waits goes evenly to the chosen guides and the guides of the chosen stores. How many may get some.

    Raises UserError when none of them can add customers, Conflict for a batch that was stopped or is being given out.
    """
    batch = PhoneBatch.objects.select_for_update().get(pk=batch_id)
    job = Job.objects.filter(pk=batch.job_id or 0).first()
    if batch.stopped_at is not None or (job and not job.is_over):
        raise Conflict(_("这个批次已停止,或者还在分配,请刷新页面。"))
    chosen = takers(scope).filter(Q(pk__in=member_ids) | Q(store_id__in=store_ids))
    guides = sorted(chosen.values_list("pk", flat=True))
    if not guides:
        raise UserError(_("请至少选一位导购或一家门店,里面要有已激活、有客户联系权限的导购。"))
    params = {"batch": batch.pk, "guides": guides, "scope": scope_as_json(scope), "after": 0}
    batch.job_id = longjobs.start(DISTRIBUTE, _("分配 %(name)s") % {"name": batch.name}, params=params, by=by).pk
    batch.save(update_fields=["job_id"])
    audit.record("adding.distributed", batch, by=by, guides=len(guides))
    return len(guides)


def distribute_step(job: Job, deadline: datetime) -> bool:
    """Give out the next some; what finds no guide is passed over."""
    while True:
        with transaction.atomic():
            waiting = visible_phones(scope_from_json(job.params["scope"])).filter(
                batch_id=job.params["batch"],
                batch__stopped_at__isnull=True,
                state=State.UNASSIGNED,
                pk__gt=job.params["after"],
            )
            phones = list(waiting.select_for_update(of=("self",)).order_by("pk")[:STEP])
            if not phones:
                return True
            guides = frozenset(
                takers(scope_from_json(job.params["scope"]))
                .filter(pk__in=job.params["guides"])
                .values_list("pk", flat=True)
            )
            job.done += give(phones, _anybody(guides), at=clock.now())
            job.params = {**job.params, "after": phones[-1].pk}
            job.save(update_fields=["params", "done"])
        if clock.wall() >= deadline:
            return False


@transaction.atomic
def reassign(phones: QuerySet[PhoneToAdd], member: Member, *, by: Actor, at: datetime) -> tuple[int, int]:
    """By hand: these go to her; (given, left out). Those that are over, hers already, or were hers before are left out."""
    chosen = list(phones.select_for_update(of=("self",)).order_by("pk"))
    movable = [phone for phone in chosen if phone.state in OPEN and member.pk not in phone.had]
    if movable:
        give(movable, lambda phone: {member.pk}, at=at)
        audit.record(
            "adding.reassigned", member, by=by, count=len(movable), phones=[phone.pk for phone in movable][:100]
        )
    return len(movable), len(chosen) - len(movable)


@transaction.atomic
def stop(batch_id: int, *, by: Actor, at: datetime) -> int:
    """Nobody is to add what of this batch is open; how many that were. Stopping twice is stopping once."""
    batch = PhoneBatch.objects.select_for_update().get(pk=batch_id)
    if batch.stopped_at is not None:
        return 0
    batch.stopped_at = at
    batch.save(update_fields=["stopped_at"])
    ended = batch.phones.filter(state__in=OPEN).update(
        state=State.RECYCLED, reason=Reason.STOPPED, state_at=at, recycle_at=None
    )
    audit.record("adding.stopped", batch, by=by, count=ended)
    return ended


def save_days(days: int | None, *, by: Actor) -> None:
    """After how many days a phone is taken back, from the next giving on. Raises UserError."""
    if days is None or not 1 <= days <= MOST_ADDING_DAYS:
        raise UserError(_("回收天数要在 1 到 %(most)d 之间。") % {"most": MOST_ADDING_DAYS})
    change_policy("contacts", adding_days=days)
    audit.record("adding.days_saved", by=by, days=days)


# --- What a guide does ------------------------------------------------------------------------------------------------


@transaction.atomic
def copy(phones: QuerySet[PhoneToAdd], pk: int, *, by: Actor, at: datetime) -> PhoneToAdd:
    """复制号码: the whole number, on record. From now on the customer's answer is waited for. Raises DoesNotExist."""
    phone = phones.select_for_update(of=("self",)).get(pk=pk)
    if phone.state == State.TO_ADD:
        phone.state, phone.state_at, phone.copied_at = State.WAITING, at, at
        phone.save(update_fields=["state", "state_at", "copied_at"])
    audit.record("adding.copied", phone, by=by, batch=phone.batch_id)
    return phone


@transaction.atomic
def mark(phones: QuerySet[PhoneToAdd], pk: int, reason: str, *, by: Actor, at: datetime) -> PhoneToAdd:
    """号码无效 or 对方拒绝: nobody is to add it any more. Raises DoesNotExist, UserError for another reason."""
    phone = phones.select_for_update(of=("self",)).get(pk=pk)
    if reason not in MARKS:
        raise UserError(_("请选择号码无效或对方拒绝。"))
    phone.state, phone.reason, phone.state_at, phone.recycle_at = State.INVALID, reason, at, None
    phone.save(update_fields=["state", "reason", "state_at", "recycle_at"])
    audit.record("adding.marked", phone, by=by, reason=reason)
    return phone


# --- The lane -----------------------------------------------------------------------------------------------------------


def drain(deadline: datetime) -> bool:
    """Take back what was not added in time. True when the slice was over first."""
    while clock.wall() < deadline:
        if not _recycle_some(clock.now()):
            return False
    return count_due() > 0


def next_due() -> datetime | None:
    """When the next is taken back."""
    found: datetime | None = PhoneToAdd.objects.filter(recycle_at__isnull=False).aggregate(at=Min("recycle_at"))["at"]
    return found


def count_due() -> int:
    """To be taken back at this instant, for sandbox drivers."""
    return PhoneToAdd.objects.filter(recycle_at__lte=clock.now()).count()


@transaction.atomic
def _recycle_some(now: datetime) -> int:
    """To another guide of the same store, else to wait; whoever was tried by enough guides is left alone."""
    due = PhoneToAdd.objects.filter(recycle_at__lte=now).select_for_update(skip_locked=True, of=("self",))
    phones = list(due.select_related("member").order_by("recycle_at", "pk")[:STEP])
    tired = [phone for phone in phones if len(phone.had) >= MOST_GUIDES]
    for phone in tired:
        phone.state, phone.reason, phone.state_at, phone.recycle_at = State.RECYCLED, Reason.TIRED, now, None
    save(tired)
    others = [phone for phone in phones if len(phone.had) < MOST_GUIDES]
    for phone in others:
        # Within the store she works at, where the file named none.
        phone.store_id = phone.store_id or (phone.member.store_id if phone.member else None)
    update_rows(PhoneToAdd, [{"id": phone.pk, "store_id": phone.store_id} for phone in others])
    give(others, by_store(others, takers(EVERYTHING)), at=now)
    return len(phones)
