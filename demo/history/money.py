"""Baskets, prices and refunds of the planned orders; the month's net sum comes out exactly. Pure planning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from demo.history.people import Person
from demo.scenarios.model import Scenario

REPAIR_WITHIN = timedelta(days=90)
YUAN = 100

Product = tuple[str, str, str, int]


@dataclass
class PlannedOrder:
    """An order to be. lines: (product, pieces); refund_minor: what went back of it."""

    at: datetime
    person: Person | None
    lines: list[tuple[Product, int]]
    total_minor: int
    refund_minor: int = 0
    number: str = ""


def plan_baskets(
    people: Sequence[Person], sensitive: set[int], scenario: Scenario, now: datetime, rng: Random
) -> list[PlannedOrder]:
    """Every order of the past with its lines and money, each at list price."""
    repairers = _repairers(people, sensitive, scenario, now, rng)
    orders = [
        _basket(person, at, _offer(person, at, sensitive, repairers, scenario, now), rng)
        for person in people
        for at in person.order_times
    ]
    last = {order.person.pk: order for order in sorted(orders, key=lambda one: one.at) if order.person}
    for pk in repairers:
        _put_repair(last[pk], scenario)
    return orders


def _repairers(
    people: Sequence[Person], sensitive: set[int], scenario: Scenario, now: datetime, rng: Random
) -> set[int]:
    """Who, of those with the tag, bought of the repair category within 90 days: exactly as many as the scenario says."""
    if scenario.repair is None:
        return set()
    able = [p.pk for p in people if p.pk in sensitive and p.order_times and now - max(p.order_times) < REPAIR_WITHIN]
    wanted = scenario.repair[2]
    if len(able) < wanted:
        raise ValueError(f"only {len(able)} of {wanted} people with the tag {scenario.repair[0]} bought lately")
    return set(rng.sample(sorted(able), wanted))


def _offer(
    person: Person, at: datetime, sensitive: set[int], repairers: set[int], scenario: Scenario, now: datetime
) -> list[Product]:
    """What she may buy then: people with the tag who are not repairers buy no repair within 90 days."""
    avoid = scenario.repair and person.pk in sensitive and person.pk not in repairers and now - at < REPAIR_WITHIN
    return [one for one in scenario.products if not (avoid and scenario.repair and one[2] == scenario.repair[1])]


def _basket(person: Person, at: datetime, offer: list[Product], rng: Random) -> PlannedOrder:
    kinds = rng.choices((1, 2, 3), (62, 30, 8))[0]
    lines = [(product, rng.choices((1, 2, 3), (85, 12, 3))[0]) for product in rng.sample(offer, min(kinds, len(offer)))]
    return PlannedOrder(at, person, lines, _list_price(lines))


def _list_price(lines: Sequence[tuple[Product, int]]) -> int:
    return sum(product[3] * pieces for product, pieces in lines)


def _put_repair(order: PlannedOrder, scenario: Scenario) -> None:
    assert scenario.repair is not None
    category = scenario.repair[1]
    if all(product[2] != category for product, _pieces in order.lines):
        repair = next(product for product in scenario.products if product[2] == category)
        order.lines[0] = (repair, 1)
        order.total_minor = _list_price(order.lines)


def settle_month(
    orders: Sequence[PlannedOrder], scenario: Scenario, month: tuple[datetime, datetime], rng: Random
) -> None:
    """Refunds, then discounts in whole yuan so that the month's net sum is exact. Raises ValueError when it cannot be."""
    inside = [order for order in orders if month[0] <= order.at < month[1]]
    for order in rng.sample(inside, scenario.month.refunds):
        order.refund_minor = -1  # decided below, once the total stands
    returned = 0
    target = scenario.month.net_minor
    factor = target / sum(order.total_minor for order in inside)
    for order in orders:  # the same discounts all year, so that months compare
        order.total_minor = max(YUAN, round(order.total_minor * factor / YUAN) * YUAN)
    for order in inside:
        if order.refund_minor:
            order.refund_minor = (
                order.total_minor if rng.random() < 0.5 else max(YUAN, order.total_minor // 2 // YUAN * YUAN)
            )
            returned += order.refund_minor
    missing = target + returned - sum(order.total_minor for order in inside)
    _spread(missing, [order for order in inside if not order.refund_minor], rng)


def _spread(missing: int, orders: list[PlannedOrder], rng: Random) -> None:
    """Add (or take) the missing amount over many orders, in whole yuan and one rest below it."""
    step = YUAN if missing > 0 else -YUAN
    while abs(missing) >= YUAN:
        for order in rng.sample(orders, min(len(orders), abs(missing) // YUAN)):
            if order.total_minor + step >= YUAN:
                order.total_minor += step
                missing -= step
    orders[0].total_minor += missing


def number_orders(orders: Sequence[PlannedOrder], prefix: str) -> None:
    """Numbers in order of time, as a shop's till gives them."""
    for position, order in enumerate(sorted(orders, key=lambda one: one.at), start=1):
        order.number = f"{prefix}{order.at:%y%m%d}{position:06d}"
