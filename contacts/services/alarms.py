"""The alarm on a guide who deletes customers: more than max(5, 3σ) on one tenant day.

σ is that of her own thirty tenant days before, days without a deletion included. Computed from the facts whenever one of them is
recorded or put right, for its guide and day alone: the same facts raise the same alarms in whatever order they came, but a late
fact moves the bound of no other day. Deletions that ended no relation we knew do not count.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from statistics import pstdev
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import TruncDate
from django.utils.translation import gettext as _

from contacts.models import DeletionAlarm, FactSource, Member, TimelineEvent, Told
from contacts.services import freezing
from contacts.timeline import Fact
from scrm.lib import clock
from scrm.lib.errors import Conflict
from tenants import audit
from tenants.audit import Actor
from tenants.context import current_tenant

KIND = "follow.deleted_by_guide"
ENDED_KEY = "follow.ended:"  # of facts that ended a relation; the others are loose
FLOOR, SIGMAS, BASE_DAYS = 5, 3, 30


def watch_deletions(facts: Sequence[Fact]) -> None:
    """Listener of the timeline: look again at the guides and days of deletions. One query where nobody deleted much."""
    zone = current_tenant().time_zone
    pairs = {
        (fact.member_id, clock.local_day(fact.occurred_at, zone))
        for fact in facts
        if fact.kind == KIND and fact.member_id and fact.fact_key.startswith(ENDED_KEY)
        and fact.source != FactSource.BACKFILL
    }  # fmt: skip
    if not pairs:
        return
    days = [day for _member, day in pairs]
    counts = _count({member for member, _day in pairs}, min(days), max(days))
    high = {pair for pair in pairs if counts[pair] > FLOOR}
    _settle(pairs - high)
    if high:
        _judge(high)


def bound_of(deleted: Iterable[int]) -> float:
    """max(5, 3σ) of the deletions of the days before."""
    return max(float(FLOOR), SIGMAS * pstdev(deleted))


def day_bounds(first: date, last: date) -> tuple[datetime, datetime]:
    """The instants between which the tenant's days lie: [from, to)."""
    zone = ZoneInfo(current_tenant().time_zone)
    return datetime.combine(first, time(), zone), datetime.combine(last + timedelta(days=1), time(), zone)


def _count(members: set[int], first: date, last: date) -> Counter[tuple[int, date]]:
    start, end = day_bounds(first, last)
    rows = TimelineEvent.objects.filter(
        kind=KIND, occurred_at__gte=start, occurred_at__lt=end, member__in=members, fact_key__startswith=ENDED_KEY
    )
    days = rows.annotate(day=TruncDate("occurred_at", tzinfo=start.tzinfo)).values_list("member_id", "day")
    return Counter(days)


def _judge(pairs: set[tuple[int, date]]) -> None:
    """Raise, put right or settle the alarms of guides and days with more than five deletions."""
    days = [day for _member, day in pairs]
    counts = _count({member for member, _day in pairs}, min(days) - timedelta(days=BASE_DAYS), max(days))
    known = set(_alarms_of(pairs).values_list("member_id", "day"))
    stores = dict(Member.objects.filter(pk__in={member for member, _day in pairs}).values_list("pk", "store_id"))
    raised = []
    now = clock.now()
    for member, day in sorted(pairs):
        bound = bound_of(counts[member, day - timedelta(days=back)] for back in range(1, BASE_DAYS + 1))
        if counts[member, day] > bound:
            raised.append(
                DeletionAlarm(
                    member_id=member, store_id=stores.get(member), day=day, deleted=counts[member, day], bound=bound, raised_at=now
                )
            )  # fmt: skip
    _settle(pairs - {(alarm.member_id, alarm.day) for alarm in raised})
    fresh = [alarm for alarm in raised if (alarm.member_id, alarm.day) not in known]
    if fresh:
        freezing.begin(fresh)
    DeletionAlarm.objects.bulk_create(
        raised, update_conflicts=True, unique_fields=["member", "day"], update_fields=["deleted", "bound"]
    )
    freezing.put_on_record(fresh, "account.frozen")


def _settle(pairs: set[tuple[int, date]]) -> None:
    """Facts put right may leave no reason for an alarm; one that somebody handled stands."""
    if not pairs:
        return
    found = _alarms_of(pairs).filter(handled_at__isnull=True)
    stale = [alarm for alarm in found if (alarm.member_id, alarm.day) in pairs]
    if stale:
        DeletionAlarm.objects.filter(pk__in=[alarm.pk for alarm in stale]).delete()
        freezing.put_on_record(stale, "account.unfrozen", reason=_("删除的事实已更正"))


def _alarms_of(pairs: set[tuple[int, date]]) -> QuerySet[DeletionAlarm]:
    """Those of these guides and days, and of a guide on another's day."""
    return DeletionAlarm.objects.filter(
        member__in={member for member, _day in pairs}, day__in={day for _member, day in pairs}
    )


@transaction.atomic
def handle_alarm(alarms: QuerySet[DeletionAlarm], pk: int, *, by: Actor) -> DeletionAlarm:
    """标为已处理; a freeze stands until it is lifted. Raises DoesNotExist outside `alarms`, Conflict when somebody was quicker."""
    alarm = alarms.select_for_update(of=("self",)).get(pk=pk)
    if alarm.handled_at is not None:
        raise Conflict(_("这条提醒已经处理过了,请刷新页面。"))
    alarm.handled_at, alarm.handled_by_id = clock.now(), by.id
    if alarm.tell_at is not None:
        alarm.tell_at, alarm.told = None, Told.NOT
    alarm.save(update_fields=["handled_at", "handled_by_id", "tell_at", "told"])
    audit.record("deletion_alarm.handled", alarm, by=by, member=alarm.member_id, day=alarm.day.isoformat())
    return alarm
