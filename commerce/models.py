"""Orders, refunds and products, bound to people now or whenever the person appears. Money: integer minor units."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact, Dealer, Member, Region, Store


class Product(models.Model):
    """A product of the merchant, by its own code."""

    code = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=60, default="", blank=True)
    is_active = models.BooleanField(default=True)

    NOT_PERSONAL = ("code", "name", "category")

    def __str__(self) -> str:
        return self.name


class CreditSource(models.TextChoices):
    """Why an order counts for a guide or a store; empty: for none."""

    EXPLICIT = "explicit", _("订单来源写明")
    OWNER = "owner", _("下单时的归属导购")
    LAST_TOUCH = "last_touch", _("最近一次触达")


class Order(models.Model):
    """A paid order, by source and number. The buyer's keys are kept so that it can bind later."""

    class Status(models.TextChoices):
        PAID = "paid", _("已支付")
        REFUNDED = "refunded", _("已全额退款")
        CANCELLED = "cancelled", _("已取消")

    source = models.CharField(max_length=24)  # pos, youzan, taobao, api …
    number = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PAID)
    currency = models.CharField(max_length=3)
    total_minor = models.BigIntegerField()  # what was paid, before refunds
    refunded_minor = models.BigIntegerField(default=0)
    ordered_at = models.DateTimeField()
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="orders", db_index=False
    )
    bound_by = models.CharField(max_length=16, default="", blank=True)  # external_userid, unionid, phone, manual
    bound_at = models.DateTimeField(null=True, blank=True)
    buyer_phone = models.CharField(max_length=20, default="", blank=True)  # E.164
    buyer_unionid = models.CharField(max_length=130, default="", blank=True)
    buyer_external_userid = models.CharField(max_length=130, default="", blank=True)
    # As of the order. member_source and store_source say whether the channel named them or they were derived.
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    region = models.ForeignKey(
        Region, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    dealer = models.ForeignKey(
        Dealer, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    member = models.ForeignKey(
        Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    member_source = models.CharField(max_length=10, choices=CreditSource.choices, default="", db_default="", blank=True)
    store_source = models.CharField(max_length=10, choices=CreditSource.choices, default="", db_default="", blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    PERSONAL = ("buyer_phone", "buyer_unionid", "buyer_external_userid")
    NOT_PERSONAL = ("source", "number", "currency", "bound_by")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "number"], name="one_order_per_number"),
            models.CheckConstraint(
                condition=Q(total_minor__gte=0, refunded_minor__gte=0), name="order_money_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(member__isnull=True, member_source="") | (Q(member__isnull=False) & ~Q(member_source="")),
                name="order_member_has_a_source",
            ),
            models.CheckConstraint(
                condition=Q(store__isnull=True, store_source="") | (Q(store__isnull=False) & ~Q(store_source="")),
                name="order_store_has_a_source",
            ),
        ]
        indexes = [
            models.Index(fields=["contact", "-ordered_at"], name="order_contact"),
            models.Index(fields=["-ordered_at", "-id"], name="order_recent"),
            models.Index(fields=["store", "-ordered_at"], name="order_store"),
            models.Index(fields=["buyer_phone"], condition=Q(contact__isnull=True) & ~Q(buyer_phone=""), name="order_unbound_phone"),
            models.Index(fields=["buyer_unionid"], condition=Q(contact__isnull=True) & ~Q(buyer_unionid=""), name="order_unbound_unionid"),
            models.Index(fields=["buyer_external_userid"], condition=Q(contact__isnull=True) & ~Q(buyer_external_userid=""), name="order_unbound_external"),
        ]  # fmt: skip

    @property
    def net_minor(self) -> int:
        return self.total_minor - self.refunded_minor


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines", db_index=False)
    position = models.SmallIntegerField()
    product = models.ForeignKey(Product, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    name = models.CharField(max_length=120)
    quantity = models.DecimalField(max_digits=12, decimal_places=3)
    amount_minor = models.BigIntegerField()

    NOT_PERSONAL = ("name",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "position"], name="one_line_per_position")]


class Refund(models.Model):
    """Money given back, by source and number. It may come before its order: it waits under the order's number and binds
    when the order arrives."""

    source = models.CharField(max_length=24)
    order_number = models.CharField(max_length=64)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, null=True, blank=True, related_name="refunds")
    number = models.CharField(max_length=64)
    amount_minor = models.BigIntegerField()
    refunded_at = models.DateTimeField()

    NOT_PERSONAL = ("source", "order_number", "number")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "number"], name="one_refund_per_number"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_is_positive"),
        ]
        indexes = [
            models.Index(
                fields=["source", "order_number"], condition=Q(order__isnull=True), name="refund_without_order"
            )
        ]


class StoreDailySales(models.Model):
    """A store's total sales of a day over all channels, net of refunds: the denominator of private-domain share."""

    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="+", db_index=False)
    day = models.DateField()
    amount_minor = models.BigIntegerField()
    source = models.CharField(max_length=24, default="import")

    NOT_PERSONAL = ("source",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["store", "day"], name="one_total_per_store_day")]


class OrderImport(models.Model):
    """A file of orders: read = created + updated + unchanged + rejected, and a reject file with reasons."""

    job_id = models.BigIntegerField(null=True, blank=True)
    source = models.CharField(max_length=24)
    file_name = models.CharField(max_length=200)
    file_digest = models.CharField(max_length=64)
    rows_read = models.BigIntegerField(default=0)
    rows_created = models.BigIntegerField(default=0)
    rows_updated = models.BigIntegerField(default=0)
    rows_unchanged = models.BigIntegerField(default=0)
    rows_rejected = models.BigIntegerField(default=0)
    rows_unbound = models.BigIntegerField(default=0)
    reject_path = models.CharField(max_length=255, default="", blank=True)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("source", "file_name", "file_digest", "reject_path")
