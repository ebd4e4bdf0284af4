"""活动 and 群发: what an operator plans, and the release (审批) it needs."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.content import ContentVersion
from campaigns.models.pushes import Push
from campaigns.states import ApprovalState


class Campaign(models.Model):
    """活动: name, dates, goal, budget; holds what serves it."""

    name = models.CharField(max_length=60)
    starts_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField(null=True, blank=True)
    goal = models.CharField(max_length=200, default="", blank=True)
    budget_minor = models.BigIntegerField(default=0)
    partner = models.CharField(max_length=60, default="", blank=True)
    owner_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("name", "goal", "partner")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(archived_at__isnull=True), name="one_living_campaign_per_name"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Broadcast(models.Model):
    """群发 to customers or to chosen groups. Any edit raises `version` and voids what was approved."""

    class State(models.TextChoices):
        DRAFT = "draft", _("草稿")
        SUBMITTED = "submitted", _("待审批")
        RUNNING = "running", _("待导购确认")
        ENDED = "ended", _("已结束")
        STOPPED = "stopped", _("已停止")

    name = models.CharField(max_length=60)
    campaign = models.ForeignKey(Campaign, on_delete=models.SET_NULL, null=True, blank=True, related_name="broadcasts")
    target = models.CharField(max_length=8, choices=[("people", _("客户")), ("groups", _("客户群"))], default="people")
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    version = models.BigIntegerField(default=1)
    content_version = models.ForeignKey(
        ContentVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    # {"segment": id}, {"tree": …}, {"contacts": [ids]} or {"groups": [ids]}
    audience = models.JSONField(default=dict, blank=True)
    # The author's data scope when the audience was chosen: nobody outside of it is reached, by no sender outside of it.
    within = models.JSONField(default=dict, blank=True)
    holdout_percent = models.SmallIntegerField(default=0)
    notify_at = models.DateTimeField(null=True, blank=True)
    confirm_by = models.DateTimeField(null=True, blank=True)
    push = models.OneToOneField(Push, on_delete=models.PROTECT, null=True, blank=True, related_name="broadcast")
    draft_note = models.CharField(
        max_length=200, default="", blank=True
    )  # why it is a draft again: 审批已过期, 已驳回 …
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    NOT_PERSONAL = ("name", "audience", "within", "draft_note")

    class Meta:
        indexes = [models.Index(fields=["-created_at"], name="broadcast_recent")]

    def __str__(self) -> str:
        return self.name


class Approval(models.Model):
    """A request for 审批 of one version of a broadcast or SOP, with what the approver was shown. Approved once per version."""

    State = ApprovalState

    subject_kind = models.CharField(max_length=10, choices=[("broadcast", _("群发")), ("sop", _("SOP"))])
    subject_id = models.BigIntegerField()  # Broadcast's id; of a SOP the SopVersion's, not the Sop's
    subject_version = models.BigIntegerField()  # Broadcast.version; of a SOP SopVersion.number, which never changes
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    level = models.CharField(max_length=8, choices=[("store", _("店长")), ("region", _("大区")), ("hq", _("总部"))])
    snapshot = models.JSONField(default=dict, blank=True)  # content, audience and preflight counts as submitted
    requested_by_id = models.BigIntegerField()
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_by_id = models.BigIntegerField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    is_own_release = models.BooleanField(default=False)  # the only approver released her own, after typing the count
    comment = models.CharField(max_length=200, default="", blank=True)

    NOT_PERSONAL = ("snapshot", "comment")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_id"], condition=Q(state="pending"), name="one_pending_approval"
            ),
            models.UniqueConstraint(
                fields=["subject_kind", "subject_id", "subject_version"],
                condition=Q(state="approved"),
                name="approved_once_per_version",
            ),
        ]
        indexes = [models.Index(fields=["state", "expires_at"], name="approval_state")]
