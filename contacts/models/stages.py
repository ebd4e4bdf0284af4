"""Lifecycle stages (生命周期阶段) and the append-only record of who entered which, when and why."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Stage(models.Model):
    """新添加 → 有意向 → 首购 → 复购 → 忠诚 → 沉睡 → 长期未购 by default; a tenant may rename and reorder."""

    key = models.CharField(max_length=24, unique=True)
    name = models.CharField(max_length=20)
    order = models.SmallIntegerField()
    # Entry by rule (a condition tree, conditions.schema); null = by hand only.
    rule = models.JSONField(null=True, blank=True)
    is_archived = models.BooleanField(default=False)
    # The rule may also take back people who stand in a later stage; otherwise rules only lead forward.
    leads_back = models.BooleanField(default=False, db_default=False)
    needs_reason = models.BooleanField(default=False, db_default=False)  # of whoever moves people here by hand
    max_days = models.SmallIntegerField(null=True, blank=True)  # 停留上限: who stays longer is overdue; null = no limit

    NOT_PERSONAL = ("key", "name", "rule")

    class Meta:
        ordering = ("order", "id")

    def __str__(self) -> str:
        return self.name


class StageTransition(models.Model):
    """A contact went from one stage to another. Store and guide as of then."""

    contact = models.ForeignKey(
        "contacts.Contact", on_delete=models.CASCADE, related_name="stage_transitions", db_index=False
    )
    from_stage = models.ForeignKey(
        Stage, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    to_stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="+", db_index=False)
    changed_at = models.DateTimeField()
    source = models.CharField(
        max_length=8,
        choices=[
            ("rule", _("规则")),
            ("manual", _("人工")),
            ("import", _("导入")),
            ("backfill", _("回填")),
            ("merge", _("合并")),
        ],
    )
    reason = models.CharField(max_length=200, default="", blank=True)
    actor_id = models.BigIntegerField(null=True, blank=True)
    store = models.ForeignKey(
        "contacts.Store", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    member = models.ForeignKey(
        "contacts.Member", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )

    PERSONAL = ("reason",)

    class Meta:
        indexes = [
            models.Index(fields=["contact", "-changed_at"], name="transition_contact"),
            models.Index(fields=["changed_at"], name="transition_time"),
        ]
