"""Orders come in, come again, and find their people now or later."""

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from commerce.models import Order, OrderLine, Product, Refund
from commerce.services.binding import bind_by_hand, bind_waiting
from commerce.services.orders import upsert_orders
from commerce.services.rows import LineRow, RefundRow
from conditions.models import DirtyMark
from contacts.models import Contact, ContactPhone, OwnershipChange, TimelineEvent
from contacts.services.ownership import assign_owner
from contacts.services.phones import add_phones
from scrm.lib import clock
from scrm.lib.errors import UserError
from tenants.audit import SYSTEM
from tests.support.commerce import make_order, order_row
from tests.support.contacts import (
    at,
    follow_info,
    make_contact,
    make_corp,
    make_dealer,
    make_follow,
    make_identity,
    make_member,
    make_region,
    make_store,
    people_batch,
    person_row,
)
from tests.support.core import in_thread
from wecom_bridge.contracts import handlers_for

pytestmark = pytest.mark.django_db


def add_phone(contact: Contact, phone: str = "+8613800000001") -> None:
    ContactPhone.objects.create(contact=contact, phone=phone, source="manual", created_at=at(0))


def test_the_same_order_twice_is_one_order() -> None:
    row = order_row(lines=(LineRow("修护精华", Decimal("1"), 10_000, "SKU1"),))
    first = upsert_orders([row], source="pos", by=SYSTEM)
    again = upsert_orders([row], source="pos", by=SYSTEM)

    assert (first.created, again.unchanged) == ([row.number], [row.number])
    assert (Order.objects.count(), OrderLine.objects.count(), Product.objects.count()) == (1, 1, 1)


def test_a_refund_later_updates_the_order_and_a_full_one_its_status() -> None:
    contact = make_follow(added_at=at(0)).contact
    order = make_order(contact, number="A1")
    upsert_orders(
        [order_row(number="A1", external_userid="", refunds=(RefundRow("R1", 4_000, at(90)),))], source="pos", by=SYSTEM
    )
    order.refresh_from_db()
    assert (order.refunded_minor, order.net_minor, order.status) == (4_000, 6_000, "paid")

    report = upsert_orders([order_row(number="A1", refunds=(RefundRow("R2", 6_000, at(95)),))], source="pos", by=SYSTEM)
    order.refresh_from_db()
    assert (report.updated, order.refunded_minor, order.status) == (["A1"], 10_000, "refunded")
    assert list(TimelineEvent.objects.filter(contact=contact).order_by("occurred_at").values_list("kind", flat=True)) == [
        "order.paid", "order.refunded", "order.refunded",
    ]  # fmt: skip
    assert Refund.objects.count() == 2


def test_refunds_above_the_total_are_refused() -> None:
    with pytest.raises(UserError, match="退款金额大于实付金额"):
        upsert_orders([order_row(refunds=(RefundRow("R1", 10_001, at(90)),))], source="pos", by=SYSTEM)
    assert Order.objects.count() == 0


def test_external_userid_wins_over_unionid_over_phone() -> None:
    corp = make_corp(open_account="open1")
    by_id, by_union, by_phone = make_contact(), make_contact(), make_contact()
    external = make_identity(by_id, corp=corp).value
    union = make_identity(by_union, corp=corp, kind="unionid").value
    add_phone(by_phone)
    keys = {"external_userid": external, "unionid": union, "phone": "+8613800000001"}

    bound = []
    for missing in ((), ("external_userid",), ("external_userid", "unionid")):
        row = order_row(**{key: value for key, value in keys.items() if key not in missing})
        upsert_orders([row], source="pos", by=SYSTEM)
        order = Order.objects.get(number=row.number)
        bound.append((order.contact_id, order.bound_by))

    assert bound == [(by_id.pk, "external_userid"), (by_union.pk, "unionid"), (by_phone.pk, "phone")]


def test_a_phone_on_two_people_binds_nothing_until_they_are_one() -> None:
    first, second = make_contact(), make_contact()
    add_phone(first)
    add_phone(second)
    upsert_orders([order_row(number="A1", phone="+8613800000001")], source="pos", by=SYSTEM)
    assert Order.objects.get().contact_id is None
    assert TimelineEvent.objects.count() == 0

    second.root = first
    second.save(update_fields=["root"])

    assert bind_waiting() == (1, 1, None)
    assert Order.objects.get().contact_id == first.pk


def test_an_order_binds_when_the_phone_appears_in_a_remark() -> None:
    upsert_orders([order_row(phone="+8613812345678")], source="pos", by=SYSTEM)
    make_member(userid="lin", store=make_store())

    info = follow_info("lin", at(0), remark_mobiles=("13812345678",))
    for handler in handlers_for("people"):
        handler(people_batch(person_row("wm1", info), read_at=at(200)))

    order = Order.objects.get()
    assert (order.contact_id, order.bound_by) == (Contact.objects.get().pk, "phone")
    assert order.member.userid == "lin"
    assert TimelineEvent.objects.filter(kind="order.paid", contact_id=order.contact_id).count() == 1


def test_an_order_binds_when_its_external_userid_appears() -> None:
    upsert_orders([order_row(external_userid="wm9")], source="pos", by=SYSTEM)
    for handler in handlers_for("people"):
        handler(people_batch(person_row("wm9", follow_info("lin", at(0))), read_at=at(1)))
    assert Order.objects.get().bound_by == "external_userid"


def test_credit_goes_to_the_owner_and_store_of_then() -> None:
    region, dealer = make_region(), make_dealer()
    old, new = make_store(region=region, dealer=dealer), make_store()
    lin, mei = make_member(store=old), make_member(store=new)
    contact = make_contact()
    make_follow(contact, lin, added_at=at(0))
    make_follow(contact, mei, added_at=at(5))
    assign_owner([contact.pk], lin, by=SYSTEM, at=at(0), must_be_friend=False)
    contact.owner = None
    contact.save()
    assign_owner([contact.pk], lin, by=SYSTEM, at=at(1))
    assign_owner([contact.pk], mei, by=SYSTEM, at=at(100))

    before, after = make_order(contact, ordered_at=at(60)), make_order(contact, ordered_at=at(160))

    assert (before.member_id, before.store_id, before.region_id, before.dealer_id) == (
        lin.pk,
        old.pk,
        region.pk,
        dealer.pk,
    )
    assert (after.member_id, after.store_id) == (mei.pk, new.pk)


def test_what_the_source_says_stands() -> None:
    contact = make_follow(added_at=at(0)).contact
    shop = make_store()
    assert make_order(contact, store_id=shop.pk).store_id == shop.pk


def test_an_export_without_the_phone_takes_nothing_away() -> None:
    upsert_orders([order_row(number="A1", phone="+8613800000001")], source="pos", by=SYSTEM)
    report = upsert_orders([order_row(number="A1")], source="pos", by=SYSTEM)
    assert report.unchanged == ["A1"]
    assert Order.objects.get().buyer_phone == "+8613800000001"


def test_binding_by_hand_is_once_and_audited(actor: object) -> None:
    upsert_orders([order_row()], source="pos", by=SYSTEM)
    contact = make_contact()
    order = bind_by_hand(Order.objects.get().pk, contact.pk, by=actor)
    assert (order.contact_id, order.bound_by) == (contact.pk, "manual")
    with pytest.raises(UserError):
        bind_by_hand(order.pk, make_contact().pk, by=actor)


def test_many_orders_cost_as_many_statements_as_few() -> None:
    contact = make_follow(added_at=at(0)).contact
    external = contact.identities.get().value

    def cost(size: int) -> int:
        rows = [
            order_row(
                external_userid=external,
                lines=(LineRow("面膜", Decimal(2), 10_000, "SKU"),),
                refunds=(RefundRow(f"R{size}-{index}", 1, at(99)),),
            )
            for index in range(size)
        ]
        with CaptureQueriesContext(connection) as captured:
            upsert_orders(rows, source="pos", by=SYSTEM)
        return len(captured)

    cost(1)
    assert cost(60) == cost(200)


def test_an_order_says_whether_its_guide_and_store_were_named_or_derived() -> None:
    owner = make_member(store=make_store())
    contact = make_follow(member=owner, added_at=at(0)).contact
    OwnershipChange.objects.create(contact=contact, to_member=owner, changed_at=at(0), reason="first_add")
    derived = make_order(contact)
    assert (derived.member, derived.member_source) == (owner, "owner")
    assert (derived.store, derived.store_source) == (owner.store, "owner")

    seller = make_member(store=make_store())
    named = make_order(contact, member_id=seller.pk)
    assert (named.member_source, named.store, named.store_source) == ("explicit", seller.store, "explicit")
    nobodys = make_order()
    assert (nobodys.member_source, nobodys.store_source) == ("", "")

    # The channel names the guide later: its word replaces what was derived, the store with it.
    upsert_orders([order_row(number=derived.number, member_id=seller.pk)], source="pos", by=SYSTEM)
    derived.refresh_from_db()
    assert (derived.member, derived.member_source, derived.store) == (seller, "explicit", seller.store)


@pytest.mark.django_db(transaction=True)
def test_an_order_and_its_buyers_phone_that_commit_side_by_side_find_each_other(acme: Any) -> None:
    """Each looked before the other was committed: whoever brings keys waits for whoever writes orders."""
    contact = make_contact()
    wrote, may_commit = threading.Event(), threading.Event()

    def order() -> None:
        with transaction.atomic():
            upsert_orders([order_row(external_userid="", phone="+8613800000001")], source="pos", by=SYSTEM)
            wrote.set()
            may_commit.wait(10)

    def phone() -> None:
        with transaction.atomic():
            add_phones([(contact.pk, "+8613800000001", "manual")], now=clock.now())

    first = in_thread(order)
    assert wrote.wait(10)
    second = in_thread(phone)
    second.join(0.5)
    may_commit.set()
    first.result()
    second.result()

    assert Order.objects.get().contact == contact


def test_a_line_puts_its_product_into_a_category_and_marks_whoever_bought_it() -> None:
    """The first order makes the product, a later one moves it; a line that tells no category moves nothing."""
    buyer = make_follow(added_at=at(0)).contact

    def bring(number: str, category: str) -> None:
        line = LineRow("修护精华", Decimal("1"), 10_000, "SKU1", category)
        upsert_orders([order_row(number=number, lines=(line,))], source="pos", by=SYSTEM)

    upsert_orders([order_row(number="A1", external_userid=buyer.identities.get().value,
                             lines=(LineRow("修护精华", Decimal("1"), 10_000, "SKU1", "护肤"),))], source="pos", by=SYSTEM)  # fmt: skip
    assert Product.objects.get().category == "护肤"
    DirtyMark.objects.all().delete()
    bring("A2", "")
    assert not DirtyMark.objects.exists()
    bring("A3", "精华")
    assert Product.objects.get().category == "精华"
    assert set(DirtyMark.objects.values_list("contact_id", "field_key")) == {(buyer.pk, "order.category")}
