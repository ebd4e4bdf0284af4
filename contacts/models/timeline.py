"""The timeline: every fact about a person, once, with store, region, dealer, owner and stage as of the event."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.models.groups import GroupChat
from contacts.models.organisation import Dealer, Member, Region, Store
from contacts.models.people import Contact, Identity
from contacts.models.stages import Stage


class FactSource(models.TextChoices):
    """How we learned of a fact. `backfill`: at the first sync; reports count it, rules and welcome ignore it.

    `reconcile`: found later with its true time; rules take it as the event it is, the welcome never runs.
    """

    CALLBACK = "callback", _("回调")
    BACKFILL = "backfill", _("首次同步")
    RECONCILE = "reconcile", _("核对")
    PRODUCT = "product", _("系统内操作")
    IMPORT = "import", _("导入")
    API = "api", "API"


class TimelineEvent(models.Model):
    """A fact. `fact_key` is derived from it, so that callback, sync and replay write one row."""

    kind = models.CharField(max_length=40)  # registered in contacts.timeline
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    source = models.CharField(max_length=10, choices=FactSource.choices)
    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, null=True, blank=True, related_name="events", db_index=False
    )
    identity = models.ForeignKey(
        Identity, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    group = models.ForeignKey(GroupChat, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    member = models.ForeignKey(
        Member, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    region = models.ForeignKey(
        Region, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    dealer = models.ForeignKey(
        Dealer, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    # The user (kind user:<id>), rule, API token or system that acted; empty for the customer herself.
    actor = models.CharField(max_length=40, default="", blank=True)
    # What it is about: `order:12`, `push:7`, `tag:4`.
    subject = models.CharField(max_length=60, default="", blank=True)
    payload = models.JSONField(default=dict, blank=True)
    fact_key = models.CharField(max_length=160, unique=True)

    PERSONAL = ("payload",)
    NOT_PERSONAL = ("kind", "actor", "subject", "fact_key")

    class Meta:
        indexes = [
            models.Index(fields=["contact", "-occurred_at", "-id"], name="timeline_contact"),
            models.Index(fields=["kind", "occurred_at"], name="timeline_kind"),
            models.Index(fields=["subject"], condition=~models.Q(subject=""), name="timeline_subject"),
            BrinIndex(fields=["recorded_at"], name="timeline_recorded"),
        ]
