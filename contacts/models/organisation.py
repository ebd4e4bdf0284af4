"""总部 → 大区 → 门店 → 导购, and dealers across regions. Placements carry time: history stays where it happened.

Places and members are never deleted, since facts name them: they are archived (archived_at), and every fact's key to one is PROTECT.
"""

import json
from hashlib import sha256

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from wecom_bridge.models import Corp


class Region(models.Model):
    """大区."""

    name = models.CharField(max_length=40, unique=True)
    order = models.SmallIntegerField(default=0)
    archived_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("name",)

    def __str__(self) -> str:
        return self.name


class Dealer(models.Model):
    """经销商/加盟商: owns stores, may span regions, sees only its own."""

    name = models.CharField(max_length=60, unique=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("name",)

    def __str__(self) -> str:
        return self.name


class Store(models.Model):
    """门店. Coordinates are GCJ-02; coord_source says in which system they came."""

    code = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=60)
    city = models.CharField(max_length=30, default="", blank=True)
    address = models.CharField(max_length=200, default="", blank=True)
    phone = models.CharField(max_length=30, default="", blank=True)
    latitude = models.DecimalField(max_digits=9, decimal_places=6, null=True, blank=True)
    longitude = models.DecimalField(max_digits=9, decimal_places=6, null=True, blank=True)
    coord_source = models.CharField(
        max_length=8, choices=[("gcj02", "GCJ-02"), ("wgs84", "WGS-84"), ("bd09", "BD-09")], default="gcj02"
    )
    opening_hours = models.JSONField(default=dict, blank=True)
    # Where it belongs today; StorePlacement has the history. Lists scope by this, facts by what they recorded.
    region = models.ForeignKey(Region, on_delete=models.PROTECT, null=True, blank=True, related_name="stores")
    dealer = models.ForeignKey(Dealer, on_delete=models.PROTECT, null=True, blank=True, related_name="stores")
    is_open = models.BooleanField(default=True)
    opened_on = models.DateField(null=True, blank=True)
    closed_on = models.DateField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("code", "name", "city", "address", "phone", "opening_hours")

    def __str__(self) -> str:
        return self.name

    @property
    def digest(self) -> str:
        """What a person saw who changes the row; another one means that somebody changed it meanwhile."""
        row = {field.attname: getattr(self, field.attname) for field in self._meta.concrete_fields}
        return sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()[:16]


class StorePlacement(models.Model):
    """A store was in this region, with this dealer, from then to then."""

    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="placements", db_index=False)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    dealer = models.ForeignKey(Dealer, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    placed_from = models.DateTimeField()
    placed_to = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["store"], condition=Q(placed_to__isnull=True), name="one_open_placement_per_store"
            ),
            models.CheckConstraint(
                condition=Q(placed_to__isnull=True) | Q(placed_to__gt=F("placed_from")),
                name="store_placement_in_order",
            ),
            # Also the index of reads by time. Spans that overlap are kept out by the writers, who lock the store.
            models.UniqueConstraint(fields=["store", "placed_from"], name="one_store_placement_per_start"),
        ]


class Department(models.Model):
    """A WeCom department, and the store, region or nothing it stands for."""

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="+", db_index=False)
    department_id = models.BigIntegerField()
    name = models.CharField(max_length=64, default="", blank=True)
    parent_department_id = models.BigIntegerField(default=0)
    order = models.BigIntegerField(default=0)
    store = models.ForeignKey(Store, on_delete=models.SET_NULL, null=True, blank=True, related_name="departments")
    region = models.ForeignKey(Region, on_delete=models.SET_NULL, null=True, blank=True, related_name="departments")
    is_gone = models.BooleanField(default=False)

    NOT_PERSONAL = ("name",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corp", "department_id"], name="one_department_per_id")]

    def __str__(self) -> str:
        return self.name or str(self.department_id)


class Member(models.Model):
    """成员 (shown as 导购): WeCom staff, by userid within the corp."""

    class Status(models.TextChoices):
        ACTIVE = "active", _("已激活")
        INACTIVE = "inactive", _("未激活")
        DISABLED = "disabled", _("已禁用")
        LEFT = "left", _("已离职")
        UNKNOWN = "unknown", _("未知")

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="members", db_index=False)
    # A provider sees other ids of the same people than the corp itself (CorpCredential.id_space).
    id_space = models.CharField(max_length=64, default="plain", db_default="plain")
    userid = models.CharField(max_length=64)
    name = models.CharField(max_length=64, default="", blank=True)
    alias = models.CharField(max_length=64, default="", blank=True)
    position = models.CharField(max_length=128, default="", blank=True)
    mobile = models.CharField(max_length=20, default="", blank=True)
    avatar_url = models.CharField(max_length=500, default="", blank=True)
    department_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.UNKNOWN)
    # Has customer-contact permission (appears in get_follow_user_list).
    has_customer_contact = models.BooleanField(default=False)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="members")
    search_text = models.CharField(max_length=400, default="", blank=True)
    left_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)

    PERSONAL = ("name", "alias", "position", "mobile", "avatar_url", "search_text")
    NOT_PERSONAL = ("id_space", "userid", "department_ids")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corp", "userid", "id_space"], name="one_member_per_userid")]

    def __str__(self) -> str:
        return self.name or self.userid


class MemberPlacement(models.Model):
    """A guide worked at this store from then to then."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="placements", db_index=False)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="member_placements")
    placed_from = models.DateTimeField()
    placed_to = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member"], condition=Q(placed_to__isnull=True), name="one_open_placement_per_member"
            ),
            models.CheckConstraint(
                condition=Q(placed_to__isnull=True) | Q(placed_to__gt=F("placed_from")),
                name="member_placement_in_order",
            ),
            # Also the index of reads by time. Spans that overlap are kept out by the writers, who lock the member.
            models.UniqueConstraint(fields=["member", "placed_from"], name="one_member_placement_per_start"),
        ]


class MemberAccount(models.Model):
    """Which members a log-in is: none (HQ), one (a guide), or one per corp."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="member_accounts")
    member = models.OneToOneField(Member, on_delete=models.CASCADE, related_name="account")


class WecomLoginRule(models.Model):
    """企业微信登录 of a corp's members. makes_accounts: a guide who has no log-in gets one when she first comes."""

    corp = models.OneToOneField(Corp, on_delete=models.CASCADE, related_name="+")
    makes_accounts = models.BooleanField(default=False)
