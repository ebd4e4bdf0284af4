"""Welcome messages: 20 seconds, one shot."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import FollowPeriod, Store
from wecom_bridge.models import Corp


class WelcomeTemplate(models.Model):
    """Who gets which welcome: the first enabled template by priority whose state and store match, else the default."""

    name = models.CharField(max_length=60, unique=True)
    text = models.TextField()
    neutral_text = models.TextField(default="", blank=True)  # used when the customer's name cannot be had in time
    attachments = models.JSONField(default=list, blank=True)
    store = models.ForeignKey(Store, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    state = models.CharField(max_length=64, default="", blank=True)  # channel state it answers; empty = any
    priority = models.SmallIntegerField(default=0)
    is_default = models.BooleanField(default=False)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    NOT_PERSONAL = ("name", "text", "neutral_text", "attachments", "state")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="one_default_welcome")
        ]


class WelcomeSend(models.Model):
    """What became of one welcome code. Written when the callback brings it, before anything is called.

    A half add and the full add after it may each bring a code: two sends of one period.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("待发送")
        SENT = "sent", _("已发送")
        OTHER = "other", _("由其他来源发送")
        NO_CODE = "no_code", _("无欢迎码")
        FAILED = "failed", _("失败")
        LATE = "late", _("超过20秒")
        UNKNOWN = "unknown", _("未知")

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="+", db_index=False)
    code_digest = models.CharField(max_length=64, unique=True, null=True, blank=True)
    period = models.ForeignKey(FollowPeriod, on_delete=models.SET_NULL, null=True, blank=True, related_name="welcomes")
    member_userid = models.CharField(max_length=64)
    external_userid = models.CharField(max_length=130)
    template = models.ForeignKey(WelcomeTemplate, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    reason = models.CharField(max_length=60, default="", blank=True)
    received_at = models.DateTimeField()  # wall time of the callback
    sent_at = models.DateTimeField(null=True, blank=True)  # wall time of WeCom's answer
    latency_ms = models.IntegerField(null=True, blank=True)

    PERSONAL = ("external_userid",)
    NOT_PERSONAL = ("code_digest", "member_userid", "reason")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["period"], condition=Q(state="no_code"), name="said_once_that_there_was_no_code"
            )
        ]
        indexes = [
            models.Index(fields=["-received_at"], name="welcome_recent"),
            models.Index(
                fields=["corp", "external_userid", "member_userid"],
                condition=Q(period__isnull=True),
                name="welcome_unbound",
            ),
        ]
