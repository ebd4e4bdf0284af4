"""Whose order it is: by external_userid, then unionid, then phone. A key that names two people names nobody."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from django.db import transaction
from django.db.models import Q

from commerce import changes
from commerce.changes import OrderChange
from commerce.models import Order
from commerce.services.attribution import attribute
from commerce.services.facts import record_orders
from contacts import marks
from contacts.arrivals import NewKey
from contacts.models import Contact, ContactPhone, Identity
from contacts.timeline import roots_of
from scrm.lib import clock
from scrm.lib.db.bulk import update_rows
from scrm.lib.errors import UserError
from tenants import audit, locks
from tenants.audit import Actor

BATCH = 500
_COLUMNS = {"external": "buyer_external_userid", "unionid": "buyer_unionid", "phone": "buyer_phone"}


class Keyed(Protocol):
    """An order, stored or about to be."""

    buyer_external_userid: str
    buyer_unionid: str
    buyer_phone: str


def find_people(orders: Sequence[Keyed]) -> list[tuple[int, str] | None]:
    """Per order: (contact id, by which key), or None. Two queries.

    The contact is the one that carries the key, so that undoing a merge gives the order back to it.
    """
    owners = _owners_of(orders)
    return [_choose(order, owners) for order in orders]


def _choose(order: Keyed, owners: Mapping[tuple[str, str], int | None]) -> tuple[int, str] | None:
    for kind, label in (("external", "external_userid"), ("unionid", "unionid"), ("phone", "phone")):
        contact_id = owners.get((kind, getattr(order, _COLUMNS[kind])))
        if contact_id:
            return contact_id, label
    return None


def _owners_of(orders: Sequence[Keyed]) -> dict[tuple[str, str], int | None]:
    """(kind, value) → the contact, None where the value is on several people."""
    values = {
        kind: {value for order in orders if (value := getattr(order, column))} for kind, column in _COLUMNS.items()
    }
    found: dict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
    wanted = Q(kind=Identity.Kind.EXTERNAL_USERID, value__in=values["external"]) | Q(
        kind=Identity.Kind.UNIONID, value__in=values["unionid"]
    )
    if values["external"] or values["unionid"]:
        rows = Identity.objects.filter(wanted).values_list("kind", "value", "contact_id", "contact__root_id")
        for kind, value, contact_id, root_id in rows:
            found[kind, value].add((root_id or contact_id, contact_id))
    if values["phone"]:
        phones = ContactPhone.objects.filter(phone__in=values["phone"])
        for phone, contact_id, root_id in phones.values_list("phone", "contact_id", "contact__root_id"):
            found["phone", phone].add((root_id or contact_id, contact_id))
    return {
        key: min(contact_id for _root, contact_id in owners) if len({root for root, _pk in owners}) == 1 else None
        for key, owners in found.items()
    }


def bind_orders(orders: Sequence[Order], *, now: datetime) -> list[Order]:
    """Bind those of these unbound orders that can be, attribute them, record their facts; the ones bound."""
    found = find_people(orders)
    bound = []
    for order, person in zip(orders, found, strict=True):
        if person is not None and order.contact_id is None:
            order.contact_id, order.bound_by = person
            order.bound_at = order.updated_at = now
            bound.append(order)
    _save_bound(bound)
    return bound


def _save_bound(bound: Sequence[Order]) -> None:
    if not bound:
        return
    attribute(bound)
    update_rows(Order, [_bound_row(order) for order in bound])
    record_orders(bound, source="product")
    changes.tell([OrderChange(order.pk, order.contact_id, order.ordered_at) for order in bound])
    marks.mark(roots_of(order.contact_id for order in bound if order.contact_id).values(), "order")


def _bound_row(order: Order) -> dict[str, Any]:
    columns = (
        "id",
        "contact_id",
        "bound_by",
        "bound_at",
        "store_id",
        "store_source",
        "region_id",
        "dealer_id",
        "member_id",
        "member_source",
        "updated_at",
    )
    return {column: getattr(order, column) for column in columns}


def on_new_keys(keys: Sequence[NewKey]) -> None:
    """Keys appeared on people: their waiting orders bind. Runs in the transaction in which they appeared."""
    condition = Q()
    for kind, column in _COLUMNS.items():
        values = {key.value for key in keys if key.kind == kind}
        if values:
            condition |= Q(**{f"{column}__any_of": values}) & ~Q(**{column: ""})
    if not condition:
        return
    # Shared among those who bring keys; who writes orders holds it alone. Else an order and its buyer that commit side by side
    # would never see each other.
    locks.lock_in_transaction("orders", shared=True)
    waiting = list(Order.objects.select_for_update(of=("self",)).filter(condition, contact__isnull=True).order_by("pk"))
    if waiting:
        bind_orders(waiting, now=clock.now())


@transaction.atomic
def bind_by_hand(order_id: int, contact_id: int, *, by: Actor) -> Order:
    """A person says whose order it is. Raises UserError when it is bound already."""
    order = Order.objects.select_for_update(of=("self",)).get(pk=order_id)
    if order.contact_id is not None:
        raise UserError("这笔订单已绑定客户,不能再次绑定。")
    contact = Contact.objects.get(pk=contact_id)
    now = clock.now()
    order.contact_id, order.bound_by, order.bound_at, order.updated_at = contact.pk, "manual", now, now
    _save_bound([order])
    audit.record("order.bound", order, by=by, contact=contact.pk)
    return order


@transaction.atomic
def bind_waiting(after_id: int = 0) -> tuple[int, int, int | None]:
    """Try a batch of unbound orders again: (looked at, bound, id to go on after or None at the end)."""
    locks.lock_in_transaction("orders")
    unbound = Order.objects.select_for_update(of=("self",)).filter(contact__isnull=True, pk__gt=after_id)
    rows = list(unbound.order_by("pk")[:BATCH])
    bound = bind_orders(rows, now=clock.now())
    return len(rows), len(bound), rows[-1].pk if len(rows) == BATCH else None


def phones_on_two_people(phones: Iterable[str]) -> set[str]:
    """Of these phones, those that two or more people (roots) carry: listed as 待合并."""
    roots: dict[str, set[int]] = defaultdict(set)
    rows = ContactPhone.objects.filter(phone__in=set(phones)).values_list("phone", "contact_id", "contact__root_id")
    for phone, contact_id, root_id in rows:
        roots[phone].add(root_id or contact_id)
    return {phone for phone, found in roots.items() if len(found) > 1}
