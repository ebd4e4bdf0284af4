"""Products and orders, through the product's own upsert: what imports of the till, of Youzan and of Taobao brought."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from random import Random

from commerce.models import Product
from commerce.services.orders import upsert_orders
from commerce.services.rows import LineRow, OrderRow, RefundRow
from contacts.models import Contact, Identity, Store
from demo.history.money import PlannedOrder
from demo.history.people import Span
from demo.scenarios.model import Scenario
from scrm.lib import clock
from tenants.audit import SYSTEM

BATCH = 2000
SOURCES = {"pos": 78, "youzan": 14, "taobao": 8}


def write_products(scenario: Scenario) -> None:
    """The catalogue."""
    Product.objects.bulk_create(
        [Product(code=code, name=name, category=category) for code, name, category, _price in scenario.products],
        ignore_conflicts=True,
    )


def write_orders(planned: Sequence[PlannedOrder], rng: Random) -> None:
    """Every planned order, bound by the person's external_userid, at her owner's store."""
    people = {order.person.pk for order in planned if order.person}
    external = _external_ids(people)
    place = {
        pk: (store, owner)
        for pk, store, owner in Contact.objects.filter(pk__in=people).values_list("pk", "store_id", "owner_id")
    }
    names, weights = list(SOURCES), list(SOURCES.values())
    by_source: dict[str, list[OrderRow]] = {name: [] for name in names}
    for order in sorted(planned, key=lambda one: one.at):
        assert order.person is not None
        store, owner = place[order.person.pk]
        row = _row(order, external[order.person.pk], store, owner)
        by_source[rng.choices(names, weights)[0]].append(row)
    for source, rows in by_source.items():
        for start in range(0, len(rows), BATCH):
            upsert_orders(rows[start : start + BATCH], source=source, by=SYSTEM)


def write_unbound(scenario: Scenario, month: Span, rng: Random) -> None:
    """Orders of the month whose buyer nobody knows: a phone that is on no customer."""
    stores = list(Store.objects.order_by("id").values_list("pk", flat=True))
    rows = []
    for number in range(scenario.month.unbound_orders):
        code, name, _category, price = rng.choice(scenario.products)
        at = month[0] + (month[1] - month[0]) * rng.random()
        line = LineRow(name, Decimal(1), price, code)
        rows.append(
            OrderRow(
                f"U{number:05d}", price, at, phone=f"+86170{number:08d}", store_id=rng.choice(stores), lines=(line,)
            )
        )
    upsert_orders(rows, source="pos", by=SYSTEM)


def _external_ids(contact_ids: set[int]) -> dict[int, str]:
    """One external_userid of each person."""
    rows = Identity.objects.filter(kind=Identity.Kind.EXTERNAL_USERID, contact_id__in=contact_ids)
    return dict(rows.values_list("contact_id", "value"))


def _row(order: PlannedOrder, external_userid: str, store: int | None, owner: int | None) -> OrderRow:
    refunds: tuple[RefundRow, ...] | None = None
    if order.refund_minor:
        at = min(order.at + timedelta(days=3), clock.now())
        refunds = (RefundRow(f"R{order.number}", order.refund_minor, at),)
    return OrderRow(
        number=order.number,
        total_minor=order.total_minor,
        ordered_at=order.at,
        external_userid=external_userid,
        store_id=store,
        member_id=owner,
        lines=_lines(order),
        refunds=refunds,
    )


def _lines(order: PlannedOrder) -> tuple[LineRow, ...]:
    """Lines at list price, the last one bearing the discount of the whole."""
    lines = [LineRow(product[1], Decimal(pieces), product[3] * pieces, product[0]) for product, pieces in order.lines]
    rest = order.total_minor - sum(line.amount_minor for line in lines[:-1])
    if rest < 0:
        share = order.total_minor // len(lines)
        lines = [LineRow(line.name, line.quantity, share, line.product_code) for line in lines]
        rest = order.total_minor - share * (len(lines) - 1)
    last = lines[-1]
    return (*lines[:-1], LineRow(last.name, last.quantity, rest, last.product_code))
