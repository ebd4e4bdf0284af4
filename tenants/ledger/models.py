"""Tenant-side records that every app writes: audit, long jobs, backfills, retention, replayed requests."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEntry(models.Model):
    """Who did what to which object. Written in the transaction of the deed."""

    at = models.DateTimeField()
    actor_kind = models.CharField(
        max_length=12,
        choices=[
            ("user", _("用户")),
            ("token", _("API 令牌")),
            ("system", _("系统")),
            ("platform", _("平台")),
            ("anonymous", _("未登录")),
        ],
    )
    actor_id = models.BigIntegerField(null=True, blank=True)
    actor_name = models.CharField(max_length=80, default="", blank=True)
    action = models.CharField(max_length=64)
    subject_type = models.CharField(max_length=64, default="", blank=True)
    subject_id = models.CharField(max_length=64, default="", blank=True)
    data = models.JSONField(default=dict, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)

    PERSONAL = ("actor_name", "ip", "data")
    NOT_PERSONAL = ("action", "subject_type", "subject_id")

    class Meta:
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_at"),
            models.Index(fields=["subject_type", "subject_id", "-at"], name="audit_subject"),
        ]


class Job(models.Model):
    """A long piece of work someone waits for: progress, time left, result."""

    class State(models.TextChoices):
        QUEUED = "queued", _("排队中")
        RUNNING = "running", _("进行中")
        DONE = "done", _("已完成")
        FAILED = "failed", _("失败")
        CANCELLED = "cancelled", _("已取消")

    kind = models.CharField(max_length=48)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    title = models.CharField(max_length=120)
    params = models.JSONField(default=dict, blank=True)
    total = models.BigIntegerField(null=True, blank=True)
    done = models.BigIntegerField(default=0)
    result = models.JSONField(default=dict, blank=True)
    last_error = models.TextField(default="", blank=True)
    file_path = models.CharField(max_length=255, default="", blank=True)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    PERSONAL = ("params", "result")
    NOT_PERSONAL = ("kind", "title", "last_error", "file_path")

    class Meta:
        indexes = [
            models.Index(fields=["state", "id"], name="job_state"),
            models.Index(fields=["-created_at"], name="job_recent"),
        ]

    @property
    def is_over(self) -> bool:
        return self.state in (self.State.DONE, self.State.FAILED, self.State.CANCELLED)

    @property
    def percent(self) -> int | None:
        return min(100, self.done * 100 // self.total) if self.total else None


class Backfill(models.Model):
    """How far a data move of a release has come in this tenant."""

    name = models.CharField(max_length=80, unique=True)
    state = models.CharField(
        max_length=8, choices=[("running", _("进行中")), ("done", _("完成")), ("failed", _("失败"))], default="running"
    )
    cursor = models.JSONField(default=dict, blank=True)
    rows_done = models.BigIntegerField(default=0)
    last_error = models.TextField(default="", blank=True)
    updated_at = models.DateTimeField()

    NOT_PERSONAL = ("name", "cursor", "last_error")


class RetentionRule(models.Model):
    """How many days the tenant keeps one kind of record. Kinds are registered in tenants.retention."""

    kind = models.CharField(max_length=48, unique=True)
    keep_days = models.IntegerField()
    last_pruned_at = models.DateTimeField(null=True, blank=True)
    last_pruned_rows = models.BigIntegerField(default=0)

    NOT_PERSONAL = ("kind",)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(keep_days__gte=1), name="retention_at_least_a_day")]


class IdempotentRequest(models.Model):
    """The answer already given to an API request, by Idempotency-Key and token."""

    token_id = models.BigIntegerField()
    key = models.CharField(max_length=80)
    request_digest = models.CharField(max_length=64)
    status = models.SmallIntegerField(null=True, blank=True)  # null while the first request is at work
    body = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()

    PERSONAL = ("body",)
    NOT_PERSONAL = ("key", "request_digest")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token_id", "key"], name="one_answer_per_key")]
        indexes = [models.Index(fields=["created_at"], name="idempotent_created")]
