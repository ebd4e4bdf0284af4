"""Which buckets new facts fall into. Called in the transaction that writes the facts."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from django.db.models import F, Q
from django.db.models.functions import Coalesce

from analytics.definitions import WINDOWS
from analytics.services.buckets import mark, tenant_day
from campaigns.models import Delivery
from contacts.models import Contact, TimelineEvent
from scrm.lib import clock

ORDER_KINDS = ("order.paid", "order.refunded", "order.cancelled")


def mark_buckets_of(events: Sequence[TimelineEvent]) -> None:
    """Mark the days, stage counts and push funnels that these facts change."""
    if not events:
        return
    mark("day", days_={tenant_day(event.occurred_at) for event in events})
    _mark_stage_days(min((e.occurred_at for e in events if e.kind == "stage.changed"), default=None))
    mark("push", keys={*_pushes_named(events), *_pushes_before_orders(events)})


def _mark_stage_days(first: datetime | None) -> None:
    """A transition changes the counts of its own day and of every finished day since."""
    if first is not None:
        mark("stage", days_=_days(tenant_day(first), tenant_day(clock.now())))


def _days(start: date, end: date) -> Iterable[date]:
    return (start + timedelta(days=step) for step in range(max(0, (end - start).days)))


def _pushes_named(events: Sequence[TimelineEvent]) -> set[int]:
    subjects = {event.subject for event in events if event.subject.startswith("push:")}
    return {int(subject.removeprefix("push:")) for subject in subjects if subject.removeprefix("push:").isdigit()}


def _pushes_before_orders(events: Sequence[TimelineEvent]) -> set[int]:
    """Pushes that reached a buyer within the longest window before her order."""
    orders = [event for event in events if event.kind in ORDER_KINDS and event.contact_id]
    if not orders:
        return set()
    contact_ids = {event.contact_id for event in orders if event.contact_id}
    people = (
        Contact.objects.filter(pk__in=contact_ids).annotate(person=Coalesce(F("root_id"), F("id"))).values("person")
    )
    since = min(event.occurred_at for event in orders) - timedelta(days=max(WINDOWS))
    sent = Delivery.objects.filter(Q(contact_id__in=people) | Q(contact_id__in=contact_ids), sent_at__gte=since)
    return set(sent.values_list("push_id", flat=True).distinct())
