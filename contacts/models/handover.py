"""客户继承: who takes over the customers and groups of a guide, and what became of each of them.

A plan is a wish; WeCom decides every row by itself. A row is one relation or one group, so the sum of the states is the plan.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models.groups import GroupChat
from contacts.models.organisation import Member
from contacts.models.people import Follow


class HandoverKind(models.TextChoices):
    ONJOB = "onjob", _("在职继承")
    RESIGNED = "resigned", _("离职继承")


class HandoverSplit(models.TextChoices):
    EVEN = "even", _("平均分配")
    STORE = "store", _("按客户所在门店")
    KNOWN = "known", _("优先给已是好友的导购")


class PlanState(models.TextChoices):
    DRAFT = "draft", _("草稿")
    RUNNING = "running", _("进行中")
    DONE = "done", _("已完成")
    STOPPED = "stopped", _("已停止")


PLAN_NEXT: dict[str, frozenset[str]] = {
    PlanState.DRAFT: frozenset({PlanState.RUNNING}),
    PlanState.RUNNING: frozenset({PlanState.DONE, PlanState.STOPPED}),
    PlanState.DONE: frozenset({PlanState.RUNNING}),  # some rows are asked for again
    PlanState.STOPPED: frozenset(),
}


class RowState(models.TextChoices):
    EXCLUDED = "excluded", _("不可转移")
    WAITING = "waiting", _("待发起")
    ASKING = "asking", _("发起中")
    SENT = "sent", _("等待接替")
    DONE = "done", _("已接替")
    REFUSED = "refused", _("客户拒绝")
    SUCCESSOR_FULL = "full", _("接替成员已满")
    NO_RECORD = "no_record", _("没有接替记录")
    FAILED = "failed", _("发起失败")
    STOPPED = "stopped", _("已停止")


_AGAIN = frozenset({RowState.WAITING})
# Each state with its allowed next. What WeCom has begun cannot be stopped by us: only a waiting row stops.
ROW_NEXT: dict[str, frozenset[str]] = {
    RowState.EXCLUDED: frozenset(),
    RowState.WAITING: frozenset({RowState.ASKING, RowState.STOPPED, RowState.FAILED}),
    RowState.ASKING: frozenset({RowState.WAITING, RowState.SENT, RowState.SUCCESSOR_FULL, RowState.FAILED}),
    RowState.SENT: frozenset({RowState.DONE, RowState.REFUSED, RowState.SUCCESSOR_FULL, RowState.NO_RECORD, RowState.FAILED}),
    RowState.DONE: frozenset(),
    RowState.REFUSED: frozenset(),  # she said no: nobody asks her again by a button for all
    RowState.SUCCESSOR_FULL: _AGAIN,
    RowState.NO_RECORD: _AGAIN | {RowState.DONE},  # WeCom's word may come late
    RowState.FAILED: _AGAIN,
    RowState.STOPPED: frozenset(),
}  # fmt: skip
ROW_OPEN = (RowState.WAITING, RowState.ASKING, RowState.SENT)
ROW_AGAIN = tuple(
    state for state, following in ROW_NEXT.items() if RowState.WAITING in following and state not in ROW_OPEN
)


class HandoverPlan(models.Model):
    """The customers and groups of one guide go to others. Nothing is told to WeCom before it runs."""

    kind = models.CharField(max_length=8, choices=HandoverKind.choices)
    from_member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="handovers")
    state = models.CharField(max_length=8, choices=PlanState.choices, default=PlanState.DRAFT)
    successor_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)
    fallback = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    split = models.CharField(max_length=8, choices=HandoverSplit.choices, default=HandoverSplit.EVEN)
    # What WeCom tells the customers; 200 characters, 在职 only (customer-contact reference 9).
    message = models.CharField(max_length=200, default="", blank=True)
    with_groups = models.BooleanField(default=True)
    moves_ownership = models.BooleanField(default=True)
    moves_remarks = models.BooleanField(default=False, db_default=False)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    batches = models.IntegerField(default=0)
    polled_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)  # when there is something to do for it; domain time

    NOT_PERSONAL = ("message", "successor_ids")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["from_member"], condition=Q(state__in=["draft", "running"]), name="one_open_handover_per_member"
            )
        ]
        indexes = [models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="handover_due")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.from_member}"


class HandoverRow(models.Model):
    """One relation, or one group, of a plan. errcode: WeCom's last no; reason: ours."""

    plan = models.ForeignKey(HandoverPlan, on_delete=models.CASCADE, related_name="rows", db_index=False)
    follow = models.ForeignKey(Follow, on_delete=models.CASCADE, null=True, blank=True, related_name="handovers")
    group = models.ForeignKey(GroupChat, on_delete=models.CASCADE, null=True, blank=True, related_name="handovers")
    successor = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    fallback = models.ForeignKey(
        Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    state = models.CharField(max_length=9, choices=RowState.choices)
    reason = models.CharField(max_length=24, default="", blank=True)
    errcode = models.IntegerField(null=True, blank=True)
    batch = models.IntegerField(null=True, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)  # when WeCom means to complete it
    settled_at = models.DateTimeField(null=True, blank=True)
    carried_at = models.DateTimeField(
        null=True, blank=True
    )  # when the apps above took over what hung on the old relation

    NOT_PERSONAL = ("reason",)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(follow__isnull=True, group__isnull=False) | Q(follow__isnull=False, group__isnull=True),
                name="handover_of_one_thing",
            ),
            models.UniqueConstraint(fields=["plan", "follow"], name="one_row_per_handed_follow"),
            models.UniqueConstraint(fields=["plan", "group"], name="one_row_per_handed_group"),
            models.UniqueConstraint(
                fields=["follow"],
                condition=Q(state__in=["waiting", "asking", "sent"]),
                name="follow_in_one_open_handover",
            ),
            models.UniqueConstraint(
                fields=["group"],
                condition=Q(state__in=["waiting", "asking", "sent"]),
                name="group_in_one_open_handover",
            ),
        ]
        indexes = [models.Index(fields=["plan", "state", "batch"], name="handover_row_state")]


class UnassignedCount(models.Model):
    """待分配: how many customers of a member who left wait for a successor, as WeCom's list said at an instant."""

    member = models.OneToOneField(Member, on_delete=models.CASCADE, related_name="unassigned")
    customers = models.IntegerField()
    read_at = models.DateTimeField()
