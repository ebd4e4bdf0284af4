"""Condition fields about orders. Money: minor units. An order, its lines and its refunds come by the same writers, under one mark."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet
from django.utils.translation import gettext_lazy as _

from commerce.models import Order, OrderLine, Product, Refund
from commerce.services.products import CATEGORY_MARK
from conditions.operators import ValueType
from conditions.people import branches
from conditions.registry import Field, Option, Text, Trait, register
from conditions.tree import Leaf
from contacts.conditionfields import options
from contacts.queries import visible_members, visible_stores
from scrm.lib.db.distinct import distinct_texts

GROUP = _("消费")
_MARK = "order"
_SHOWN_SOURCES = 50


# --- What exists -------------------------------------------------------------------------------------------------


def _sources() -> list[Option]:
    return [Option(source, source) for source in distinct_texts(Order, "source", _SHOWN_SOURCES)]


def _refund_sources() -> list[Option]:
    return [Option(source, source) for source in distinct_texts(Refund, "source", _SHOWN_SOURCES)]


def _products() -> list[Option]:
    rows = Product.objects.order_by("category", "name", "pk").values_list("pk", "name", "code", "category")
    return [Option(pk, f"{name}({code})" if name != code else name, category) for pk, name, code, category in rows]


def _categories() -> list[Option]:
    names = Product.objects.exclude(category="").order_by("category").values_list("category", flat=True).distinct()
    return [Option(name, name) for name in names]


def _no_category() -> Text:
    if Product.objects.exclude(category="").exists():
        return ""
    return _("商品还没有品类,请在订单文件里加上「商品品类」一列,或用接口传入")


# --- Rows --------------------------------------------------------------------------------------------------------


def _paid() -> QuerySet[Any]:
    """Orders that stand: cancelled and wholly refunded ones do not count as bought."""
    return Order.objects.filter(status=Order.Status.PAID, contact__isnull=False)


def _lines() -> QuerySet[Any]:
    return OrderLine.objects.filter(order__status=Order.Status.PAID, order__contact__isnull=False)


def _category_lines() -> QuerySet[Any]:
    return _lines().filter(product__category__gt="")


def _refunds() -> QuerySet[Any]:
    return Refund.objects.filter(order__contact__isnull=False)


def _line_keys(leaf: Leaf) -> Iterable[str]:
    return (_MARK, CATEGORY_MARK) if "category" in (leaf.where or {}) else (_MARK,)


# --- For one person's facts --------------------------------------------------------------------------------------


def _read_orders(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for order in Order.objects.filter(contact_id__in=list(root_of)):
        if order.status == "paid" and order.contact_id:
            found[root_of[order.contact_id]].append((order.ordered_at, order.net_minor))
    return found


def _bought(root_ids: Sequence[int]) -> Iterable[tuple[int, OrderLine]]:
    root_of = branches(root_ids)
    rows = OrderLine.objects.filter(order__contact_id__in=list(root_of)).select_related("order", "product")
    for line in rows:
        if line.order.status == "paid" and line.order.contact_id:
            yield root_of[line.order.contact_id], line


def _read_lines(root_ids: Sequence[int]) -> Mapping[int, Any]:
    found: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for root_id, line in _bought(root_ids):
        found[root_id].append((line.order.ordered_at, line.amount_minor))
    return found


def _read_categories(root_ids: Sequence[int]) -> Mapping[int, Any]:
    found: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for root_id, line in _bought(root_ids):
        if line.product is not None and line.product.category != "":
            found[root_id].append((line.product.category, line.order.ordered_at))
    return found


def _read_refunds(root_ids: Sequence[int]) -> Mapping[int, Any]:
    root_of = branches(root_ids)
    found: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for refund in Refund.objects.filter(order__contact_id__in=list(root_of)).select_related("order"):
        if refund.order is not None and refund.order.contact_id:
            found[root_of[refund.order.contact_id]].append((refund.refunded_at, refund.amount_minor))
    return found


# --- The fields --------------------------------------------------------------------------------------------------

FIELDS = (
    Field(
        "order", _("订单"), GROUP, ValueType.FACTS, read=_read_orders, rows=_paid, at="ordered_at",
        amount=F("total_minor") - F("refunded_minor"), unit=_("单"), order=10, permissions=("orders.view",),
        traits=(
            Trait("store", _("下单门店"), "store", options.stores, offered=visible_stores),
            Trait("member", _("业绩导购"), "member", options.members, offered=visible_members),
            Trait("source", _("订单来源"), "source", _sources),
        ),
    ),
    Field(
        "order.line", _("买过的商品"), GROUP, ValueType.FACTS, read=_read_lines, rows=_lines, person="order__contact",
        at="order__ordered_at", amount=F("amount_minor"), unit=_("次"), order=20, permissions=("orders.view",),
        dirty_keys=_line_keys,
        traits=(
            Trait("product", _("商品"), "product", _products),
            Trait("category", _("品类"), "product__category", _categories),
            Trait("store", _("下单门店"), "order__store", options.stores, offered=visible_stores),
            Trait("source", _("订单来源"), "order__source", _sources),
        ),
    ),
    Field(
        "order.category", _("买过的品类"), GROUP, ValueType.SET, read=_read_categories, rows=_category_lines,
        person="order__contact", value="product__category", at="order__ordered_at", options=_categories,
        dirty_keys=(_MARK, CATEGORY_MARK), unavailable=_no_category, order=30, permissions=("orders.view",),
    ),
    Field(
        "order.refund", _("退款"), GROUP, ValueType.FACTS, read=_read_refunds, rows=_refunds, person="order__contact",
        at="refunded_at", amount=F("amount_minor"), unit=_("笔"), order=40, permissions=("orders.view",), dirty_keys=(_MARK,),
        traits=(Trait("source", _("退款来源"), "source", _refund_sources),),
    ),
)  # fmt: skip


def fill() -> None:
    """Register them, in AppConfig.ready()."""
    register(*FIELDS)
