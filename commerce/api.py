"""/api/v1/orders/: read them, and bring them in by batches."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import ReadViewSet
from commerce.models import Order, OrderLine, Refund
from commerce.services.orders import upsert_orders
from commerce.services.refunds import LateRefund, upsert_refunds
from commerce.services.rows import LineRow, OrderRow, RefundRow
from contacts.models import Member, Store
from contacts.phones import normalise_phone

MAX_BATCH = 500
_MONEY = {"min_value": 0, "max_value": 10**12}


class LineData(serializers.ModelSerializer[OrderLine]):
    """A line: amount_minor is what all pieces cost. category: of the product, kept where it is left out."""

    product_code = serializers.CharField(
        source="product.code", max_length=64, required=False, allow_blank=True, default=""
    )
    category = serializers.CharField(
        source="product.category", max_length=60, required=False, allow_blank=True, default=""
    )
    amount_minor = serializers.IntegerField(**_MONEY)

    class Meta:
        model = OrderLine
        fields = ("name", "quantity", "amount_minor", "product_code", "category")


class RefundData(serializers.ModelSerializer[Refund]):
    """A refund, by its number within the source."""

    amount_minor = serializers.IntegerField(min_value=1, max_value=10**12)

    class Meta:
        model = Refund
        fields = ("number", "amount_minor", "refunded_at")


class OrderData(serializers.ModelSerializer[Order]):
    """An order. Money: integer minor units (fen). contact_id is null until it is bound."""

    store = serializers.SlugRelatedField("code", read_only=True)
    member = serializers.SlugRelatedField("userid", read_only=True)
    lines = LineData(many=True, read_only=True)
    refunds = RefundData(many=True, read_only=True)

    class Meta:
        model = Order
        fields = (
            "id", "source", "number", "status", "currency", "total_minor", "refunded_minor", "ordered_at", "contact_id", "bound_by",
            "bound_at", "store", "member", "lines", "refunds", "updated_at",
        )  # fmt: skip


class OrderForm(serializers.Serializer[Any]):
    """One order of a batch. The buyer is found by external_userid, unionid, then phone. store: its code; member: a userid."""

    number = serializers.CharField(max_length=64)
    total_minor = serializers.IntegerField(**_MONEY)
    ordered_at = serializers.DateTimeField()
    currency = serializers.ChoiceField(["CNY", "HKD", "USD", "TWD", "MOP", "SGD", "JPY", "EUR", "GBP"], default="CNY")
    status = serializers.ChoiceField(["paid", "cancelled"], default="paid")
    phone = serializers.CharField(max_length=24, required=False, allow_blank=True, default="")
    unionid = serializers.CharField(max_length=130, required=False, allow_blank=True, default="")
    external_userid = serializers.CharField(max_length=130, required=False, allow_blank=True, default="")
    store = serializers.CharField(max_length=32, required=False, allow_blank=True, default="")
    member = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")
    lines = LineData(many=True, required=False)
    refunds = RefundData(many=True, required=False)

    def validate_phone(self, value: str) -> str:
        phone = normalise_phone(value) if value else ""
        if value and not phone:
            raise serializers.ValidationError(_("不是有效的手机号"))
        return phone


class BatchForm(serializers.Serializer[Any]):
    """Up to 500 orders of one source."""

    source = serializers.RegexField(r"^[\w\-]{1,24}$", default="api")
    orders = OrderForm(many=True, allow_empty=False, max_length=MAX_BATCH)


class BatchReport(serializers.Serializer[Any]):
    """What became of them, by number; rejected gives the reason. created + updated + unchanged + rejected = orders given."""

    created = serializers.ListField(child=serializers.CharField())
    updated = serializers.ListField(child=serializers.CharField())
    unchanged = serializers.ListField(child=serializers.CharField())
    rejected = serializers.DictField(child=serializers.CharField())
    unbound = serializers.IntegerField()


class LateRefundForm(serializers.ModelSerializer[Refund]):
    """A refund that names its order, which may come later."""

    amount_minor = serializers.IntegerField(min_value=1, max_value=10**12)

    class Meta:
        model = Refund
        fields = ("order_number", "number", "amount_minor", "refunded_at")


class RefundBatchForm(serializers.Serializer[Any]):
    """Up to 500 refunds of one source."""

    source = serializers.RegexField(r"^[\w\-]{1,24}$", default="api")
    refunds = LateRefundForm(many=True, allow_empty=False, max_length=MAX_BATCH)


class RefundBatchReport(serializers.Serializer[Any]):
    """What became of them, by number: counted (the order is known), waiting for the order, or rejected with the reason."""

    counted = serializers.ListField(child=serializers.CharField())
    waiting = serializers.ListField(child=serializers.CharField())
    rejected = serializers.DictField(child=serializers.CharField())


class OrderViewSet(ReadViewSet):
    """Orders, newest first. ?source=, ?number=, ?contact_id=, ?bound=no."""

    required_scope = "orders"
    serializer_class = OrderData
    queryset = Order.objects.none()

    def get_queryset(self) -> Any:
        orders = Order.objects.select_related("store", "member").prefetch_related("lines__product", "refunds")
        query = self.request.query_params
        for parameter in ("source", "number"):
            if query.get(parameter):
                orders = orders.filter(**{parameter: query[parameter]})
        contact = query.get("contact_id", "")
        if contact:
            orders = (
                orders.filter(contact_id=int(contact)) if contact.isdecimal() and len(contact) < 19 else orders.none()
            )
        return orders.filter(contact__isnull=True) if query.get("bound") == "no" else orders

    @extend_schema(parameters=[OpenApiParameter(name) for name in ("source", "number", "contact_id", "bound")])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=BatchForm, responses=BatchReport)
    def create(self, request: Request) -> Response:
        """Create or update up to 500 orders; good ones come in, bad ones are told with their reason."""
        form = BatchForm(data=request.data)
        form.is_valid(raise_exception=True)
        rows, refused = _rows(form.validated_data["orders"])
        report = upsert_orders(
            rows, source=form.validated_data["source"], by=self.actor, fact_source="api", collect=True
        )
        report.rejected |= refused
        return Response(BatchReport(report).data)

    @extend_schema(request=RefundBatchForm, responses=RefundBatchReport)
    def refund(self, request: Request) -> Response:
        """Take up to 500 refunds apart from their orders; one whose order is not known yet waits for it."""
        form = RefundBatchForm(data=request.data)
        form.is_valid(raise_exception=True)
        rows = [
            LateRefund(one["order_number"], RefundRow(one["number"], one["amount_minor"], one["refunded_at"]))
            for one in form.validated_data["refunds"]
        ]
        report = upsert_refunds(rows, source=form.validated_data["source"], by=self.actor, fact_source="api")
        return Response(RefundBatchReport(report).data)


def _rows(orders: list[dict[str, Any]]) -> tuple[list[OrderRow], dict[str, str]]:
    """(orders, number → reason): unknown stores and members, and numbers given twice, are refused."""
    stores = dict(
        Store.objects.filter(code__in={one["store"] for one in orders if one["store"]}).values_list("code", "pk")
    )
    members: dict[str, set[int]] = {}
    for userid, pk in Member.objects.filter(userid__in={one["member"] for one in orders if one["member"]}).values_list(
        "userid", "pk"
    ):
        members.setdefault(userid, set()).add(pk)
    rows: dict[str, OrderRow] = {}
    refused: dict[str, str] = {}
    for one in orders:
        number = one["number"]
        found = members.get(one["member"], set())
        if number in rows or number in refused:
            rows.pop(number, None)
            refused[number] = _("同一批里订单号重复")
        elif one["store"] and one["store"] not in stores:
            refused[number] = _("没有门店编码 %(code)s") % {"code": one["store"]}
        elif one["member"] and len(found) != 1:
            refused[number] = _("没有唯一的成员账号 %(userid)s") % {"userid": one["member"]}
        else:
            rows[number] = _row(one, stores.get(one["store"]), next(iter(found), None))
    return list(rows.values()), refused


def _row(one: dict[str, Any], store_id: int | None, member_id: int | None) -> OrderRow:
    lines, refunds = one.get("lines"), one.get("refunds")
    return OrderRow(
        number=one["number"], total_minor=one["total_minor"], ordered_at=one["ordered_at"], currency=one["currency"],
        status=one["status"], phone=one["phone"], unionid=one["unionid"], external_userid=one["external_userid"],
        store_id=store_id, member_id=member_id,
        lines=None if lines is None else tuple(
            LineRow(
                line["name"], line["quantity"], line["amount_minor"], line.get("product", {}).get("code", ""),
                line.get("product", {}).get("category", ""),
            )
            for line in lines
        ),
        refunds=None if refunds is None else tuple(RefundRow(**refund) for refund in refunds),
    )  # fmt: skip
