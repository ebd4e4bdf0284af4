"""Orders come in by batches and may come again: the same (source, number) is one order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from commerce import changes
from commerce.changes import OrderChange
from commerce.models import CreditSource, Order, OrderLine
from commerce.services.attribution import attribute
from commerce.services.binding import find_people
from commerce.services.facts import record_orders
from commerce.services.products import products_of
from commerce.services.refunds import RefundBook, refunds_of, settle
from commerce.services.rows import LineRow, OrderRow, RefundRow, Report
from contacts import marks
from contacts.services.forgotten import find_forgotten
from contacts.timeline import roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import clean_text, insert_rows, update_rows
from scrm.lib.errors import UserError
from tenants import locks
from tenants.audit import Actor

# What an order's row is made of, in the order of insertion.
_INSERTED = (
    "source", "number", "status", "currency", "total_minor", "refunded_minor", "ordered_at", "contact_id", "bound_by", "bound_at",
    "buyer_phone", "buyer_unionid", "buyer_external_userid", "store_id", "region_id", "dealer_id", "member_id",
    "member_source", "store_source", "created_at", "updated_at",
)  # fmt: skip
_UPDATED = tuple(name for name in _INSERTED if name not in ("source", "number", "created_at"))


@transaction.atomic
def upsert_orders(
    rows: Sequence[OrderRow], *, source: str, by: Actor, fact_source: str = "import", collect: bool = False
) -> Report:
    """Create or update orders of a source, bind and attribute them, record their facts. Idempotent, set-based.

    A number given twice counts once, the last row wins. Bound orders stay bound. fact_source: FactSource of the
    timeline rows. Refunds above the total and a currency that changes raise UserError; with collect such orders are left out
    and told in Report.rejected, the others come in.
    """
    locks.lock_in_transaction("orders")
    now = clock.now()
    wanted = {row.number: row for row in _without_forgotten(rows)}
    known = {
        order.number: order
        for order in Order.objects.select_for_update(of=("self",)).filter(source=source, number__in=wanted)
    }
    refunds = RefundBook.of(source, refunds_of(wanted))
    report = Report()
    fresh: list[Order] = []
    changed: list[Order] = []
    before: dict[int, tuple[Any, ...]] = {}
    placed = {order.pk: order.ordered_at for order in known.values()}
    stood = {order.pk: _credit(order) for order in known.values()}
    for number, row in wanted.items():
        order = known.get(number)
        try:
            if order is None:
                fresh.append(_filled(Order(source=source, number=number, created_at=now), row, refunds, now))
                report.created.append(number)
                continue
            before[order.pk] = _state(order)
            changed.append(_filled(_of_same_currency(order, row), row, refunds, now))
        except UserError as error:
            if not collect:
                raise
            report.rejected[number] = error.message
    touched = fresh + changed
    _bind([order for order in touched if order.contact_id is None], now)
    attribute([order for order in touched if order.member_id is None or _credit(order) != stood.get(order.pk)])
    _insert(fresh)
    moved = {order.pk for order in changed if _state(order) != before[order.pk]}
    update_rows(Order, [_row(order, ("id", *_UPDATED)) for order in changed if order.pk in moved])
    moved |= _write_lines({order.pk: wanted[order.number] for order in touched}, {order.pk for order in fresh})
    ids = {order.number: order.pk for order in touched}
    moved |= refunds.write(refunds_of({number: wanted[number] for number in ids}), ids)
    for order in changed:
        (report.updated if order.pk in moved else report.unchanged).append(order.number)
    moved |= {order.pk for order in fresh}
    news = [order for order in touched if order.pk in moved]
    record_orders(news, source=fact_source)
    changes.tell([OrderChange(o.pk, o.contact_id, o.ordered_at, placed.get(o.pk)) for o in news])
    marks.mark(roots_of(order.contact_id for order in news if order.contact_id).values(), "order")
    report.unbound = sum(order.contact_id is None for order in touched)
    return report


def _of_same_currency(order: Order, row: OrderRow) -> Order:
    if order.currency != row.currency:
        raise UserError(_("订单 %(number)s 的币种由 %(old)s 变为 %(new)s,请先核对来源。")
                        % {"number": row.number, "old": order.currency, "new": row.currency})  # fmt: skip
    return order


def _without_forgotten(rows: Sequence[OrderRow]) -> list[OrderRow]:
    """Orders without the keys of buyers who were erased since: the same file may come again. What is bought later is theirs anew."""
    forgotten = find_forgotten({key for row in rows for key in (row.phone, row.unionid, row.external_userid)})
    if not forgotten.since:
        return list(rows)

    def kept(key: str, at: datetime) -> str:
        return "" if forgotten.holds(key, at) else key

    return [
        replace(
            row,
            phone=kept(row.phone, row.ordered_at),
            unionid=kept(row.unionid, row.ordered_at),
            external_userid=kept(row.external_userid, row.ordered_at),
        )
        for row in rows
    ]


def _filled(order: Order, row: OrderRow, refunds: RefundBook, now: datetime) -> Order:
    """The order as the row says. Buyer keys and attribution only ever gain: an export without the phone takes none away."""
    order.currency, order.total_minor, order.ordered_at = row.currency, row.total_minor, row.ordered_at
    order.status = Order.Status(row.status)
    settle(order, refunds.total(order.number, row.refunds or ()))
    refunds.claim(order.number, row.refunds or ())
    order.buyer_phone = row.phone or order.buyer_phone
    order.buyer_unionid = row.unionid or order.buyer_unionid
    order.buyer_external_userid = row.external_userid or order.buyer_external_userid
    _name_credit(order, row)
    order.updated_at = now
    return order


def _name_credit(order: Order, row: OrderRow) -> None:
    """The guide and store that the channel names; a derived store follows a guide who is named later."""
    if row.member_id:
        if row.member_id != order.member_id and order.store_source != CreditSource.EXPLICIT:
            order.store_id, order.store_source = None, ""
        order.member_id, order.member_source = row.member_id, CreditSource.EXPLICIT.value
    if row.store_id:
        order.store_id, order.store_source = row.store_id, CreditSource.EXPLICIT.value


def _credit(order: Order) -> tuple[int | None, int | None]:
    return order.member_id, order.store_id


def _state(order: Order) -> tuple[Any, ...]:
    return tuple(getattr(order, name) for name in _UPDATED if name != "updated_at")


def _bind(orders: Sequence[Order], now: datetime) -> None:
    for order, person in zip(orders, find_people(orders), strict=True):
        if person is not None:
            order.contact_id, order.bound_by = person
            order.bound_at = now


def _row(order: Order, columns: Sequence[str]) -> dict[str, Any]:
    return {name: str(value) if name == "status" else value for name in columns for value in (getattr(order, name),)}


def _insert(fresh: Sequence[Order]) -> None:
    for order, (pk,) in zip(fresh, insert_rows(Order, [_row(order, _INSERTED) for order in fresh]), strict=True):
        order.pk = pk


# --- Lines --------------------------------------------------------------------------------------------------------


def _write_lines(rows: Mapping[int, OrderRow], fresh: set[int]) -> set[int]:
    """Replace the lines of orders that tell theirs, where they differ; ids of the orders that changed (not the fresh ones)."""
    telling = {pk: row.lines for pk, row in rows.items() if row.lines is not None}
    if not telling:
        return set()
    products = products_of(line for lines in telling.values() for line in lines)
    standing: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for line in OrderLine.objects.filter(order_id__in=set(telling) - fresh).order_by("position"):
        standing[line.order_id].append((line.product_id, line.name, line.quantity, line.amount_minor))
    wanted = {
        pk: [
            (products.get(line.product_code), clean_text(line.name, 120), line.quantity, line.amount_minor)
            for line in lines
        ]
        for pk, lines in telling.items()
    }
    changed = {pk for pk, lines in wanted.items() if lines != standing[pk]}
    if changed - fresh:
        OrderLine.objects.filter(order_id__in=changed - fresh).delete()
    insert_rows(OrderLine, [
        {"order_id": pk, "position": position, "product_id": product, "name": name, "quantity": quantity, "amount_minor": amount}
        for pk in sorted(changed)
        for position, (product, name, quantity, amount) in enumerate(wanted[pk])
    ])  # fmt: skip
    return changed - fresh


__all__ = ["LineRow", "OrderRow", "RefundRow", "Report", "upsert_orders"]
