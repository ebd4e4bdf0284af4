"""批量操作: a change of many people at once, in parts that are done one after the other and can be taken back."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class BulkChange(models.Model):
    """What was asked for whom, by whom, and how it went. params: what its kind (contacts.bulk) needs; scope: of who asked.

    changed + unchanged + refused is everybody whose turn has come; undone + kept + stuck everybody changed whose turn to go back has:
    kept are those changed again since, stuck those who cannot go back.
    """

    kind = models.CharField(max_length=24)
    title = models.CharField(max_length=200)  # what was done, in the words and names of then
    params = models.JSONField(default=dict, blank=True)
    scope = models.JSONField(default=dict, blank=True)
    total = models.IntegerField()
    changed = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    refused = models.IntegerField(default=0)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    job_id = models.BigIntegerField(null=True, blank=True)  # none: done at once
    undo_asked_at = models.DateTimeField(null=True, blank=True)
    undo_by_id = models.BigIntegerField(null=True, blank=True)
    undo_scope = models.JSONField(default=dict, blank=True)
    undo_job_id = models.BigIntegerField(null=True, blank=True)
    undo_ended_at = models.DateTimeField(null=True, blank=True)
    undone = models.IntegerField(default=0)
    kept = models.IntegerField(default=0)
    stuck = models.IntegerField(default=0)

    PERSONAL = ("params",)
    NOT_PERSONAL = ("kind", "title", "scope", "undo_scope")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(total__gte=F("changed") + F("unchanged") + F("refused")), name="bulk_within_the_chosen"
            ),
            models.CheckConstraint(
                condition=Q(changed__gte=F("undone") + F("kept") + F("stuck")), name="bulk_undo_within_the_changed"
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="bulk_recent")]


class BulkPart(models.Model):
    """Some of the chosen, done in one transaction: whoever stands in a part with done_at is never done again.

    before: person → what she had, of those changed. refused and stuck: person → why not. Ids only: of somebody erased they say nothing.
    """

    change = models.ForeignKey(BulkChange, on_delete=models.CASCADE, related_name="parts", db_index=False)
    number = models.IntegerField()
    contact_ids = ArrayField(models.BigIntegerField())
    done_at = models.DateTimeField(null=True, blank=True)
    before = models.JSONField(default=dict, blank=True)
    refused = models.JSONField(default=dict, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    stuck = models.JSONField(default=dict, blank=True)

    NOT_PERSONAL = ("contact_ids", "before", "refused", "stuck")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "number"], name="one_bulk_part_per_number")]


class BulkReason(models.TextChoices):
    """Why a chosen person was left as she was, or cannot go back."""

    GONE = "gone", _("已不在数据范围内,或已并入其他客户")
    STRANGER = "stranger", _("与该导购不是好友,需先转移客户")
    NO_FRIEND = "no_friend", _("已没有好友关系")
    OTHER_CORP = "other_corp", _("标签属于另一个企业微信")
    LATER = "later", _("已有更晚的阶段变更")
    NO_STAGE = "no_stage", _("原来没有阶段")
    STAGE_ARCHIVED = "stage_archived", _("原来的阶段已停用")
    TAG_GONE = "tag_gone", _("标签已被删除")
