"""Refunds that come without their order: before it, after it, twice, or under a number of another one."""

import pytest

from commerce.models import Order, Refund
from commerce.services.orders import upsert_orders
from commerce.services.refunds import LateRefund, upsert_refunds
from commerce.services.rows import RefundRow
from contacts.models import TimelineEvent
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tests.support.commerce import make_order, order_row
from tests.support.contacts import at, make_contact, make_identity

pytestmark = pytest.mark.django_db


def late(order_number: str, number: str, amount: int = 4_000) -> LateRefund:
    return LateRefund(order_number, RefundRow(number, amount, at(90)))


def test_a_refund_before_its_order_waits_and_counts_when_the_order_comes() -> None:
    person = make_contact()
    external = make_identity(person).value
    report = upsert_refunds([late("A1", "R1")], source="pos", by=SYSTEM)
    assert (report.waiting, Refund.objects.get().order) == (["R1"], None)
    upsert_refunds([late("A1", "R1")], source="pos", by=SYSTEM)
    assert Refund.objects.count() == 1

    upsert_orders([order_row(number="A1")], source="youzan", by=SYSTEM)  # another source's A1 is another order
    assert Refund.objects.get().order is None
    upsert_orders([order_row(number="A1", external_userid=external)], source="pos", by=SYSTEM)

    order = Order.objects.get(source="pos")
    assert (order.refunded_minor, order.status, Refund.objects.get().order) == (4_000, "paid", order)
    kinds = TimelineEvent.objects.filter(contact=person).order_by("occurred_at").values_list("kind", flat=True)
    assert list(kinds) == ["order.paid", "order.refunded"]


def test_a_refund_after_its_order_counts_at_once() -> None:
    order = make_order(make_contact())
    report = upsert_refunds([late(order.number, "R1"), late(order.number, "R2", 6_000)], source="pos", by=SYSTEM)
    order.refresh_from_db()
    assert (report.counted, order.refunded_minor, order.status) == (["R1", "R2"], 10_000, "refunded")
    assert TimelineEvent.objects.filter(kind="order.refunded").count() == 2


def test_refunds_above_the_total_or_of_another_order_are_told() -> None:
    first, second = make_order(), make_order()
    upsert_refunds([late(first.number, "R1")], source="pos", by=SYSTEM)
    third = make_order()
    rows = [late(second.number, "R1"), late(first.number, "R9", 9_000), late(third.number, "R2")]
    report = upsert_refunds(rows, source="pos", by=SYSTEM)
    assert (sorted(report.rejected), report.counted) == (["R1", "R9"], ["R2"])
    first.refresh_from_db()
    assert first.refunded_minor == 4_000

    with pytest.raises(UserError):
        upsert_orders([order_row(refunds=(RefundRow("R1", 1, at(90)),))], source="pos", by=SYSTEM)


def test_a_waiting_refund_above_the_total_keeps_the_order_out() -> None:
    upsert_refunds([late("A1", "R1", 10_001)], source="pos", by=SYSTEM)
    report = upsert_orders([order_row(number="A1")], source="pos", by=SYSTEM, collect=True)
    assert "A1" in report.rejected
    assert Order.objects.count() == 0
