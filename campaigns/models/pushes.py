"""Push → Dispatch → Delivery: what is wanted, what a guide sees and WeCom is called for, and what became of each person.

States, reasons and their allowed next are one list in campaigns.states; the columns here only hold its words.
"""

from django.db import models
from django.db.models import Q

from campaigns.models.content import ContentVersion, MessageClass
from campaigns.states import DeliveryState, DispatchState, PushKind, PushState, PushTarget
from contacts.models import Contact, Dealer, Follow, GroupChat, Member, Region, Store


class Push(models.Model):
    """One frozen audience. A broadcast has one per version; a SOP one per (version, step, slot)."""

    kind = models.CharField(max_length=12, choices=PushKind.choices)
    target = models.CharField(max_length=8, choices=PushTarget.choices)  # whom the deliveries are for
    source_id = models.BigIntegerField()  # Broadcast or SopVersion, as the kind says
    source_version = models.BigIntegerField()  # the broadcast's version; the SOP step's id
    slot_at = models.DateTimeField(null=True, blank=True)  # a SOP push's instant; null for a broadcast
    title = models.CharField(max_length=80)
    message_class = models.CharField(max_length=10, choices=MessageClass.choices)
    state = models.CharField(max_length=10, choices=PushState.choices, default=PushState.FROZEN)
    audience_count = models.BigIntegerField(default=0)
    audience_hash = models.CharField(max_length=64, default="", blank=True)
    holdout_percent = models.SmallIntegerField(default=0)
    notify_at = models.DateTimeField()  # 通知时间: before it no WeCom task exists
    confirm_by = models.DateTimeField()  # 确认截止时间
    frozen_at = models.DateTimeField()
    stop_wanted_at = models.DateTimeField(null=True, blank=True)  # somebody stopped the whole push
    ended_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("title", "audience_hash")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "source_id", "source_version", "slot_at"],
                nulls_distinct=False,
                name="one_push_per_source",
            ),
            # Only a moment is for nobody in particular.
            models.CheckConstraint(
                condition=Q(kind="moment", target="none") | ~Q(kind="moment") & ~Q(target="none"),
                name="push_kind_has_its_target",
            ),
            models.CheckConstraint(
                condition=Q(confirm_by__gt=models.F("notify_at")), name="push_deadline_after_notice"
            ),
            models.CheckConstraint(
                condition=Q(holdout_percent__gte=0, holdout_percent__lte=50), name="push_holdout_range"
            ),
        ]
        indexes = [
            models.Index(fields=["state", "confirm_by"], name="push_open"),
            models.Index(fields=["-notify_at"], name="push_recent"),
        ]


class Dispatch(models.Model):
    """A unit: one sender, one rendered content, at most 10,000 people or 2,000 groups, one WeCom task."""

    push = models.ForeignKey(Push, on_delete=models.PROTECT, related_name="dispatches", db_index=False)
    sender = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+", db_index=False)
    chunk = models.SmallIntegerField(default=0)
    content_version = models.ForeignKey(ContentVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    text = models.TextField(default="", blank=True)  # rendered for this sender and store
    attachments = models.JSONField(default=list, blank=True)
    content_digest = models.CharField(max_length=64)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    region = models.ForeignKey(
        Region, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    dealer = models.ForeignKey(
        Dealer, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    state = models.CharField(max_length=10, choices=DispatchState.choices, default=DispatchState.WAITING)
    reason = models.CharField(max_length=24, default="", blank=True)
    note = models.CharField(max_length=200, default="", blank=True)
    planned = models.BigIntegerField(default=0)
    agreed_at = models.DateTimeField(null=True, blank=True)  # 同意
    agreed_by_id = models.BigIntegerField(null=True, blank=True)
    claimed_at = models.DateTimeField(
        null=True, blank=True
    )  # the WeCom task was asked for; a lost answer is sought from here
    msgid = models.CharField(max_length=64, default="", blank=True)
    tasked_at = models.DateTimeField(null=True, blank=True)  # WeCom has the task
    confirmed_at = models.DateTimeField(null=True, blank=True)  # 确认发送, WeCom's send_time
    stop_wanted_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reminded_count = models.SmallIntegerField(default=0)
    reminded_at = models.DateTimeField(null=True, blank=True)
    poll_at = models.DateTimeField(null=True, blank=True)  # domain time of the next look at WeCom

    PERSONAL = ("note",)
    NOT_PERSONAL = ("text", "attachments", "content_digest", "reason", "msgid")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["push", "sender", "content_digest", "chunk"], name="one_dispatch_per_chunk"
            ),
            models.UniqueConstraint(fields=["msgid"], condition=~Q(msgid=""), name="one_dispatch_per_msgid"),
            # A lost answer is told apart by sender and content: two such calls may never be in doubt at once.
            models.UniqueConstraint(
                fields=["sender", "content_digest"],
                condition=Q(state="creating"),
                name="one_unsettled_unit_per_content",
            ),
        ]
        indexes = [
            models.Index(fields=["sender", "state"], name="dispatch_sender"),
            models.Index(fields=["state", "poll_at"], condition=Q(poll_at__isnull=False), name="dispatch_poll"),
        ]


class Delivery(models.Model):
    """What became of one target of a push. The sum over states is always the target.

    target: `c<id>` of a root contact, or `g<id>` of a group chat. For people, the follow chosen by one voice names corp,
    external_userid and sender.
    """

    push = models.ForeignKey(Push, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    target = models.CharField(max_length=24)
    contact = models.ForeignKey(
        Contact, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    group = models.ForeignKey(
        GroupChat, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    follow = models.ForeignKey(
        Follow, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    dispatch = models.ForeignKey(Dispatch, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries")
    external_userid = models.CharField(max_length=130, default="", blank=True)
    state = models.CharField(max_length=10, choices=DeliveryState.choices)
    reason = models.CharField(max_length=24, default="", blank=True)
    note = models.CharField(max_length=60, default="", blank=True)  # why the guide left this person out
    # As of the freeze.
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    member = models.ForeignKey(
        Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    region = models.ForeignKey(
        Region, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    dealer = models.ForeignKey(
        Dealer, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    frozen_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    PERSONAL = ("external_userid", "note")
    NOT_PERSONAL = ("target", "reason")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["push", "target"], name="one_delivery_per_target"),
            models.CheckConstraint(
                condition=Q(contact__isnull=False, group__isnull=True) | Q(contact__isnull=True, group__isnull=False),
                name="delivery_is_for_a_person_or_a_group",
            ),
        ]
        indexes = [
            models.Index(fields=["push", "state", "reason"], name="delivery_push_state"),
            models.Index(
                fields=["contact"], condition=Q(state__in=["planned", "tasked"]), name="delivery_contact_open"
            ),
            models.Index(
                fields=["contact", "-sent_at"], condition=Q(sent_at__isnull=False), name="delivery_contact_sent"
            ),
            models.Index(fields=["group", "-sent_at"], condition=Q(group__isnull=False), name="delivery_group_sent"),
            # What was meant for a person, whatever became of it: conditions ask.
            models.Index(
                fields=["contact", "frozen_at"], condition=Q(contact__isnull=False), name="delivery_contact_frozen"
            ),
        ]


class DeliveryMove(models.Model):
    """A delivery passed from one guide's unit to another's; only where campaigns.states.may_move allows it.

    The delivery names the new voice; who was to speak before, and to which external_userid, is kept here.
    """

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="moves", db_index=False)
    from_dispatch = models.ForeignKey(Dispatch, on_delete=models.PROTECT, related_name="+", db_index=False)
    to_dispatch = models.ForeignKey(Dispatch, on_delete=models.PROTECT, related_name="+", db_index=False)
    from_follow = models.ForeignKey(
        Follow, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )  # null for a group
    from_member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+", db_index=False)
    from_external_userid = models.CharField(max_length=130, default="", blank=True)  # empty for a group
    moved_at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True, blank=True)

    PERSONAL = ("from_external_userid",)

    class Meta:
        constraints = [
            # A unit left is over: nobody comes back to it, so nobody leaves it twice.
            models.UniqueConstraint(fields=["delivery", "from_dispatch"], name="one_move_out_of_a_unit"),
            models.CheckConstraint(
                condition=~Q(from_dispatch=models.F("to_dispatch")), name="delivery_moves_to_another_unit"
            ),
        ]
