"""The writer of the past: plans become facts in the merchant's own tables, in one transaction, once."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from campaigns.models import Delivery, MassSendResult
from commerce.models import Order, OrderLine, StoreDailySales
from contacts.models import Contact, Follow, FollowPeriod, StageTransition, Store, TimelineEvent
from demo.history import broadcast, gone, orders, stages, tags
from demo.history.money import number_orders, plan_baskets, settle_month
from demo.history.people import Person, Span, assign_stages, plan_orders
from demo.scenarios.model import Scenario
from scrm.lib import clock
from tenants.context import current_tenant
from tenants.ledger.models import Backfill

Say = Callable[[str], None]
SEED = 20_261
DONE = "demo.history"


def write_history(scenario: Scenario, say: Say) -> None:
    """Give the people the sync brought their past. A second call does nothing."""
    if Backfill.objects.filter(name=DONE, state="done").exists():
        return
    now, rng = clock.now(), Random(SEED)
    month = last_month(now)
    with transaction.atomic():
        tags.mark_exclusive(scenario)
        gone.write_gone(scenario, now, rng)
        people = living_people()
        assign_stages(people, scenario, now, rng)
        plan_orders(people, scenario, now, month, rng)
        planned = plan_baskets(people, tags.carriers(scenario), scenario, now, rng)
        settle_month(planned, scenario, month, rng)
        number_orders(planned, "P")
        say(f"{len(planned)} orders planned")
        orders.write_products(scenario)
        orders.write_orders(planned, rng)
        orders.write_unbound(scenario, month, rng)
        stages.write_stages(people, now, rng)
        stages.write_birthdays(people, scenario, now, rng)
        write_sales(scenario, month, rng)
        if scenario.broadcast:
            broadcast.write_broadcast(scenario, planned, now, rng)
        Backfill.objects.update_or_create(name=DONE, defaults={"state": "done", "updated_at": clock.wall()})
    _tell_the_planner()
    say("the past is written")


def _tell_the_planner() -> None:
    """A year of facts came in at once: without fresh statistics the next plans would still be those of empty tables."""
    models = (Contact, Follow, FollowPeriod, StageTransition, TimelineEvent, Order, OrderLine, Delivery, MassSendResult)
    with connection.cursor() as cursor:
        for model in models:
            cursor.execute(f'ANALYZE "{model._meta.db_table}"')


def last_month(now: datetime) -> Span:
    """The instants at which the tenant's last calendar month began and ended."""
    zone = ZoneInfo(current_tenant().time_zone)
    first = now.astimezone(zone).date().replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    return datetime.combine(before, time(), zone), datetime.combine(first, time(), zone)


def living_people() -> list[Person]:
    """Everyone who still is somebody's friend."""
    rows = Contact.objects.filter(root__isnull=True, active_follows__gt=0, first_added_at__isnull=False).order_by("id")
    return [
        Person(pk, owner or 0, store or 0, added)
        for pk, owner, store, added in rows.values_list("pk", "owner_id", "store_id", "first_added_at")
        if added is not None
    ]


def write_sales(scenario: Scenario, month: Span, rng: Random) -> None:
    """All-channel sales per store and day of the month, weekends stronger; the sum is exact."""
    days = [month[0].date() + timedelta(days=step) for step in range((month[1].date() - month[0].date()).days)]
    stores = list(Store.objects.order_by("id"))
    weights = {(s.pk, day): rng.uniform(0.6, 1.4) * (1.5 if day.weekday() >= 5 else 1) for s in stores for day in days}
    share = scenario.month.all_channels_minor / sum(weights.values())
    amounts = {key: int(weight * share) for key, weight in weights.items()}
    amounts[stores[0].pk, days[0]] += scenario.month.all_channels_minor - sum(amounts.values())
    StoreDailySales.objects.bulk_create(
        [StoreDailySales(store_id=store, day=day, amount_minor=amount) for (store, day), amount in amounts.items()],
        ignore_conflicts=True,
    )
