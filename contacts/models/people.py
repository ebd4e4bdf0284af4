"""The person (Contact), her identities, and her relations with guides (Follow), each adding a period of its own."""

from collections.abc import Iterable

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from contacts.models.organisation import Dealer, Member, Region, Store
from contacts.models.stages import Stage
from wecom_bridge.models import Corp


class Contact(models.Model):
    """A person. Facts never move: a merge sets root_id, an undo sets it back; people are counted by root.

    owner: the guide credited with her (业绩归属), not necessarily a friend. Store of today is the owner's store, kept here
    so that lists filter and page without a join.
    """

    root = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="branches")
    name = models.CharField(max_length=128, default="", blank=True)
    avatar_url = models.CharField(max_length=500, default="", blank=True)
    gender = models.SmallIntegerField(choices=[(0, _("未知")), (1, _("男")), (2, _("女"))], default=0)
    kind = models.SmallIntegerField(choices=[(1, _("微信用户")), (2, _("企业微信用户"))], default=1)
    corp_name = models.CharField(max_length=128, default="", blank=True)
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    stage_since = models.DateTimeField(null=True, blank=True)
    # The stage (id) that the entry rules last found for her; they move her when their answer changes (services.stage_rules).
    ruled_stage = models.BigIntegerField(null=True, blank=True)
    owner = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, blank=True, related_name="owned_contacts")
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    custom = models.JSONField(default=dict, blank=True)
    # 免打扰: no push of any sender reaches her until then; `forever` without an end.
    opt_out_since = models.DateTimeField(null=True, blank=True)
    opt_out_until = models.DateTimeField(null=True, blank=True)
    opt_out_source = models.CharField(max_length=24, default="", blank=True)
    birthday = models.DateField(null=True, blank=True)
    first_added_at = models.DateTimeField(null=True, blank=True)
    last_added_at = models.DateTimeField(null=True, blank=True)
    active_follows = models.IntegerField(default=0)  # of this contact and her branches; 0 = no friend any more
    # Name, remarks, pinyin, phone tails: what the text search looks through. Written by contacts.services.search.
    search_text = models.TextField(default="", blank=True)
    # Since then the row says nothing of anybody: it holds facts together, so that counts and money stay true.
    erased_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    PERSONAL = ("name", "avatar_url", "gender", "birthday", "corp_name", "custom", "search_text")
    NOT_PERSONAL = ("opt_out_source",)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(root=F("id")), name="root_is_null_for_a_root")]
        indexes = [
            # Lists page newest first; roots only.
            models.Index(fields=["-last_added_at", "-id"], condition=Q(root__isnull=True), name="contact_recent"),
            models.Index(
                fields=["store", "-last_added_at", "-id"], condition=Q(root__isnull=True), name="contact_store_recent"
            ),
            models.Index(
                fields=["stage", "-last_added_at", "-id"], condition=Q(root__isnull=True), name="contact_stage_recent"
            ),
            models.Index(
                fields=["owner", "-last_added_at", "-id"], condition=Q(root__isnull=True), name="contact_owner_recent"
            ),
            # The board's columns and the overdue, longest there first.
            models.Index(
                fields=["stage", "stage_since", "id"], condition=Q(root__isnull=True), name="contact_stage_since"
            ),
            GinIndex(OpClass("search_text", name="gin_trgm_ops"), name="contact_search"),
            # Custom fields: by a value, and who has any. Nobody without values is in either, so that a first sync pays nothing.
            GinIndex(OpClass("custom", name="jsonb_path_ops"), condition=~Q(custom={}), name="contact_custom_value"),
            models.Index(fields=["id"], condition=~Q(custom={}), name="contact_custom_any"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def root_pk(self) -> int:
        """The person this row counts as."""
        return self.root_id or self.pk

    @cached_property
    def family_ids(self) -> list[int]:
        """Of a root: herself and everybody merged into her. One query for as long as this object is looked at: a page."""
        return [self.pk, *Contact.objects.filter(root=self).values_list("pk", flat=True)]


class Identity(models.Model):
    """An id that some system gave the person. Scope: corp_id for external_userid, app for openid, open account for unionid."""

    class Kind(models.TextChoices):
        EXTERNAL_USERID = "external", "external_userid"
        UNIONID = "unionid", "unionid"
        OPENID = "openid", "openid"
        PENDING = "pending", "pending_id"
        CUSTOM = "custom", _("外部编号")

    kind = models.CharField(max_length=8, choices=Kind.choices)
    scope = models.CharField(max_length=64)
    id_space = models.CharField(max_length=64, default="plain", db_default="plain")
    value = models.CharField(max_length=130)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="identities")
    created_at = models.DateTimeField()

    PERSONAL = ("value",)
    NOT_PERSONAL = ("scope", "id_space")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "scope", "value", "id_space"], name="one_identity_each")]

    @classmethod
    def named(cls, corp: Corp, external_userids: Iterable[str], path: str = "identity__") -> dict[str, object]:
        """Lookups along `path` for external_userids as the corp's credential sees them. All columns of the unique key: by the
        values alone every identity would be read.
        """
        given = {"kind": cls.Kind.EXTERNAL_USERID, "scope": corp.corp_id, "id_space": corp.id_space}
        return {f"{path}{name}": value for name, value in given.items()} | {
            f"{path}value__any_of": set(external_userids)
        }


class ContactPhone(models.Model):
    """A phone somebody noted. Not unique: a phone on two people binds nothing and is listed as 待合并."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="phones", db_index=False)
    phone = models.CharField(max_length=20)  # E.164
    source = models.CharField(max_length=40)  # remark:<follow>, order, import, manual
    created_at = models.DateTimeField()

    PERSONAL = ("phone",)
    NOT_PERSONAL = ("source",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["contact", "phone", "source"], name="one_phone_per_source")]
        indexes = [models.Index(fields=["phone"], name="contact_phone_phone")]


class Relation(models.TextChoices):
    ACTIVE = "active", _("好友")
    DELETED_BY_CUSTOMER = "by_customer", _("已删除:客户删")
    DELETED_BY_GUIDE = "by_guide", _("已删除:导购删")
    TRANSFERRED = "transferred", _("已转移")
    UNKNOWN = "unknown", _("未知")


class EndedBy(models.TextChoices):
    CUSTOMER = "customer", _("客户删")
    GUIDE = "guide", _("导购删")
    TRANSFER = "transfer", _("已转移")
    UNKNOWN = "unknown", _("未知")


class Follow(models.Model):
    """A guide and a customer know each other (好友关系). Remark, phones and tags are hers about him; relation is the truth."""

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="+", db_index=False)
    identity = models.ForeignKey(Identity, on_delete=models.CASCADE, related_name="follows", db_index=False)
    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, related_name="follows", db_index=False
    )  # identity.contact, for indexes
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="follows", db_index=False)
    remark = models.CharField(max_length=64, default="", blank=True)
    description = models.CharField(max_length=400, default="", blank=True)
    remark_company = models.CharField(max_length=64, default="", blank=True)
    remark_mobiles = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    relation = models.CharField(max_length=12, choices=Relation.choices, default=Relation.ACTIVE)
    relation_since = models.DateTimeField()
    relation_proof = models.CharField(max_length=12, default="sync", blank=True)  # callback, sync, send_result
    relation_proved_at = models.DateTimeField()
    added_at = models.DateTimeField()  # of the latest period
    add_way = models.IntegerField(default=0)
    state = models.CharField(max_length=64, default="", blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)
    # When WeCom took an edit of ours (domain): what was read before that knows less of remark, description, company and phones.
    remarked_at = models.DateTimeField(null=True, blank=True)

    PERSONAL = ("remark", "description", "remark_company", "remark_mobiles")
    NOT_PERSONAL = ("relation_proof", "state")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["identity", "member"], name="one_follow_per_pair")]
        indexes = [
            models.Index(fields=["member", "relation", "-added_at"], name="follow_member"),
            models.Index(fields=["contact", "relation"], name="follow_contact"),
            models.Index(fields=["state"], condition=~Q(state=""), name="follow_state"),
            # Whom a guide sees, from the index alone.
            models.Index(fields=["member", "contact"], condition=~Q(relation="transferred"), name="follow_seen"),
            # Those that ended, for lists of whom somebody deleted: few, and none in a first sync.
            models.Index(fields=["relation", "contact"], condition=~Q(relation="active"), name="follow_ended"),
        ]


class FollowPeriod(models.Model):
    """One adding, from its beginning to its end. Welcome, attribution, retention and cohorts hang on it."""

    follow = models.ForeignKey(Follow, on_delete=models.CASCADE, related_name="periods", db_index=False)
    added_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=9, choices=EndedBy.choices, default="", blank=True)
    add_way = models.IntegerField(default=0)
    state = models.CharField(max_length=64, default="", blank=True)
    source = models.CharField(max_length=10)  # FactSource
    # Where the guide stood when it began: history is written once.
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    region = models.ForeignKey(
        Region, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    dealer = models.ForeignKey(
        Dealer, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )

    NOT_PERSONAL = ("state", "source", "ended_by")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["follow", "added_at"], name="one_period_per_adding"),
            models.UniqueConstraint(fields=["follow"], condition=Q(ended_at__isnull=True), name="one_open_period"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("added_at")), name="period_in_order"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by="") | (Q(ended_at__isnull=False) & ~Q(ended_by="")),
                name="period_end_has_a_cause",
            ),
        ]
        indexes = [
            models.Index(fields=["added_at"], name="period_added"),
            models.Index(fields=["state"], condition=~Q(state=""), name="period_state"),
        ]


class OwnershipChange(models.Model):
    """业绩归属 moved from one guide to another."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="ownership_changes", db_index=False)
    from_member = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    to_member = models.ForeignKey(Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    changed_at = models.DateTimeField()
    reason = models.CharField(max_length=24, default="", blank=True)  # first_add, manual, transfer, leave, merge
    actor_id = models.BigIntegerField(null=True, blank=True)

    NOT_PERSONAL = ("reason",)

    class Meta:
        indexes = [models.Index(fields=["contact", "-changed_at"], name="ownership_contact")]


class ContactMerge(models.Model):
    """`gone` and everybody who counted as her became `kept` at an instant, and what was taken over then; until undone.

    moved_ids: the rows whose root changed (gone first). taken: column of kept → [before, after], as JSON has them.
    """

    kept = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="merges")
    gone = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="merged_away", db_index=False)
    moved_ids = ArrayField(models.BigIntegerField())
    taken = models.JSONField(default=dict, blank=True)
    source = models.CharField(max_length=16)  # unionid, manual
    merged_at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True, blank=True)
    # Rows that the take-over wrote; an undo takes them back while nothing came after them.
    transition_id = models.BigIntegerField(null=True, blank=True)
    ownership_id = models.BigIntegerField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by_id = models.BigIntegerField(null=True, blank=True)

    PERSONAL = ("taken",)
    NOT_PERSONAL = ("source", "moved_ids")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gone"], condition=Q(undone_at__isnull=True), name="merged_away_once"),
            models.CheckConstraint(condition=~Q(kept=F("gone")), name="merge_of_two"),
        ]
        indexes = [models.Index(fields=["gone", "merged_at"], name="merge_gone")]
