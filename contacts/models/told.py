"""How far an app message about a row is (contacts.services.telling)."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Told(models.TextChoices):
    NOT = "not", _("不通知")
    WAITING = "waiting", _("待通知")
    SENDING = "sending", _("通知发送中")
    SENT = "sent", _("已通知")
    FAILED = "failed", _("通知没有发出")
