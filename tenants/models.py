"""The shared (public) tables: who the merchants are, where their callbacks and hosts lead, and what work is due.

Nothing here points into a tenant's schema by foreign key: ids only, so that a tenant can move.
"""

import base64
import secrets
from datetime import timedelta
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin


def new_schema_name() -> str:
    """A schema name of ours: never from user input, never reused."""
    return "t_" + base64.b32encode(secrets.token_bytes(10)).decode().lower()


def validate_timezone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(_("没有这个时区:%(name)s"), params={"name": name})


class TenantState(models.TextChoices):
    PROVISIONING = "provisioning", _("开通中")
    ACTIVE = "active", _("正常")
    SUSPENDED = "suspended", _("已停用")
    DROPPING = "dropping", _("删除中")


class Tenant(TenantMixin):
    """A merchant (商户)."""

    auto_create_schema = False
    auto_drop_schema = False

    slug = models.CharField(
        max_length=40, unique=True, validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$")]
    )
    name = models.CharField(max_length=80)
    state = models.CharField(max_length=16, choices=TenantState.choices, default=TenantState.PROVISIONING)
    time_zone = models.CharField(max_length=64, default="Asia/Shanghai", validators=[validate_timezone])
    currency = models.CharField(max_length=3, default="CNY")
    # Policy of the merchant that is not worth a column of its own: see tenants.policy for the keys and their defaults.
    policy = models.JSONField(default=dict, blank=True)
    is_sandbox = models.BooleanField(default=False)
    clock_offset_seconds = models.BigIntegerField(default=0)
    provision_step = models.CharField(max_length=32, default="", blank=True)
    last_error = models.TextField(default="", blank=True)
    created_at = models.DateTimeField()
    suspended_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = (
        "schema_name", "slug", "name", "time_zone", "currency", "policy", "provision_step", "last_error",
    )  # fmt: skip

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(schema_name__regex=r"^(t_[a-z2-7]{16}|public)$"), name="tenant_schema_is_ours"
            ),
            models.CheckConstraint(
                condition=models.Q(clock_offset_seconds=0) | models.Q(is_sandbox=True),
                name="only_a_sandbox_shifts_time",
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def clock_offset(self) -> timedelta:
        return timedelta(seconds=self.clock_offset_seconds)


class Domain(DomainMixin):
    """A host a tenant answers on: <slug>.<base domain>, or its own."""

    verified_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("domain",)


class CallbackRoute(models.Model):
    """Where a callback leads: /wecom/cb/<opaque> → a tenant and one of its corps."""

    opaque = models.CharField(max_length=43, unique=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    corp_pk = models.BigIntegerField()  # wecom_bridge.Corp in the tenant's schema
    credential_pk = models.BigIntegerField()  # whose token and key open the envelope
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    NOT_PERSONAL = ("opaque",)


class DueHint(models.Model):
    """Work may be due for this tenant on this lane at this wall time. Append-only; a drain deletes what it saw.

    Losing one costs minutes (the sweep), never a message.
    """

    tenant_id = models.BigIntegerField()
    lane = models.CharField(max_length=32)
    due_at = models.DateTimeField()

    NOT_PERSONAL = ("lane",)

    class Meta:
        indexes = [
            models.Index(fields=["due_at", "tenant_id", "lane"], name="due_hint_due"),
            models.Index(fields=["tenant_id", "lane", "id"], name="due_hint_lane"),
        ]


class LaneLease(models.Model):
    """One worker at a time drains a lane of a tenant; the sweep visits the stalest first."""

    tenant_id = models.BigIntegerField()
    lane = models.CharField(max_length=32)
    holder = models.CharField(max_length=64, default="", blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    visited_at = models.DateTimeField()

    NOT_PERSONAL = ("lane", "holder")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "lane"], name="one_lease_per_lane")]
        indexes = [models.Index(fields=["visited_at"], name="lane_lease_visited")]


class SchemaUpgrade(models.Model):
    """What `manage.py upgrade` did to one schema for one target: resumable, with the error."""

    tenant_id = models.BigIntegerField()
    target = models.CharField(max_length=64)  # digest of the migration heads
    state = models.CharField(
        max_length=12,
        choices=[("pending", _("等待")), ("running", _("进行中")), ("done", _("完成")), ("failed", _("失败"))],
        default="pending",
    )
    last_error = models.TextField(default="", blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("target", "last_error")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "target"], name="one_upgrade_per_target")]


class PlatformAudit(models.Model):
    """What the platform's operators did, and to which tenant."""

    at = models.DateTimeField()
    operator_id = models.BigIntegerField(null=True, blank=True)
    operator_name = models.CharField(max_length=80, default="", blank=True)
    action = models.CharField(max_length=64)
    tenant_id = models.BigIntegerField(null=True, blank=True)
    data = models.JSONField(default=dict, blank=True)

    PERSONAL = ("operator_name",)
    NOT_PERSONAL = ("action", "data")

    class Meta:
        indexes = [models.Index(fields=["-at"], name="platform_audit_at")]
