"""Rules, their versions, and what each of them did to whom."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact


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
    def reader(self) -> str:
        """Its name among readers of boundaries."""
        return f"rule:{self.pk}"

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
