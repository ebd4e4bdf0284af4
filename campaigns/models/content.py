"""Content and its immutable versions: whatever uses a message pins a version."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class MessageClass(models.TextChoices):
    """What kind of message it is decides the caps (product rule: 服务, 内容, 促销)."""

    SERVICE = "service", _("服务")
    CONTENT = "content", _("内容")
    PROMOTION = "promotion", _("促销")


class Content(models.Model):
    title = models.CharField(max_length=60)
    message_class = models.CharField(max_length=10, choices=MessageClass.choices, default=MessageClass.CONTENT)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("title",)

    def __str__(self) -> str:
        return self.title


class ContentVersion(models.Model):
    """Text and attachments in WeCom's shape; variables in braces. Never edited: an edit is the next number."""

    content = models.ForeignKey(Content, on_delete=models.PROTECT, related_name="versions", db_index=False)
    number = models.IntegerField()
    text = models.TextField(default="", blank=True)  # ≤ 4000 bytes once rendered
    attachments = models.JSONField(
        default=list, blank=True
    )  # ≤ 9, as add_msg_template takes them, media by our own key
    digest = models.CharField(max_length=64)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()

    NOT_PERSONAL = ("text", "attachments", "digest")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["content", "number"], name="one_content_version_per_number")]
