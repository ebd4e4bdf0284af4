"""What a person allowed and forbade, and the removal of one person on request."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models.people import Contact
from scrm.lib.crypto import SecretField


class ConsentRecord(models.Model):
    """同意记录: what a person allowed or forbade, when, how it is known and who noted it. Append-only: the last word holds.

    免打扰 is part of it: a row for each setting and ending, so that who looks later finds one record.
    """

    class Purpose(models.TextChoices):
        MESSAGES = "messages", _("接收群发消息")
        PROFILE = "profile", _("个性化推荐与打标签")
        SHARING = "sharing", _("提供给经销商或合作方")
        OPT_OUT = "opt_out", _("免打扰")

    class Decision(models.TextChoices):
        GIVEN = "given", _("同意")
        WITHDRAWN = "withdrawn", _("撤回同意")
        SET = "set", _("开启免打扰")
        ENDED = "ended", _("取消免打扰")

    class Channel(models.TextChoices):
        CHAT = "chat", _("企业微信聊天")
        STORE = "store", _("到店")
        PHONE = "phone", _("电话")
        PAPER = "paper", _("纸质或电子表单")
        PRODUCT = "product", _("系统内操作")
        OTHER = "other", _("其他")

    class Source(models.TextChoices):
        CUSTOMER = "customer", _("客户本人")
        GUIDE = "guide", _("导购转述")
        SYSTEM = "system", _("系统")

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="consents", db_index=False)
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    decision = models.CharField(max_length=10, choices=Decision.choices)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    source = models.CharField(max_length=10, choices=Source.choices)
    evidence = models.CharField(max_length=300, default="", blank=True)  # where it can be looked up, in words
    until = models.DateTimeField(null=True, blank=True)  # of 免打扰; null = for good
    decided_at = models.DateTimeField()
    noted_at = models.DateTimeField()
    noted_by_id = models.BigIntegerField(null=True, blank=True)
    noted_by_name = models.CharField(max_length=80, default="", blank=True)  # as of the noting

    PERSONAL = ("evidence", "noted_by_name")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(Q(purpose="opt_out", decision__in=["set", "ended"]))
                | (~Q(purpose="opt_out") & Q(decision__in=["given", "withdrawn"], until__isnull=True)),
                name="consent_decides_its_purpose",
            ),
            models.CheckConstraint(
                condition=Q(decided_at__lte=models.F("noted_at")), name="consent_noted_after_it_was_decided"
            ),
        ]
        indexes = [models.Index(fields=["contact", "-decided_at", "-id"], name="consent_contact")]


class ErasureRequest(models.Model):
    """One person is removed on request: what is under way, and afterwards the proof of it (删除证明).

    keys: the ids and phones by which her traces are still sought; gone when nothing is left to seek. counts, left: rows per
    table, never values. `step` and `after`: where the work stands, committed with what it did.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("等待进行中的调用结束")
        RUNNING = "running", _("删除中")
        CHECKING = "checking", _("核对中")
        DONE = "done", _("已删除")
        LEFT_OVER = "left", _("仍有残留")
        TAKEN_BACK = "taken", _("已撤回")

    class AskedBy(models.TextChoices):
        CUSTOMER = "customer", _("客户本人")
        PROXY = "proxy", _("监护人或代理人")
        AUTHORITY = "authority", _("监管部门")
        MERCHANT = "merchant", _("商户自己决定")

    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="erasures", db_index=False)
    asked_by = models.CharField(max_length=10, choices=AskedBy.choices)
    reason = models.CharField(max_length=300)  # taken away with the rest
    requested_by_id = models.BigIntegerField(null=True, blank=True)
    requested_by_name = models.CharField(max_length=80, default="", blank=True)
    requested_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    waits_for = models.JSONField(default=dict, blank=True)  # name of a blocker → how many
    next_at = models.DateTimeField(null=True, blank=True)  # domain time of the next look; null when over
    keys = SecretField(default="", blank=True)
    step = models.CharField(max_length=80, default="", blank=True)
    after = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict, blank=True)
    left = models.JSONField(default=dict, blank=True)
    rounds = models.SmallIntegerField(default=0)
    people = models.SmallIntegerField(default=1)  # she and those merged into her
    cut_at = models.DateTimeField(null=True, blank=True)  # from when on nothing old of her is let in any more
    finished_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=200, default="", blank=True)

    OPEN = (State.WAITING, State.RUNNING, State.CHECKING)
    PERSONAL = ("reason", "requested_by_name")
    SECRET = ("keys",)
    NOT_PERSONAL = ("waits_for", "step", "counts", "left", "last_error")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["contact"], condition=Q(state__in=["waiting", "running", "checking"]), name="one_open_erasure"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "running", "checking"])
                | Q(finished_at__isnull=False, next_at__isnull=True, keys="", reason=""),
                name="erasure_over_holds_nothing",
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="erasure_due"),
            models.Index(fields=["-requested_at", "-id"], name="erasure_recent"),
        ]

    @property
    def is_over(self) -> bool:
        return self.state not in self.OPEN


class ErasedKey(models.Model):
    """An id that belonged to somebody who was erased, as a digest under the merchant's own secret: enough to know it again, not
    to read it. What is told of it from before `erased_at` is not let in; what begins later is a new person's."""

    digest = models.CharField(max_length=64, unique=True)
    erased_at = models.DateTimeField()

    NOT_PERSONAL = ("digest",)


class ErasureSecret(models.Model):
    """The secret of the digests above: one row, made with the first erasure."""

    secret = SecretField()
    created_at = models.DateTimeField()

    SECRET = ("secret",)
