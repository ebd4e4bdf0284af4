"""Files of people and places that somebody brings in: what was read, what came of each row, and what it was before."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ImportState(models.TextChoices):
    DRAFT = "draft", _("待对应列")
    CHECKING = "checking", _("试运行中")
    CHECKED = "checked", _("待导入")
    RUNNING = "running", _("导入中")
    DONE = "done", _("已导入")
    UNDOING = "undoing", _("撤销中")
    UNDONE = "undone", _("已撤销")
    FAILED = "failed", _("没有完成")


class Outcome(models.TextChoices):
    CREATED = "created", _("新增")
    UPDATED = "updated", _("更新")
    UNCHANGED = "unchanged", _("无变化")
    REJECTED = "rejected", _("未导入")


class ImportRun(models.Model):
    """A file on its way in. read = created + updated + unchanged + rejected, in the trial as in the run.

    mapping: column key → position in the file. scope: the part of the organisation whose people its owner may change.
    aim: the id of what all rows go into, where the kind has such a thing (a fixed list). applied_line: rows up to this line of the file are in (or taken back, while it is undone).
    """

    kind = models.CharField(max_length=24)
    state = models.CharField(max_length=8, choices=ImportState.choices, default=ImportState.DRAFT)
    file_name = models.CharField(max_length=200)
    file_path = models.CharField(max_length=255, default="", blank=True)  # empty once the file is deleted
    file_digest = models.CharField(max_length=64)
    heads = models.JSONField(default=list)
    mapping = models.JSONField(default=dict)
    scope = models.JSONField(default=dict)
    aim = models.BigIntegerField(null=True, blank=True)
    acts = models.BooleanField(default=False)  # rules, stages by condition and SOPs take its changes as news
    job_id = models.BigIntegerField(null=True, blank=True)
    staged_line = models.BigIntegerField(default=0)
    applied_line = models.BigIntegerField(default=0)
    rows_read = models.BigIntegerField(default=0)
    rows_created = models.BigIntegerField(default=0)
    rows_updated = models.BigIntegerField(default=0)
    rows_unchanged = models.BigIntegerField(default=0)
    rows_rejected = models.BigIntegerField(default=0)
    rows_undone = models.BigIntegerField(default=0)
    rows_kept = models.BigIntegerField(default=0)  # of an undo: changed by somebody since
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("kind", "file_name", "file_path", "file_digest", "heads", "mapping", "scope")

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="import_run_created")]


class ImportRow(models.Model):
    """A row of the file by its line: what it wants (values), of whom (key), and what came of it.

    changes: column → [before, after]. seen: what its person was like when it was judged, as a hash; null where a run cannot go by that
    and judges again. kept: an undo found it changed since.
    """

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="rows", db_index=False)
    line = models.BigIntegerField()
    key_kind = models.CharField(max_length=16, default="", blank=True)
    key = models.CharField(max_length=130, default="", blank=True)
    values = models.JSONField(default=dict, blank=True)
    target_id = models.BigIntegerField(null=True, blank=True)
    changes = models.JSONField(default=dict, blank=True)
    seen = models.BigIntegerField(null=True, blank=True)
    outcome = models.CharField(max_length=9, choices=Outcome.choices, default="", blank=True)
    problem = models.CharField(max_length=400, default="", blank=True)
    is_broken = models.BooleanField(default=False)  # it cannot be read; nothing more is asked of it
    is_kept = models.BooleanField(default=False)

    PERSONAL = ("key", "values", "changes", "problem")
    NOT_PERSONAL = ("key_kind",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "line"], name="one_import_row_per_line")]
        indexes = [
            models.Index(
                fields=["run", "target_id", "line"], condition=Q(target_id__isnull=False), name="import_row_target"
            ),
            models.Index(fields=["run", "line"], condition=Q(outcome="rejected"), name="import_row_rejected"),
        ]


class ImportHead(models.Model):
    """What a head of a file stood for the last time: the guess for the next one."""

    kind = models.CharField(max_length=24)
    head = models.CharField(max_length=100)
    column = models.CharField(max_length=60, default="", blank=True)  # empty: left out on purpose

    NOT_PERSONAL = ("kind", "head", "column")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "head"], name="one_meaning_per_head")]
