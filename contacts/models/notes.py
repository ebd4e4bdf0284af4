"""What colleagues write about a person: 跟进记录, 待办, and the edits of a guide's remark that travel to WeCom."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models.organisation import Member
from contacts.models.people import Contact, Follow


class Note(models.Model):
    """跟进记录. Its author may put it right or take it back for a while (services.notes.EDITABLE); then it stands as it is."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="notes", db_index=False)
    text = models.CharField(max_length=1000, blank=True)  # empty once taken back
    author_id = models.BigIntegerField()  # accounts.User
    author_name = models.CharField(max_length=40)  # as of the writing
    written_at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    PERSONAL = ("text", "author_name")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(Q(withdrawn_at__isnull=True) & ~Q(text="")) | Q(withdrawn_at__isnull=False, text=""),
                name="note_says_something",
            )
        ]
        indexes = [models.Index(fields=["contact", "-written_at", "-id"], name="note_contact")]


class Todo(models.Model):
    """待办: what a guide is to do for a person, and by when.

    remind_at: when an app message is due, None when none is (any more); it is taken away in the transaction that writes the
    command, so that a to-do reminds at most once for an instant.
    """

    class Reminder(models.TextChoices):
        NONE = "none", _("不提醒")
        WAITING = "waiting", _("到时提醒")
        SENDING = "sending", _("提醒发送中")
        SENT = "sent", _("已提醒")
        FAILED = "failed", _("提醒没有发出")

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="todos", db_index=False)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+", db_index=False)
    text = models.CharField(max_length=200)
    due_at = models.DateTimeField()
    remind_at = models.DateTimeField(null=True, blank=True)
    reminder = models.CharField(max_length=8, choices=Reminder.choices, default=Reminder.NONE)
    reminder_error = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField()
    author_id = models.BigIntegerField()
    author_name = models.CharField(max_length=40)
    done_at = models.DateTimeField(null=True, blank=True)
    done_by_id = models.BigIntegerField(null=True, blank=True)
    done_by_name = models.CharField(max_length=40, default="", blank=True)

    PERSONAL = ("text", "author_name", "done_by_name")
    NOT_PERSONAL = ("reminder_error",)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="todo_says_something"),
            models.CheckConstraint(
                condition=Q(done_at__isnull=True, done_by_id__isnull=True)
                | Q(done_at__isnull=False, done_by_id__isnull=False),
                name="todo_done_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(remind_at__isnull=True) | Q(reminder="waiting"), name="todo_reminds_while_waiting"
            ),
        ]
        indexes = [
            models.Index(fields=["contact", "-due_at", "-id"], name="todo_contact"),
            models.Index(fields=["member", "due_at"], condition=Q(done_at__isnull=True), name="todo_member_open"),
            models.Index(
                fields=["remind_at"], condition=Q(remind_at__isnull=False, done_at__isnull=True), name="todo_remind"
            ),
        ]


class RemarkEdit(models.Model):
    """A wish to change what a guide noted on a follow (externalcontact/remark). None: this field is not to change."""

    class State(models.TextChoices):
        WAITING = "waiting", _("同步中")
        DONE = "done", _("已同步")
        FAILED = "failed", _("同步失败")
        REPLACED = "replaced", _("已被后来的修改取代")

    follow = models.ForeignKey(Follow, on_delete=models.CASCADE, related_name="remark_edits", db_index=False)
    remark = models.CharField(max_length=20, null=True, blank=True)
    description = models.CharField(max_length=150, null=True, blank=True)
    remark_company = models.CharField(max_length=20, null=True, blank=True)
    remark_mobiles = ArrayField(models.CharField(max_length=40), null=True, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    last_error = models.CharField(max_length=200, default="", blank=True)
    asked_at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    FIELDS = ("remark", "description", "remark_company", "remark_mobiles")
    PERSONAL = FIELDS
    NOT_PERSONAL = ("last_error",)

    class Meta:
        indexes = [
            models.Index(
                fields=["follow", "id"], condition=Q(state__in=["waiting", "failed"]), name="remark_edit_open"
            ),
            models.Index(fields=["settled_at"], condition=Q(settled_at__isnull=False), name="remark_edit_settled"),
        ]

    def changes(self) -> dict[str, object]:
        """The fields that are to change, with their new values."""
        return {name: getattr(self, name) for name in self.FIELDS if getattr(self, name) is not None}
