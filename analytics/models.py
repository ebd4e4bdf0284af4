"""Rollups, recomputable from facts bucket by bucket. No number on a page lives anywhere else."""

from django.db import models
from django.db.models import Q


class DirtyBucket(models.Model):
    """Some fact of this tenant day changed: recompute. Written with the fact; a consumer deletes only the rows it saw."""

    topic = models.CharField(max_length=24)  # day facts, a push's funnel, stage counts: registered in analytics.rollups
    day = models.DateField(null=True, blank=True)
    key = models.BigIntegerField(default=0)  # e.g. a push id
    marked_at = models.DateTimeField()

    NOT_PERSONAL = ("topic",)

    class Meta:
        indexes = [models.Index(fields=["topic", "day", "key"], name="dirty_bucket_topic")]


class DayMetric(models.Model):
    """An additive metric of one tenant day for one guide of one store, as of that day. 0 stands for none."""

    day = models.DateField()
    metric = models.CharField(max_length=32)
    region_id = models.BigIntegerField(default=0)
    dealer_id = models.BigIntegerField(default=0)
    store_id = models.BigIntegerField(default=0)
    member_id = models.BigIntegerField(default=0)
    channel = models.CharField(max_length=64, default="", blank=True)
    value = models.BigIntegerField()

    NOT_PERSONAL = ("metric", "channel")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "metric", "region_id", "dealer_id", "store_id", "member_id", "channel"],
                name="one_day_metric",
            )
        ]
        indexes = [models.Index(fields=["metric", "day"], name="day_metric_metric")]


class StageDay(models.Model):
    """How many people stood in a stage at the end of a tenant day, by the store and guide of then."""

    day = models.DateField()
    stage_id = models.BigIntegerField()
    region_id = models.BigIntegerField(default=0)
    dealer_id = models.BigIntegerField(default=0)
    store_id = models.BigIntegerField(default=0)
    member_id = models.BigIntegerField(default=0)
    people = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "stage_id", "region_id", "dealer_id", "store_id", "member_id"], name="one_stage_day"
            )
        ]


class PushMetric(models.Model):
    """The funnel of one push, by the store and guide of the freeze; money and buyers within `window_days` of sending."""

    push_id = models.BigIntegerField()
    metric = models.CharField(max_length=32)
    window_days = models.SmallIntegerField(default=0)
    region_id = models.BigIntegerField(default=0)
    dealer_id = models.BigIntegerField(default=0)
    store_id = models.BigIntegerField(default=0)
    member_id = models.BigIntegerField(default=0)
    value = models.BigIntegerField()
    computed_at = models.DateTimeField()

    NOT_PERSONAL = ("metric",)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["push_id", "metric", "window_days", "region_id", "dealer_id", "store_id", "member_id"],
                name="one_push_metric",
            ),
            models.CheckConstraint(condition=Q(window_days__gte=0), name="push_metric_window"),
        ]


class RollupCheck(models.Model):
    """The hourly comparison of rollups with the rows they stand for. A difference is a red mark on the reports."""

    at = models.DateTimeField()
    checked = models.BigIntegerField()
    differences = models.JSONField(default=list, blank=True)  # [{topic, key, metric, rollup, rows}], the first 50
    differing = models.BigIntegerField(default=0)

    NOT_PERSONAL = ("differences",)

    class Meta:
        indexes = [models.Index(fields=["-at"], name="rollup_check_at")]
