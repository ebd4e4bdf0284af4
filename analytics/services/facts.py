"""Which buckets new facts fall into. Called in the transaction that writes the facts."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from analytics.definitions import WINDOWS
from analytics.services.buckets import mark, tenant_day
from analytics.services.days import ADDED_KINDS, ENDED_KINDS
from campaigns.models import Delivery
from commerce.changes import OrderChange
from contacts.models import Contact, FactSource
from contacts.services.merging import Merged
from contacts.timeline import Fact
from scrm.lib import clock

RELATION_KINDS = frozenset((*ADDED_KINDS, *ENDED_KINDS))


def mark_buckets_of(events: Sequence[Fact]) -> None:
    """Mark the days, stage counts and push funnels that these facts change."""
    if not events:
        return
    mark("day", days_={tenant_day(at) for at in {event.occurred_at for event in events}})
    _mark_stage_days(min((e.occurred_at for e in events if _moves_stage_counts(e)), default=None))
    mark("push", keys=_pushes_named(events))


def _moves_stage_counts(event: Fact) -> bool:
    """A stage changed; or a relation began or ended, which the first sync tells of by the thousand before anybody has a stage."""
    if event.kind == "stage.changed":
        return True
    return event.kind in RELATION_KINDS and event.source != FactSource.BACKFILL


def mark_orders(changed: Sequence[OrderChange]) -> None:
    """Orders count on the day they were placed, and for the pushes that reached their buyer shortly before."""
    days = {change.ordered_at for change in changed} | {c.was_ordered_at for c in changed if c.was_ordered_at}
    mark("day", days_={tenant_day(instant) for instant in days})
    mark("push", keys=_pushes_before(changed))


def mark_pushes(push_ids: Iterable[int]) -> None:
    """Units or deliveries of these pushes moved."""
    mark("push", keys=push_ids)


def mark_merged(merged: Merged) -> None:
    """Two people are one, or two again: what was bought after sending counts for other deliveries now."""
    rows = _deliveries_to({merged.kept, merged.gone, *merged.moved})
    mark("push", keys=rows.values_list("push_id", flat=True).distinct())


def _deliveries_to(contact_ids: Collection[int]) -> QuerySet[Delivery]:
    """Deliveries to these people under whichever of their merged rows they were frozen."""
    people = (
        Contact.objects.filter(pk__in=contact_ids).annotate(person=Coalesce(F("root_id"), F("id"))).values("person")
    )
    rows = Contact.objects.filter(Q(pk__in=people) | Q(root_id__in=people))
    return Delivery.objects.filter(contact_id__in=rows.values("pk"))


def _mark_stage_days(first: datetime | None) -> None:
    """It changes the counts of its own day and of every finished day since."""
    if first is not None:
        mark("stage", days_=_days(tenant_day(first), tenant_day(clock.now())))


def _days(start: date, end: date) -> Iterable[date]:
    return (start + timedelta(days=step) for step in range(max(0, (end - start).days)))


def _pushes_named(events: Sequence[Fact]) -> set[int]:
    subjects = {event.subject for event in events if event.subject.startswith("push:")}
    return {int(subject.removeprefix("push:")) for subject in subjects if subject.removeprefix("push:").isdigit()}


def _pushes_before(changed: Sequence[OrderChange]) -> set[int]:
    """Pushes that reached a buyer within the longest window before her order."""
    contact_ids = {change.contact_id for change in changed if change.contact_id}
    if not contact_ids:
        return set()
    since = min(change.ordered_at for change in changed) - timedelta(days=max(WINDOWS))
    sent = _deliveries_to(contact_ids).filter(sent_at__gte=since)
    return set(sent.values_list("push_id", flat=True).distinct())
