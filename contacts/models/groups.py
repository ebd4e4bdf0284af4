"""Customer groups (客户群) and who was in them, from when to when."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from contacts.models.organisation import Member, Store
from wecom_bridge.models import Corp


class GroupChat(models.Model):
    """A customer group. Its owner (群主) is the only one who can mass-send into it."""

    class Status(models.IntegerChoices):
        NORMAL = 0, _("正常")
        OWNER_LEFT = 1, _("群主离职")
        INHERITING = 2, _("离职继承中")
        INHERITED = 3, _("离职继承完成")

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="+", db_index=False)
    id_space = models.CharField(max_length=64, default="plain", db_default="plain")
    chat_id = models.CharField(max_length=64)
    name = models.CharField(max_length=200, default="", blank=True)
    notice = models.TextField(default="", blank=True)
    owner = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, blank=True, related_name="owned_groups")
    owner_userid = models.CharField(max_length=64, default="", blank=True)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="group_chats")
    status = models.SmallIntegerField(choices=Status.choices, default=Status.NORMAL)
    member_version = models.CharField(max_length=64, default="", blank=True)
    # Changes of members that no callback told: their LastMemVer was not the version we had. The full read settled them.
    version_gaps = models.IntegerField(default=0, db_default=0)
    version_gap_at = models.DateTimeField(null=True, blank=True)
    member_count = models.IntegerField(default=0)
    customer_count = models.IntegerField(default=0)  # external people among them
    created_at = models.DateTimeField()
    dismissed_at = models.DateTimeField(null=True, blank=True)
    last_sent_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)

    PERSONAL = ("name", "notice")
    NOT_PERSONAL = ("id_space", "chat_id", "owner_userid", "member_version")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corp", "chat_id", "id_space"], name="one_group_per_chat_id")]

    def __str__(self) -> str:
        return self.name


class GroupMembership(models.Model):
    """Somebody was in a group from joined_at to left_at; a return is a new row.

    `userid` is a member's userid or an external_userid, whichever `kind` says; contact or member where we know them.
    """

    group = models.ForeignKey(GroupChat, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    kind = models.SmallIntegerField(choices=[(1, _("企业成员")), (2, _("客户"))])
    userid = models.CharField(max_length=64)
    name = models.CharField(max_length=128, default="", blank=True)
    group_nickname = models.CharField(max_length=128, default="", blank=True)
    contact = models.ForeignKey(
        "contacts.Contact", on_delete=models.SET_NULL, null=True, blank=True, related_name="group_memberships"
    )
    member = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    joined_at = models.DateTimeField()
    join_scene = models.IntegerField(default=0)
    invitor_userid = models.CharField(max_length=64, default="", blank=True)
    state = models.CharField(max_length=64, default="", blank=True)
    left_at = models.DateTimeField(null=True, blank=True)
    quit_scene = models.IntegerField(null=True, blank=True)

    PERSONAL = ("userid", "invitor_userid", "name", "group_nickname")  # both ids may be a customer's
    NOT_PERSONAL = ("state",)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "userid", "joined_at"], name="one_row_per_joining"),
            models.UniqueConstraint(
                fields=["group", "userid"], condition=Q(left_at__isnull=True), name="in_a_group_once"
            ),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True) | Q(left_at__gte=F("joined_at")), name="membership_in_order"
            ),
        ]
        # People in groups whom nobody knows yet: looked up when one becomes known.
        indexes = [
            models.Index(fields=["userid"], condition=Q(contact__isnull=True, kind=2), name="membership_unknown")
        ]


class GroupTagSet(models.Model):
    """群标签组: what group tags are about (门店类型, 活动). For order only: a tag is one of all by its name."""

    name = models.CharField(max_length=30, unique=True)
    created_at = models.DateTimeField()

    NOT_PERSONAL = ("name",)

    def __str__(self) -> str:
        return self.name


class GroupTag(models.Model):
    """A tag of our own on groups (群标签). WeCom has none for groups: it is never sent there."""

    name = models.CharField(max_length=30, unique=True)
    tag_set = models.ForeignKey(GroupTagSet, on_delete=models.SET_NULL, null=True, blank=True, related_name="tags")
    created_at = models.DateTimeField()
    groups = models.ManyToManyField(GroupChat, through="GroupTagging", related_name="tags")

    NOT_PERSONAL = ("name",)

    def __str__(self) -> str:
        return self.name


class GroupTagging(models.Model):
    """A group carries a tag."""

    tag = models.ForeignKey(GroupTag, on_delete=models.CASCADE, related_name="taggings", db_index=False)
    group = models.ForeignKey(GroupChat, on_delete=models.CASCADE, related_name="taggings")
    tagged_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tag", "group"], name="a_group_tag_once")]
