"""Segments, who is in them, and how they came to be what they are."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact


class Segment(models.Model):
    """人群: a condition tree with stored entries, or a fixed list.

    built_version: the tree_version the entries answer to; None: to none, and they are computed as if for the first time. builder: the
    token of whoever computes it now; an edit takes it away, and what it writes is refused then. lease_until (wall time): when the
    server breaks that off at the latest.
    """

    class State(models.TextChoices):
        FRESH = "fresh", _("已更新")
        BUILDING = "building", _("计算中")
        STALE = "stale", _("待更新")
        FAILED = "failed", _("失败")

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=8, choices=[("dynamic", _("动态")), ("static", _("静态"))], default="dynamic")
    tree = models.JSONField(default=dict, blank=True)
    tree_version = models.BigIntegerField(default=1)
    field_keys = models.JSONField(default=list, blank=True)  # what the tree reads: decides which marks concern it
    state = models.CharField(max_length=8, choices=State.choices, default=State.STALE)
    size = models.BigIntegerField(default=0)
    fresh_at = models.DateTimeField(null=True, blank=True)  # 截至
    last_error = models.TextField(default="", blank=True)
    job_id = models.BigIntegerField(null=True, blank=True)  # the latest full build (tenants.ledger.Job)
    built_version = models.BigIntegerField(null=True, blank=True)
    built_at = models.DateTimeField(null=True, blank=True)  # domain time of the latest full build
    build_ms = models.BigIntegerField(null=True, blank=True)
    builder = models.CharField(max_length=32, default="", db_default="", blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("name", "tree", "field_keys", "last_error", "builder")

    def __str__(self) -> str:
        return self.name


class SegmentEntry(models.Model):
    """A root contact is in a segment: by its condition, pinned by hand, or on a fixed list."""

    class Origin(models.TextChoices):
        TREE = "tree", _("符合条件")
        PIN = "pin", _("手动加入")
        LIST = "list", _("名单")

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="entries", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="segment_entries")
    entered_at = models.DateTimeField()
    origin = models.CharField(max_length=4, choices=Origin.choices, default=Origin.TREE, db_default="tree")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["segment", "contact"], name="in_a_segment_once")]


class SegmentPin(models.Model):
    """Somebody decided by hand that a person is in a dynamic segment, or never in it, whatever its condition says. Of a person's
    rows, merged ones included, one that keeps her out wins."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="pins", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    is_in = models.BooleanField()
    reason = models.CharField(max_length=200, default="", blank=True)
    pinned_by_id = models.BigIntegerField(null=True, blank=True)
    pinned_at = models.DateTimeField()

    PERSONAL = ("reason",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["segment", "contact"], name="pinned_to_a_segment_once")]


class SegmentSize(models.Model):
    """How many a segment had at the end of a day of the merchant's; of a day without change there is no row. Pruned by retention."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="sizes", db_index=False)
    day = models.DateField()
    size = models.BigIntegerField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["segment", "day"], name="segment_size_once_a_day")]
        indexes = [models.Index(fields=["counted_at"], name="segment_size_time")]


class SegmentChange(models.Model):
    """Somebody entered or left a segment: append-only, pruned by retention. build: the job of the full build that wrote it."""

    class Kind(models.TextChoices):
        ENTER = "enter", _("进入")
        LEAVE = "leave", _("离开")

    class Cause(models.TextChoices):
        CHANGE = "change", _("客户变化")
        BUILD = "build", _("重新计算")
        PIN = "pin", _("手动调整")
        LIST = "list", _("名单变化")

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="changes", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    cause = models.CharField(max_length=6, choices=Cause.choices)
    tree_version = models.BigIntegerField()
    changed_at = models.DateTimeField()
    build = models.BigIntegerField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["segment", "-changed_at"], name="segment_change_recent"),
            models.Index(fields=["changed_at"], name="segment_change_time"),
        ]


class RfmGrid(models.Model):
    """The merchant's RFM grid (tagging.rfm), one row: made when somebody first looks, and anew each day."""

    due_at = models.DateTimeField(null=True, blank=True)  # domain time of the next computing
    computed_at = models.DateTimeField(null=True, blank=True)  # 截至
    days = models.JSONField(default=list, blank=True)  # bounds of R, see rfm.Grid
    times = models.JSONField(default=list, blank=True)  # bounds of F
    cells = models.JSONField(default=list, blank=True)  # [[R, F, people, minor units, orders], …]

    NOT_PERSONAL = ("days", "times", "cells")
