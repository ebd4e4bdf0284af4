"""What a data scope covers today, for the header of every page."""

from datetime import date
from typing import Any

from django.db.models import CharField, Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from accounts.models import RoleGrant
from accounts.scope import Covered, DataScope
from contacts.models import Dealer, Region, Store
from contacts.queries import stores_of
from scrm.lib import clock
from tenants.context import current_tenant

Kind = RoleGrant.Scope


def is_open(day: date, prefix: str = "") -> Q:
    """Stores that are open on a day: 营业中, opened by then, not closed before it, not archived."""
    opened = Q(**{f"{prefix}opened_on__isnull": True}) | Q(**{f"{prefix}opened_on__lte": day})
    stays = Q(**{f"{prefix}closed_on__isnull": True}) | Q(**{f"{prefix}closed_on__gt": day})
    return Q(**{f"{prefix}is_open": True, f"{prefix}archived_at__isnull": True}) & opened & stays


def cover(scope: DataScope) -> Covered:
    """The scope's regions, dealers and stores with their open stores of today. One query."""
    day = clock.local_day(clock.now(), current_tenant().time_zone)
    together = _counted(Store.objects.filter(stores_of(scope), is_open(day)))
    parts: list[QuerySet[Any]] = []
    for kind, model, ids, path in (
        (Kind.REGION, Region, scope.region_ids, "region"),
        (Kind.DEALER, Dealer, scope.dealer_ids, "dealer"),
        (Kind.STORE, Store, scope.store_ids, "pk"),
    ):
        if ids:
            mine = _counted(Store.objects.filter(is_open(day), **{path: OuterRef("pk")}))
            named: QuerySet[Any] = model._default_manager.filter(pk__in=ids).order_by()
            columns = {"kind": Value(str(kind), CharField()), "open_here": mine, "open_together": together}
            told: Any = named.annotate(**columns)  # mypy knows no columns that a dict names
            parts.append(told.values_list("kind", "name", "open_here", "open_together"))
    if not parts:
        return Covered([], 0)
    order = [Kind.REGION, Kind.DEALER, Kind.STORE]
    rows = list(parts[0].union(*parts[1:], all=True))
    rows.sort(key=lambda row: (order.index(row[0]), row[1]))
    return Covered([(kind, name, here) for kind, name, here, _all in rows], rows[0][3] if rows else 0)


def _counted(stores: QuerySet[Store]) -> Any:
    one = stores.order_by().annotate(one=Value(1)).values("one").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(one, output_field=IntegerField()), 0)
