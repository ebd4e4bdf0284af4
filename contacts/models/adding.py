"""批量加好友: phones that guides are to add by hand, since WeCom has no interface for adding, and what became of each."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models.organisation import Member, Store
from contacts.models.people import Contact


class PhoneBatch(models.Model):
    """The phones of one file. import_id: the import that brought them; its rows are kept for less long."""

    name = models.CharField(max_length=200)
    import_id = models.BigIntegerField(unique=True)
    created_at = models.DateTimeField()
    created_by_id = models.BigIntegerField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    job_id = models.BigIntegerField(null=True, blank=True)  # the latest distribution

    NOT_PERSONAL = ("name",)

    def __str__(self) -> str:
        return self.name


class PhoneToAdd(models.Model):
    """A phone (E.164) somebody is to add, of one batch; open in one batch at a time.

    store: within which it is given out. member: whose work it is or was. had: everybody whose work it was, the latest last.
    recycle_at: when it is taken from her. state_at: since when it stands as it stands.
    """

    class State(models.TextChoices):
        UNASSIGNED = "unassigned", _("待分配")
        TO_ADD = "to_add", _("待添加")
        WAITING = "waiting", _("待通过")
        ADDED = "added", _("已添加")
        RECYCLED = "recycled", _("已回收")
        INVALID = "invalid", _("无效")

    class Reason(models.TextChoices):
        WRONG_NUMBER = "wrong", _("号码无效")
        DECLINED = "declined", _("对方拒绝")
        TIRED = "tired", _("轮过的导购已达上限")
        STOPPED = "stopped", _("批次已停止")

    batch = models.ForeignKey(PhoneBatch, on_delete=models.CASCADE, related_name="phones", db_index=False)
    phone = models.CharField(max_length=20)
    name = models.CharField(max_length=60, default="", blank=True)
    remark = models.CharField(max_length=200, default="", blank=True)
    source = models.CharField(max_length=60, default="", blank=True)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    member = models.ForeignKey(
        Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    had = ArrayField(models.BigIntegerField(), default=list, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.UNASSIGNED)
    reason = models.CharField(max_length=8, choices=Reason.choices, default="", blank=True)
    created_at = models.DateTimeField()
    state_at = models.DateTimeField()
    recycle_at = models.DateTimeField(null=True, blank=True)
    copied_at = models.DateTimeField(null=True, blank=True)
    # Of those added: the person, and the guide who did it, who may be another than the one it was given to.
    contact = models.ForeignKey(Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    added_by = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    add_way = models.IntegerField(null=True, blank=True)

    PERSONAL = ("phone", "name", "remark")
    NOT_PERSONAL = ("source", "had")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["phone"], condition=Q(state__in=("unassigned", "to_add", "waiting")), name="phone_open_once"
            ),
            models.CheckConstraint(
                condition=Q(recycle_at__isnull=True) | Q(state__in=("to_add", "waiting"), member__isnull=False),
                name="phone_recycled_from_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["batch", "state", "-id"], name="phone_batch_state"),
            models.Index(fields=["state", "-id"], name="phone_state"),
            models.Index(fields=["member", "state", "-id"], name="phone_member_state"),
            models.Index(fields=["recycle_at"], condition=Q(recycle_at__isnull=False), name="phone_recycle"),
            models.Index(fields=["state_at"], name="phone_state_at"),
        ]
