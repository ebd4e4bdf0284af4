"""Refunds, by source and number: with their order, after it, or before it. One that comes first waits under the order's
number and counts as soon as the order arrives."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from commerce import changes
from commerce.changes import OrderChange
from commerce.models import Order, Refund
from commerce.services.facts import record_orders
from commerce.services.rows import OrderRow, RefundRow
from contacts import marks
from contacts.timeline import roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import insert_rows, update_rows
from scrm.lib.errors import UserError
from tenants import audit, locks
from tenants.audit import Actor


@dataclass(frozen=True)
class LateRefund:
    """A refund told apart from its order."""

    order_number: str
    refund: RefundRow


@dataclass
class RefundReport:
    """What became of refunds, by number: given = counted (their order is known) + waiting + rejected (with the reason)."""

    counted: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)


class RefundBook:
    """The refunds known of some orders of a source, waiting ones too, and whose each number is."""

    def __init__(self, source: str, rows: Iterable[Refund]) -> None:
        self.source = source
        self._of_order: dict[str, dict[str, Refund]] = defaultdict(dict)
        self._homes: dict[str, str] = {}
        for refund in rows:
            self._of_order[refund.order_number][refund.number] = refund
            self._homes[refund.number] = refund.order_number

    @classmethod
    def of(cls, source: str, given: Mapping[str, Sequence[RefundRow]]) -> "RefundBook":
        """given: order number → the refunds that came for it. One query."""
        numbers = {refund.number for refunds in given.values() for refund in refunds}
        wanted = Q(order_number__in=list(given)) | Q(number__in=numbers)
        return cls(source, Refund.objects.filter(wanted, source=source))

    def total(self, order_number: str, given: Sequence[RefundRow]) -> int:
        """Minor units refunded of an order once `given` is in. Raises UserError for a number that is another order's."""
        for refund in given:
            if self._homes.get(refund.number, order_number) != order_number:
                raise UserError(
                    _("退款单号 %(refund)s 已属于订单 %(order)s。")
                    % {"refund": refund.number, "order": self._homes[refund.number]}
                )
        amounts = {number: known.amount_minor for number, known in self._of_order[order_number].items()}
        return sum((amounts | {refund.number: refund.amount_minor for refund in given}).values())

    def claim(self, order_number: str, given: Sequence[RefundRow]) -> None:
        """These numbers are this order's, for the rest of the batch."""
        self._homes |= {refund.number: order_number for refund in given}

    def write(self, given: Mapping[str, Sequence[RefundRow]], order_ids: Mapping[str, int]) -> set[int]:
        """Insert, change and bind refunds; ids of the orders that gained or changed one."""
        fresh, changed, touched = [], [], set()
        for number, refunds in given.items():
            order_id = order_ids.get(number)
            told = {refund.number: refund for refund in refunds}
            for known in self._of_order[number].values():
                news = told.pop(known.number, None)
                row = {
                    "id": known.pk,
                    "order_id": order_id,
                    "amount_minor": news.amount_minor if news else known.amount_minor,
                    "refunded_at": news.refunded_at if news else known.refunded_at,
                }
                if any(getattr(known, column) != value for column, value in row.items()):
                    changed.append(row)
                    touched.add(order_id)
            for refund in told.values():
                fresh.append(_new(self.source, number, order_id, refund))
                touched.add(order_id)
        insert_rows(Refund, fresh)
        update_rows(Refund, changed)
        return {pk for pk in touched if pk is not None}


def refunds_of(rows: Mapping[str, OrderRow]) -> dict[str, tuple[RefundRow, ...]]:
    """Order number → the refunds its row tells."""
    return {number: row.refunds or () for number, row in rows.items()}


def settle(order: Order, refunded: int) -> None:
    """The order with so much refunded of it, in memory. Raises UserError above the total."""
    if refunded > order.total_minor:
        raise UserError(_("订单 %(number)s 的退款金额大于实付金额。") % {"number": order.number})
    order.refunded_minor = refunded
    if order.status != Order.Status.CANCELLED:
        is_whole = 0 < order.total_minor == refunded
        order.status = Order.Status.REFUNDED if is_whole else Order.Status.PAID


@transaction.atomic
def upsert_refunds(rows: Sequence[LateRefund], *, source: str, by: Actor, fact_source: str = "import") -> RefundReport:
    """Take refunds that come without their order. Idempotent, set-based; the last of a number given twice wins.

    Where an order's refunds exceed its total, or one carries a number of another order, those of this order are told in the
    report; the others come in.
    """
    locks.lock_in_transaction("orders")
    given: dict[str, list[RefundRow]] = defaultdict(list)
    for row in {row.refund.number: row for row in rows}.values():
        given[row.order_number].append(row.refund)
    found = Order.objects.select_for_update(of=("self",)).filter(source=source, number__in=list(given))
    orders = {order.number: order for order in found}
    book, report = RefundBook.of(source, given), RefundReport()
    for number, refunds in list(given.items()):
        names = [refund.number for refund in refunds]
        try:
            total = book.total(number, refunds)
            if number in orders:
                settle(orders[number], total)
        except UserError as error:
            report.rejected |= dict.fromkeys(names, error.message)
            del given[number]
            continue
        (report.counted if number in orders else report.waiting).extend(names)
    touched = book.write(given, {number: order.pk for number, order in orders.items()})
    _note([order for order in orders.values() if order.pk in touched], fact_source)
    audit.record("refunds.taken", by=by, source=source, counted=len(report.counted), waiting=len(report.waiting))
    return report


def _note(orders: Sequence[Order], fact_source: str) -> None:
    now = clock.now()
    update_rows(Order, [_money(order, now) for order in orders])
    record_orders(orders, source=fact_source)
    changes.tell([OrderChange(o.pk, o.contact_id, o.ordered_at, o.ordered_at) for o in orders])
    marks.mark(roots_of(order.contact_id for order in orders if order.contact_id).values(), "order")


def _money(order: Order, now: Any) -> dict[str, Any]:
    return {"id": order.pk, "refunded_minor": order.refunded_minor, "status": str(order.status), "updated_at": now}


def _new(source: str, order_number: str, order_id: int | None, refund: RefundRow) -> dict[str, Any]:
    return {
        "source": source, "order_number": order_number, "order_id": order_id, "number": refund.number,
        "amount_minor": refund.amount_minor, "refunded_at": refund.refunded_at,
    }  # fmt: skip
