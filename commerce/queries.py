"""Orders a user may see, and what they add up to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Max, Q, QuerySet, Sum

from accounts.scope import DataScope
from commerce.models import Order
from contacts.models import Contact
from contacts.queries import family_of, own_member_ids, visible_contacts, visible_stores

COUNTED = Q(status__in=[Order.Status.PAID, Order.Status.REFUNDED])


def visible_orders(scope: DataScope) -> QuerySet[Order]:
    """Orders by the store of then, as facts are; a guide sees those credited to her and those of her customers."""
    if scope.sees_all:
        return Order.objects.all()
    condition = Q(store_id__in=scope.store_ids) | Q(region_id__in=scope.region_ids) | Q(dealer_id__in=scope.dealer_ids)
    if scope.own:
        hers = visible_contacts(DataScope(user_id=scope.user_id, own=True))
        condition |= (
            Q(member__in=own_member_ids(scope))
            | Q(contact__in=hers.values("pk"))
            | Q(contact__root__in=hers.values("pk"))
        )
    elif scope.region_ids or scope.dealer_ids:
        # A store that moved into the region brings its unattributed past along only by today's place.
        condition |= Q(store__in=visible_stores(scope), region__isnull=True, dealer__isnull=True)
    return Order.objects.filter(condition)


@dataclass(frozen=True)
class Lifetime:
    """What a person bought: number of orders (cancelled ones do not count), net of refunds per currency."""

    count: int
    net_minor: int
    currency: str
    last_at: object = None


def lifetimes_of(people: Sequence[Contact]) -> dict[int, Lifetime]:
    """Root id → lifetime value, for people with orders. Two queries. Of several currencies, the one with most orders."""
    family = family_of(person.pk for person in people)
    rows = (
        Order.objects.filter(COUNTED, contact_id__in=family)
        .values("contact_id", "currency")
        .annotate(number=Count("pk"), net=Sum(F("total_minor") - F("refunded_minor")), last=Max("ordered_at"))
    )
    totals: dict[tuple[int, str], list[Lifetime]] = {}
    for row in rows:
        key = (family[row["contact_id"]], row["currency"])
        totals.setdefault(key, []).append(Lifetime(row["number"], row["net"], row["currency"], row["last"]))
    found: dict[int, Lifetime] = {}
    for (root, currency), parts in totals.items():
        lasts = max(part.last_at for part in parts)  # type: ignore[type-var]
        whole = Lifetime(sum(p.count for p in parts), sum(p.net_minor for p in parts), currency, lasts)
        if root not in found or whole.count > found[root].count:
            found[root] = whole
    return found


def orders_of(contact: Contact) -> QuerySet[Order]:
    """A person's orders, newest first, merged branches' ones too."""
    return (
        Order.objects.filter(contact_id__in=contact.family_ids).select_related("store").order_by("-ordered_at", "-pk")
    )


def purchases_of(contact_ids: Collection[int]) -> dict[int, list[tuple[datetime, int]]]:
    """Contact → when and in which store of then she bought first and last; contacts.services.crediting. One query."""
    rows = Order.objects.filter(COUNTED, contact_id__any_of=set(contact_ids), store__isnull=False)
    found: dict[int, list[tuple[datetime, int]]] = {}
    for contact_id, at, store_id in rows.order_by("ordered_at", "pk").values_list(
        "contact_id", "ordered_at", "store_id"
    ):
        known = found.setdefault(contact_id, [])
        known[1:] = [(at, store_id)]
    return found
