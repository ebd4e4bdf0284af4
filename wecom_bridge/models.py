"""The mirror's own books: whose corps, what came in, what goes out, how far a sync has come."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scrm.lib.crypto import SecretField
from wecom_bridge.figures.rows import ServiceMinute, ServiceTotal  # noqa: F401  # models of this app too

PLAIN = "plain"  # the id-space of the corp's own ids; a provider's app sees others, in a space named after it


class Corp(models.Model):
    """A WeCom corp (企业) of the tenant. Every WeCom id is unique per corp."""

    corp_id = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=80)
    # The open-platform account whose unionids this corp returns; empty when none is bound. Scope of unionid identities.
    open_account = models.CharField(max_length=64, default="", blank=True)
    # Whose ids the mirror of this corp carries: the space of the credential that speaks for it. The same text in another space
    # is somebody else.
    id_space = models.CharField(max_length=64, default=PLAIN, db_default=PLAIN)
    is_active = models.BooleanField(default=True)
    connected_at = models.DateTimeField(null=True, blank=True)
    last_synced_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    NOT_PERSONAL = ("corp_id", "name", "open_account", "id_space")

    def __str__(self) -> str:
        return self.name


class CorpCredential(models.Model):
    """One way to speak for a corp. `id_space` says whose ids it sees: plain, or a provider's encrypted ones."""

    class Kind(models.TextChoices):
        APP = "app", _("自建应用")

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="credentials", db_index=False)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.APP)
    agent_id = models.CharField(max_length=32, default="", blank=True)
    id_space = models.CharField(max_length=64, default=PLAIN)
    secret = SecretField()
    callback_token = SecretField(default="", blank=True)
    callback_aes_key = SecretField(default="", blank=True)
    access_token = SecretField(default="", blank=True)
    access_token_expires_at = models.DateTimeField(null=True, blank=True)  # wall time
    access_token_version = models.BigIntegerField(default=0)  # compare-and-swap: who refreshed last
    access_token_asked_at = models.DateTimeField(null=True, blank=True)  # wall time of the last gettoken that answered
    broken_at = models.DateTimeField(null=True, blank=True)  # the secret was refused; no further calls until it changes
    broken_reason = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField()

    SECRET = ("secret", "callback_token", "callback_aes_key", "access_token")
    NOT_PERSONAL = ("agent_id", "id_space", "broken_reason")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corp", "kind", "agent_id"], name="one_credential_per_app")]


class InboundEvent(models.Model):
    """A callback as it arrived, committed before it was acknowledged. Unique by the digest of the whole decrypted body."""

    class State(models.TextChoices):
        WAITING = "waiting", _("待处理")
        DONE = "done", _("已处理")
        IGNORED = "ignored", _("无需处理")
        RETRY = "retry", _("待重试")
        PARKED = "parked", _("已搁置")

    corp = models.ForeignKey(Corp, on_delete=models.PROTECT, related_name="+", db_index=False)
    digest = models.CharField(max_length=64)
    lane = models.CharField(max_length=16)
    event = models.CharField(max_length=48)
    change_type = models.CharField(max_length=48, default="", blank=True)
    entity_key = models.CharField(max_length=200)  # what the event says is dirty; ordered within, parallel across
    body = models.TextField()
    occurred_at = models.DateTimeField()  # CreateTime: seconds, not an order
    received_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.SmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()  # wall time
    claimed_until = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(default="", blank=True)

    OPEN = (State.WAITING, State.RETRY)
    # In last_error of an event that waits longer because its entity keeps coming back unchanged (services/pace.py).
    SLOWED = "slowed: keeps coming back unchanged"
    is_charged = True  # in a drain's hands: whether this try counts; no column

    PERSONAL = ("body", "entity_key")
    NOT_PERSONAL = ("digest", "lane", "event", "change_type", "last_error")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corp", "digest"], name="one_row_per_event")]
        indexes = [
            models.Index(
                fields=["lane", "next_attempt_at", "id"],
                condition=Q(state__in=["waiting", "retry"]),
                name="inbound_due",
            ),
            models.Index(
                fields=["entity_key", "id"], condition=Q(state__in=["waiting", "retry"]), name="inbound_entity"
            ),
            models.Index(fields=["-received_at"], name="inbound_recent"),
            models.Index(fields=["-id"], condition=Q(state="parked"), name="inbound_parked"),
            models.Index(fields=["settled_at"], condition=Q(settled_at__isnull=False), name="inbound_settled"),
        ]


class OutboundCommand(models.Model):
    """An intention to call WeCom, written in the transaction that wanted it.

    policy `idempotent`: a lost answer is cured by calling again. policy `once`: a lost answer makes it `unknown`, and only
    the kind's settle procedure may decide what happened.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("待执行")
        CLAIMED = "claimed", _("执行中")
        DONE = "done", _("已完成")
        FAILED = "failed", _("失败")
        UNKNOWN = "unknown", _("结果待核实")
        RETRY = "retry", _("待重试")
        PARKED = "parked", _("已搁置")
        CANCELLED = "cancelled", _("已取消")

    class Policy(models.TextChoices):
        IDEMPOTENT = "idempotent", _("可重复")
        ONCE = "once", _("至多一次")

    corp = models.ForeignKey(Corp, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=48)
    policy = models.CharField(max_length=10, choices=Policy.choices)
    lane = models.CharField(max_length=16)
    priority = models.SmallIntegerField(default=50)  # smaller first: welcome 0, a person's act 20, commands 50, sync 80
    entity_key = models.CharField(max_length=200)  # commands of one entity run in order of id
    dedupe_key = models.CharField(max_length=200, null=True, blank=True)  # the same wish is written once
    payload = models.JSONField(default=dict)
    subject_id = models.BigIntegerField(null=True, blank=True)  # the row it is about, of a model the kind knows
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    attempts = models.SmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()  # wall time
    claimed_until = models.DateTimeField(null=True, blank=True)
    claim_token = models.CharField(max_length=32, default="", blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)  # set, and committed, before the call leaves
    settled_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)
    errcode = models.IntegerField(null=True, blank=True)
    last_error = models.TextField(default="", blank=True)
    created_at = models.DateTimeField()

    PERSONAL = ("payload", "result", "entity_key")
    NOT_PERSONAL = ("kind", "lane", "dedupe_key", "claim_token", "last_error")

    class Meta:
        constraints = [
            # What may be repeated is wished again when the earlier wish is over; what may happen once is wished once.
            models.UniqueConstraint(
                fields=["dedupe_key"],
                condition=Q(policy="idempotent", state__in=["waiting", "retry", "claimed", "unknown"]),
                name="one_open_wish",
            ),
            models.UniqueConstraint(fields=["dedupe_key"], condition=Q(policy="once"), name="one_wish_ever"),
        ]
        indexes = [
            models.Index(
                fields=["lane", "priority", "next_attempt_at", "id"],
                condition=Q(state__in=["waiting", "retry", "claimed", "unknown"]),
                name="command_due",
            ),
            models.Index(
                fields=["entity_key", "id"],
                condition=Q(state__in=["waiting", "retry", "claimed", "unknown"]),
                name="command_entity",
            ),
            models.Index(fields=["kind", "subject_id"], name="command_subject"),
            models.Index(fields=["-id"], condition=Q(state="parked"), name="command_parked"),
            models.Index(fields=["settled_at"], condition=Q(settled_at__isnull=False), name="command_settled"),
        ]


class SyncRun(models.Model):
    """A full read of a corp's people, groups and tags: staged, validated, diffed, applied; resumable per member."""

    class State(models.TextChoices):
        RUNNING = "running", _("进行中")
        NEEDS_CONFIRM = "confirm", _("待确认")
        DONE = "done", _("已完成")
        FAILED = "failed", _("失败")
        SKIPPED = "skipped", _("已跳过")

    class Kind(models.TextChoices):
        FIRST = "first", _("首次同步")
        RECONCILE = "reconcile", _("每日核对")
        COMPARE = "compare", _("只比对")  # reads all, lists what differs, writes none of it
        LISTS = "lists", _("每小时比对")  # members, departments and tags alone

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="sync_runs")
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.FIRST)
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    step = models.CharField(max_length=24, default="")
    job_id = models.BigIntegerField(null=True, blank=True)
    counts = models.JSONField(default=dict, blank=True)
    shrink = models.JSONField(default=dict, blank=True)  # what would vanish, when a person must confirm
    # entity → {missing, extra, different, repaired}: all that was found, also beyond the rows that are kept.
    drift_counts = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), blank=True)
    last_error = models.TextField(default="", blank=True)
    night = models.DateField(null=True, blank=True)  # the tenant's day whose nightly reconciliation this is
    read_at = models.DateTimeField(null=True, blank=True)  # domain instant that the reading speaks of: its beginning
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("step", "counts", "shrink", "drift_counts", "last_error")

    class Meta:
        constraints = [
            # The hourly lists do not keep a person from starting a full read.
            models.UniqueConstraint(
                fields=["corp"],
                condition=Q(state__in=["running", "confirm"]) & ~Q(kind="lists"),
                name="one_running_sync_per_corp",
            ),
            models.UniqueConstraint(
                fields=["corp"], condition=Q(state="running", kind="lists"), name="one_running_lists_per_corp"
            ),
            models.UniqueConstraint(
                fields=["corp", "night"], condition=Q(night__isnull=False), name="one_reconcile_per_night"
            ),
        ]


class SyncUnit(models.Model):
    """One member's customers, or one group, or one list within a run: its outcome decides whether absence means gone."""

    class State(models.TextChoices):
        WAITING = "waiting", _("等待")
        FETCHED = "fetched", _("已获取")
        EMPTY = "empty", _("确认为空")
        DENIED = "denied", _("无权限")
        FAILED = "failed", _("失败")
        APPLIED = "applied", _("已写入")

    WRITE = "write"  # a kind: the staged people after `cursor`, up to and with `key`

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="units", db_index=False)
    kind = models.CharField(max_length=16)  # list, members, contacts, write, group_list, group
    key = models.CharField(max_length=130)  # userid, chat_id, the list's name, a department, the last person to write
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    cursor = models.TextField(default="", blank=True)  # of WeCom, which names no longest one
    fetched = models.BigIntegerField(default=0)
    attempts = models.SmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=200, default="", blank=True)

    PERSONAL = ("key", "cursor")
    NOT_PERSONAL = ("kind", "last_error")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "kind", "key"], name="one_unit_per_key")]
        indexes = [models.Index(fields=["run", "state", "id"], name="sync_unit_state")]


class StagedRow(models.Model):
    """What a page of a sync brought, before it is compared with what we have."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=16)
    unit_key = models.CharField(max_length=64)
    key = models.CharField(max_length=130)  # e.g. external_userid
    payload = models.JSONField()

    PERSONAL = ("payload", "key")
    NOT_PERSONAL = ("kind", "unit_key")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "kind", "key", "unit_key"], name="one_staged_row_per_pair")
        ]


class DriftRow(models.Model):
    """Ours and WeCom's differed: what was missing, extra or different, and what was done."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="drift", db_index=False)
    entity = models.CharField(max_length=16)
    key = models.CharField(max_length=130)
    kind = models.CharField(
        max_length=9, choices=[("missing", _("缺少")), ("extra", _("多出")), ("different", _("不同"))]
    )
    before = models.JSONField(default=dict, blank=True)  # ours, of the columns that differ; personal values masked
    after = models.JSONField(default=dict, blank=True)  # WeCom's
    repaired_at = models.DateTimeField(null=True, blank=True)  # when our state equalled WeCom's
    asked_at = models.DateTimeField(null=True, blank=True)  # somebody asked to read it again; cleared with the answer
    last_error = models.CharField(max_length=200, default="", db_default="", blank=True)
    found_at = models.DateTimeField()

    PERSONAL = ("before", "after", "key")
    NOT_PERSONAL = ("entity", "last_error")

    class Meta:
        indexes = [
            models.Index(fields=["run", "entity", "kind"], name="drift_run"),
            models.Index(fields=["asked_at"], condition=Q(asked_at__isnull=False), name="drift_asked"),
        ]


class DoctorFinding(models.Model):
    """What the doctor last found of one matter of a corp: enough to show ticks, and to notice a change."""

    class State(models.TextChoices):
        OK = "ok", _("正常")
        WARN = "warn", _("注意")
        BAD = "bad", _("不通过")
        UNKNOWN = "unknown", _("还不知道")

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="findings", db_index=False)
    key = models.CharField(max_length=48)
    state = models.CharField(max_length=8, choices=State.choices)
    facts = models.JSONField(default=dict, blank=True)  # figures and addresses, never names of people, never secrets
    checked_at = models.DateTimeField()  # wall time

    NOT_PERSONAL = ("key", "facts")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corp", "key"], name="one_finding_per_key")]


class ChecklistLink(models.Model):
    """A link to a corp's 接入清单 for somebody without a log-in. The link itself is a signature over this row, and not stored."""

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="checklist_links")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()  # wall time
    revoked_at = models.DateTimeField(null=True, blank=True)


class VerifyFile(models.Model):
    """WW_verify_….txt of the console, answered at the root of the tenant's own host: it proves that the domain is ours."""

    name = models.CharField(max_length=40, unique=True)
    content = models.CharField(max_length=64)
    uploaded_at = models.DateTimeField()

    NOT_PERSONAL = ("name", "content")


class CallPace(models.Model):
    """What was learned of calling one API of a corp, kept for the day Redis forgets it. Counters are not kept: see governor."""

    class Scope(models.TextChoices):
        CORP = "corp", _("本企业")
        ADDRESS = "address", _("本服务器的出口 IP")

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="paces", db_index=False)
    api = models.CharField(max_length=64)
    width = models.IntegerField()  # calls at once
    closed_until = models.DateTimeField(null=True, blank=True)  # wall time: WeCom answered 45009
    closed_scope = models.CharField(max_length=8, choices=Scope.choices, default="", blank=True)
    strikes = models.IntegerField(default=0)  # closed again and again without an answer in between
    changed_at = models.DateTimeField()

    NOT_PERSONAL = ("api",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corp", "api"], name="one_pace_per_api")]


class LimitOverride(models.Model):
    """A limit of limits.toml that is another for this merchant, e.g. because WeCom granted her more: `mark_tag.ceiling`."""

    name = models.CharField(max_length=96, unique=True)
    value = models.IntegerField()
    changed_at = models.DateTimeField()

    NOT_PERSONAL = ("name",)
