"""SOP: released versions of dated steps, and the customers running through them (在跑客户)."""

from dataclasses import dataclass
from datetime import time

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.content import ContentVersion
from contacts.models import Contact, Follow, GroupChat


class Sop(models.Model):
    name = models.CharField(max_length=60)
    state = models.CharField(
        max_length=8,
        choices=[("draft", _("草稿")), ("on", _("运行中")), ("paused", _("已暂停")), ("off", _("已停用"))],
        default="draft",
    )
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()

    NOT_PERSONAL = ("name",)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=~Q(state="off"), name="one_living_sop_per_name")
        ]

    def __str__(self) -> str:
        return self.name


class SopVersion(models.Model):
    """What 审批 releases, once. Who entered under a version finishes under it."""

    sop = models.ForeignKey(Sop, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.IntegerField()
    trigger = models.CharField(max_length=32)  # registered in campaigns.triggers: follow_added, segment_entered …
    trigger_params = models.JSONField(default=dict, blank=True)
    entry_tree = models.JSONField(null=True, blank=True)
    exit_tree = models.JSONField(null=True, blank=True)
    field_keys = models.JSONField(default=list, blank=True)
    within = models.JSONField(default=dict, blank=True)  # the author's data scope, as a broadcast keeps it
    holdout_percent = models.SmallIntegerField(default=0)
    released_at = models.DateTimeField(null=True, blank=True)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()

    NOT_PERSONAL = ("trigger", "trigger_params", "entry_tree", "exit_tree", "field_keys", "within")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sop", "number"], name="one_sop_version_per_number")]


# A CHECK that comes to NULL holds: `day >= 0` alone would let a missing day pass.
_SENDS = Q(day__isnull=False, day__gte=0, slot__isnull=False, content_version__isnull=False)


@dataclass(frozen=True)
class Sending:
    """What a step that sends something has. day: 0 = the day of entry; slot: tenant time, one of the tenant's send slots."""

    day: int
    slot: time
    content: ContentVersion


class SopStep(models.Model):
    """Day N at a send slot: a mass message through the guide, or a 1对1 task for her.

    Which columns a step needs, its kind says; each kind has a CHECK for them.
    """

    version = models.ForeignKey(SopVersion, on_delete=models.CASCADE, related_name="steps", db_index=False)
    position = models.SmallIntegerField()
    kind = models.CharField(max_length=12, choices=[("mass", _("群发")), ("one_to_one", _("1对1任务"))], default="mass")
    day = models.SmallIntegerField(null=True, blank=True)
    slot = models.TimeField(null=True, blank=True)
    content_version = models.ForeignKey(
        ContentVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    params = models.JSONField(default=dict, blank=True)  # what only its kind knows

    NOT_PERSONAL = ("params",)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "position"], name="one_step_per_position"),
            models.CheckConstraint(
                condition=~Q(kind="mass") | _SENDS,
                name="mass_step_has_its_day_and_content",
            ),
            models.CheckConstraint(
                condition=~Q(kind="one_to_one") | _SENDS,
                name="one_to_one_step_has_its_day_and_content",
            ),
        ]
        ordering = ("position",)

    @property
    def sending(self) -> Sending:
        """When it sends what. Raises ValueError for a step of a kind that sends nothing."""
        if self.day is None or self.slot is None or self.content_version is None:
            raise ValueError(f"SOP step {self.pk} sends nothing")
        return Sending(self.day, self.slot, self.content_version)


class Enrollment(models.Model):
    """A customer, or a group chat, runs through a SOP version.

    target: as a Delivery's, `c<id>` of a root contact or `g<id>` of a group chat.
    """

    class State(models.TextChoices):
        RUNNING = "running", _("在跑")
        DONE = "done", _("已走完")
        EXITED = "exited", _("已退出")

    version = models.ForeignKey(SopVersion, on_delete=models.PROTECT, related_name="enrollments", db_index=False)
    sop = models.ForeignKey(Sop, on_delete=models.CASCADE, related_name="enrollments", db_index=False)
    target = models.CharField(max_length=24)
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, null=True, blank=True, related_name="enrollments")
    group = models.ForeignKey(
        GroupChat, on_delete=models.PROTECT, null=True, blank=True, related_name="enrollments", db_index=False
    )
    follow = models.ForeignKey(
        Follow, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    trigger_key = models.CharField(max_length=120)  # the fact that enrolled it: enrolled once for it
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    entered_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=24, default="", blank=True)
    is_holdout = models.BooleanField(default=False)
    next_due_at = models.DateTimeField(null=True, blank=True)  # slot of the next step

    NOT_PERSONAL = ("target", "trigger_key", "end_reason")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sop", "target", "trigger_key"], name="enrolled_once_per_fact"),
            models.UniqueConstraint(fields=["sop", "target"], condition=Q(state="running"), name="runs_once_at_a_time"),
            models.CheckConstraint(
                condition=Q(contact__isnull=False, group__isnull=True) | Q(contact__isnull=True, group__isnull=False),
                name="enrollment_is_of_a_person_or_a_group",
            ),
        ]
        indexes = [
            models.Index(fields=["next_due_at", "id"], condition=Q(state="running"), name="enrollment_due"),
            models.Index(fields=["version", "state"], name="enrollment_version"),
            models.Index(fields=["group"], condition=Q(group__isnull=False), name="enrollment_group"),
        ]


class EnrollmentStep(models.Model):
    """What became of one step for one enrolment."""

    enrollment = models.ForeignKey(Enrollment, on_delete=models.CASCADE, related_name="steps", db_index=False)
    step = models.ForeignKey(SopStep, on_delete=models.PROTECT, related_name="+", db_index=False)
    slot_at = models.DateTimeField()
    moved_from = models.DateTimeField(null=True, blank=True)  # the slot it overflowed from; it moves once
    state = models.CharField(
        max_length=8,
        choices=[("due", _("待执行")), ("pushed", _("已成任务")), ("missed", _("已错过")), ("skipped", _("未执行"))],
        default="due",
    )
    reason = models.CharField(max_length=24, default="", blank=True)
    push_id = models.BigIntegerField(null=True, blank=True)

    NOT_PERSONAL = ("reason",)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["enrollment", "step"], name="one_outcome_per_step"),
            models.CheckConstraint(
                condition=Q(moved_from__isnull=True) | Q(moved_from__lt=F("slot_at")), name="step_moves_to_a_later_slot"
            ),
        ]
        indexes = [models.Index(fields=["slot_at", "step"], condition=Q(state="due"), name="enrollment_step_due")]
