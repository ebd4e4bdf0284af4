"""Tags, who carries them and why; segments with stored entries; rules that act when a person starts to match."""

from typing import Any

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


class Segment(models.Model):
    """人群: a condition tree with stored entries, or a fixed list.

    built_version: the tree_version the entries answer to. builder: the token of whoever computes it now; an edit takes it away, and
    what it writes is refused then. lease_until (wall time): when the server breaks that off at the latest.
    """

    class State(models.TextChoices):
        FRESH = "fresh", _("已更新")
        BUILDING = "building", _("计算中")
        STALE = "stale", _("待更新")
        FAILED = "failed", _("失败")

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=8, choices=[("dynamic", _("动态")), ("static", _("静态"))], default="dynamic")
    tree = models.JSONField(default=dict, blank=True)
    tree_version = models.BigIntegerField(default=1)
    field_keys = models.JSONField(default=list, blank=True)  # what the tree reads: decides which marks concern it
    state = models.CharField(max_length=8, choices=State.choices, default=State.STALE)
    size = models.BigIntegerField(default=0)
    fresh_at = models.DateTimeField(null=True, blank=True)  # 截至
    last_error = models.TextField(default="", blank=True)
    job_id = models.BigIntegerField(null=True, blank=True)  # the latest full build (tenants.ledger.Job)
    built_version = models.BigIntegerField(null=True, blank=True)
    built_at = models.DateTimeField(null=True, blank=True)  # domain time of the latest full build
    build_ms = models.BigIntegerField(null=True, blank=True)
    builder = models.CharField(max_length=32, default="", db_default="", blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("name", "tree", "field_keys", "last_error", "builder")

    def __str__(self) -> str:
        return self.name


class SegmentEntry(models.Model):
    """A root contact is in a segment: by its condition, pinned by hand, or on a fixed list."""

    class Origin(models.TextChoices):
        TREE = "tree", _("符合条件")
        PIN = "pin", _("手动加入")
        LIST = "list", _("名单")

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="entries", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="segment_entries")
    entered_at = models.DateTimeField()
    origin = models.CharField(max_length=4, choices=Origin.choices, default=Origin.TREE, db_default="tree")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["segment", "contact"], name="in_a_segment_once")]


class SegmentPin(models.Model):
    """Somebody decided by hand that a person is in a dynamic segment, or never in it, whatever its condition says. Of a person's
    rows, merged ones included, one that keeps her out wins."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="pins", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    is_in = models.BooleanField()
    reason = models.CharField(max_length=200, default="", blank=True)
    pinned_by_id = models.BigIntegerField(null=True, blank=True)
    pinned_at = models.DateTimeField()

    PERSONAL = ("reason",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["segment", "contact"], name="pinned_to_a_segment_once")]


class SegmentSize(models.Model):
    """How many a segment had at the end of a day of the merchant's; of a day without change there is no row. Pruned by retention."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="sizes", db_index=False)
    day = models.DateField()
    size = models.BigIntegerField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["segment", "day"], name="segment_size_once_a_day")]
        indexes = [models.Index(fields=["counted_at"], name="segment_size_time")]


class SegmentChange(models.Model):
    """Somebody entered or left a segment: append-only, pruned by retention. build: the job of the full build that wrote it."""

    class Kind(models.TextChoices):
        ENTER = "enter", _("进入")
        LEAVE = "leave", _("离开")

    class Cause(models.TextChoices):
        CHANGE = "change", _("客户变化")
        BUILD = "build", _("重新计算")
        PIN = "pin", _("手动调整")
        LIST = "list", _("名单变化")

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="changes", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    cause = models.CharField(max_length=6, choices=Cause.choices)
    tree_version = models.BigIntegerField()
    changed_at = models.DateTimeField()
    build = models.BigIntegerField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["segment", "-changed_at"], name="segment_change_recent"),
            models.Index(fields=["changed_at"], name="segment_change_time"),
        ]


class Rule(models.Model):
    """When the trigger comes (tagging.triggers) and the tree holds, do the actions. Its columns are those of the latest version."""

    class State(models.TextChoices):
        DRAFT = "draft", _("草稿")
        ON = "on", _("已启用")
        OFF = "off", _("已停用")
        BROKEN = "broken", _("需修复")

    name = models.CharField(max_length=60, unique=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.DRAFT)
    tree = models.JSONField(default=dict)
    field_keys = models.JSONField(default=list, blank=True)
    actions = models.JSONField(default=list)  # [{"kind": "tag", …}] as registered in tagging.actions
    version = models.BigIntegerField(default=1)
    enabled_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(default="", blank=True)
    created_by_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    trigger = models.JSONField(null=True, blank=True)  # {"kind": …, **parameters}; null: whoever starts to match
    position = models.BigIntegerField(
        default=0, db_default=0
    )  # smaller first: of two that contradict each other it wins
    daily_cap = models.SmallIntegerField(null=True, blank=True)  # runs per person within 24 hours; null: the tenant's
    takes_back = models.BooleanField(default=False, db_default=False)  # tags it put go when she stops matching
    next_run_at = models.DateTimeField(null=True, blank=True)  # of a schedule, domain time

    NOT_PERSONAL = ("name", "tree", "field_keys", "actions", "last_error", "trigger")

    def __str__(self) -> str:
        return self.name

    @property
    def when(self) -> dict[str, Any]:
        """The trigger, as stored or as it was before there were others."""
        return self.trigger or {"kind": "match"}

    @property
    def is_match(self) -> bool:
        """Whether it acts on whoever starts to match."""
        return bool(self.when.get("kind") == "match")


class RuleVersion(models.Model):
    """A rule as it was saved; never changed. Runs name the number."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.BigIntegerField()
    trigger = models.JSONField(null=True, blank=True)
    tree = models.JSONField(default=dict)
    actions = models.JSONField(default=list)
    daily_cap = models.SmallIntegerField(null=True, blank=True)
    takes_back = models.BooleanField(default=False)
    saved_at = models.DateTimeField()
    saved_by_id = models.BigIntegerField(null=True, blank=True)

    NOT_PERSONAL = ("trigger", "tree", "actions")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "number"], name="one_rule_version")]


class RuleEvent(models.Model):
    """Something happened to a person that a rule listens to: written in the transaction of the fact, worked off after it, kept as the log.

    trigger_key is derived from what happened, so that the same fact told twice is one row.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("待执行")
        DONE = "done", _("已执行")
        SKIPPED = "skipped", _("未执行")

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="events", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+", db_index=False)
    rule_version = models.BigIntegerField()
    trigger_key = models.CharField(max_length=200)
    happened_at = models.DateTimeField()  # of the fact itself
    written_at = models.DateTimeField()  # domain time
    chain = models.JSONField(default=list, blank=True)  # ids of the rules whose doing it was
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    outcome = models.JSONField(default=dict, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    job_id = models.BigIntegerField(null=True, blank=True)  # of a backfill (tenants.ledger.Job)

    NOT_PERSONAL = ("trigger_key", "chain", "outcome")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "trigger_key"], name="rule_hears_once")]
        indexes = [
            models.Index(fields=["rule", "-happened_at"], name="rule_event_recent"),
            models.Index(fields=["contact", "rule"], name="rule_event_contact"),
            models.Index(fields=["contact", "id"], condition=Q(state="waiting"), name="rule_event_waiting"),
            models.Index(fields=["job_id"], condition=Q(job_id__isnull=False), name="rule_event_job"),
            models.Index(fields=["settled_at"], condition=Q(settled_at__isnull=False), name="rule_event_settled"),
        ]


class RuleSlot(models.Model):
    """One time of a rule with a schedule: run, or missed because we were too late."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="slots", db_index=False)
    slot_at = models.DateTimeField()
    rule_version = models.BigIntegerField()
    seen_at = models.DateTimeField()
    is_missed = models.BooleanField(default=False)
    people = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "slot_at"], name="rule_slot_once")]


class RuleMatch(models.Model):
    """A person matches a rule now (left_at null) or did; actions ran at entering, once."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="matches", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    rule_version = models.BigIntegerField()
    entered_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True, blank=True)
    outcome = models.JSONField(default=dict, blank=True)

    NOT_PERSONAL = ("outcome",)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "contact"], condition=Q(left_at__isnull=True), name="matches_a_rule_once"
            )
        ]
        indexes = [
            models.Index(fields=["rule", "-entered_at"], name="rule_match_recent"),
        ]


class RfmGrid(models.Model):
    """The merchant's RFM grid (tagging.rfm), one row: made when somebody first looks, and anew each day."""

    due_at = models.DateTimeField(null=True, blank=True)  # domain time of the next computing
    computed_at = models.DateTimeField(null=True, blank=True)  # 截至
    days = models.JSONField(default=list, blank=True)  # bounds of R, see rfm.Grid
    times = models.JSONField(default=list, blank=True)  # bounds of F
    cells = models.JSONField(default=list, blank=True)  # [[R, F, people, minor units, orders], …]

    NOT_PERSONAL = ("days", "times", "cells")
