"""Tags, their groups, who wears them, and what waits to be put on or moved."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact, Follow
from scrm.lib.db.deletion import cascade_rows
from wecom_bridge.models import Corp


class Colour(models.TextChoices):
    """What a tag may be marked with, beside its name: a colour never says anything alone."""

    NONE = "", _("无色")
    RED = "red", _("红")
    ORANGE = "orange", _("橙")
    GREEN = "green", _("绿")
    TEAL = "teal", _("青")
    BLUE = "blue", _("蓝")
    PURPLE = "purple", _("紫")
    GREY = "grey", _("灰")


class TagGroup(models.Model):
    """标签组. corp tags mirror WeCom's; internal ones never reach it; personal ones are a guide's own, mirrored."""

    class Kind(models.TextChoices):
        CORP = "corp", _("企业标签")
        INTERNAL = "internal", _("内部标签")
        PERSONAL = "personal", _("个人标签")

    kind = models.CharField(max_length=8, choices=Kind.choices)
    corp = models.ForeignKey(Corp, on_delete=cascade_rows, null=True, blank=True, related_name="+", db_index=False)
    wecom_group_id = models.CharField(max_length=64, null=True, blank=True)
    name = models.CharField(max_length=64)
    order = models.BigIntegerField(default=0)  # WeCom: larger first
    is_exclusive = models.BooleanField(default=False)
    # Made through our app, so that it may be renamed, moved and deleted here. None: made before this was noted; WeCom's answer tells.
    is_ours = models.BooleanField(null=True, blank=True)
    note = models.CharField(max_length=300, default="", db_default="", blank=True)
    owner_id = models.BigIntegerField(null=True, blank=True)  # the user who answers for it
    last_error = models.CharField(max_length=200, default="", db_default="", blank=True)  # why WeCom refused a change
    deleted_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("wecom_group_id", "name", "note", "last_error")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["corp", "wecom_group_id"], name="one_tag_group_per_id"),
            models.CheckConstraint(condition=~Q(kind="corp") | Q(corp__isnull=False), name="corp_tag_group_has_corp"),
        ]
        ordering = ("-order", "id")

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A tag; by wecom_tag_id, never by name. is_ours: created through our app, so it may be renamed and deleted here."""

    group = models.ForeignKey(TagGroup, on_delete=models.CASCADE, related_name="tags")
    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False)
    wecom_tag_id = models.CharField(max_length=64, null=True, blank=True)
    name = models.CharField(max_length=64)
    order = models.BigIntegerField(default=0)
    is_ours = models.BooleanField(default=False)
    last_error = models.CharField(
        max_length=200, default="", blank=True
    )  # why WeCom refused to create, rename or delete it
    definition = models.CharField(
        max_length=300, default="", db_default="", blank=True
    )  # what it means, when to put it
    owner_id = models.BigIntegerField(null=True, blank=True)  # the user who answers for it
    colour = models.CharField(max_length=8, choices=Colour.choices, default="", db_default="", blank=True)
    created_at = models.DateTimeField(null=True, blank=True)  # WeCom's time, or ours; None for those known before
    # Merged into another: hidden, and whoever gets it gets the other. It still stands in WeCom, until it is deleted.
    alias_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="aliases")
    deleted_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("wecom_tag_id", "name", "last_error", "definition", "colour")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["corp", "wecom_tag_id"], name="one_tag_per_id"),
            models.UniqueConstraint(
                fields=["group", "name"], condition=Q(deleted_at__isnull=True), name="one_tag_name_per_group"
            ),
        ]
        ordering = ("-order", "id")

    def __str__(self) -> str:
        return self.name


class FollowTag(models.Model):
    """A guide's customer carries a tag, and why. state: our wish against WeCom's truth."""

    class Origin(models.TextChoices):
        SYNC = "sync", _("企业微信")
        GUIDE = "guide", _("导购")
        OPERATOR = "operator", _("运营")
        RULE = "rule", _("规则")
        CODE = "code", _("活码")
        IMPORT = "import", _("导入")
        API = "api", "API"

    class State(models.TextChoices):
        ON = "on", _("已打")
        ADDING = "adding", _("打标中")
        REMOVING = "removing", _("去标中")
        FAILED = "failed", _("打标失败")

    follow = models.ForeignKey(Follow, on_delete=models.CASCADE, related_name="follow_tags")
    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, related_name="+", db_index=False
    )  # follow.contact, for indexes
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="follow_tags", db_index=False)
    origin = models.CharField(max_length=8, choices=Origin.choices)
    rule = models.ForeignKey("tagging.Rule", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    actor_id = models.BigIntegerField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.ON)
    tagged_at = models.DateTimeField()  # domain time of the wish, or when we first saw it
    settled_at = models.DateTimeField(
        null=True, blank=True
    )  # domain time of WeCom's last word; an older read says nothing
    last_error = models.CharField(max_length=200, default="", blank=True)  # why WeCom refused
    via = models.CharField(max_length=40, null=True, blank=True)  # what put it, as "bulk:12" (tagging.sources)

    NOT_PERSONAL = ("last_error", "via")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["follow", "tag"], name="one_mark_per_tag")]
        indexes = [
            models.Index(fields=["tag", "contact"], name="follow_tag_tag"),
            models.Index(fields=["contact", "tag"], name="follow_tag_contact"),
        ]


class TagCapacity(models.Model):
    """The number of corp tags at which WeCom refused one more."""

    corp = models.OneToOneField(Corp, on_delete=cascade_rows, related_name="+")
    limit = models.IntegerField()
    learnt_at = models.DateTimeField()


class PreTag(models.Model):
    """Tags for somebody who is not here yet, by phone (E.164) or unionid: put on when she arrives, once."""

    class State(models.TextChoices):
        WAITING = "waiting", _("等客户来")
        APPLIED = "applied", _("已打上")
        CLASH = "clash", _("有多位客户")
        VOID = "void", _("标签已删除")

    import_id = models.BigIntegerField()  # the ImportRun that brought it
    kind = models.CharField(max_length=8, choices=[("phone", _("手机号")), ("unionid", "unionid")])
    value = models.CharField(max_length=130)
    tag_ids = models.JSONField(default=list)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    contact = models.ForeignKey(Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    consumed_at = models.DateTimeField(null=True, blank=True)

    PERSONAL = ("value",)
    NOT_PERSONAL = ("tag_ids",)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["import_id", "kind", "value"], name="pre_tagged_once_per_file"),
            models.CheckConstraint(
                condition=~Q(state="applied") | Q(consumed_at__isnull=False), name="an_applied_pre_tag_says_when"
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "value"], condition=Q(state__in=["waiting", "clash"]), name="pre_tag_open"),
        ]


class TagMerge(models.Model):
    """One tag merged into another: at one instant for us, follow by follow in WeCom afterwards; taken back the same way."""

    class State(models.TextChoices):
        WAITING = "waiting", _("排队中")
        MOVING = "moving", _("合并中")
        DONE = "done", _("已合并")
        UNDOING = "undoing", _("撤销中")
        UNDONE = "undone", _("已撤销")
        FAILED = "failed", _("未合并")

    old = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="+")
    kept = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    relations = models.BigIntegerField(default=0)  # moved by it
    undone = models.BigIntegerField(default=0)  # of these, set back by the undo; the others had changed since
    rewritten = models.JSONField(default=list, blank=True)  # rules, segments and stages, with what they said before
    last_error = models.CharField(max_length=300, default="", blank=True)
    job_id = models.BigIntegerField(null=True, blank=True)
    undo_job_id = models.BigIntegerField(null=True, blank=True)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    moved_at = models.DateTimeField(null=True, blank=True)
    undo_asked_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("rewritten", "last_error")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["old"],
                condition=Q(state__in=["waiting", "moving", "done", "undoing"]),
                name="merged_into_one_tag",
            ),
            models.CheckConstraint(condition=~Q(old=models.F("kept")), name="merged_into_another"),
        ]


class TagMergeMove(models.Model):
    """A relation whose tag a merge moved, with what the old mark said."""

    merge = models.ForeignKey(TagMerge, on_delete=models.CASCADE, related_name="moves", db_index=False)
    follow = models.ForeignKey(Follow, on_delete=models.CASCADE, related_name="+")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    had_kept = models.BooleanField()  # she carried the kept one already
    origin = models.CharField(max_length=8, choices=FollowTag.Origin.choices)
    rule_id = models.BigIntegerField(null=True, blank=True)
    actor_id = models.BigIntegerField(null=True, blank=True)
    via = models.CharField(max_length=40, null=True, blank=True)
    tagged_at = models.DateTimeField()
    moved_at = models.DateTimeField()
    is_told = models.BooleanField(default=False)  # the command that tells WeCom is written
    is_undone = models.BooleanField(null=True, blank=True)  # None: nobody asked; False: changed since

    NOT_PERSONAL = ("via",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["merge", "follow"], name="moved_once_per_merge")]
        indexes = [models.Index(fields=["merge", "id"], condition=Q(is_told=False), name="tag_moves_to_tell")]
