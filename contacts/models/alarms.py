"""Alarms about guides: a day on which one deleted far more customers than she is used to."""

from django.db import models
from django.db.models import Q

from contacts.models.organisation import Member, Store
from contacts.models.told import Told


class DeletionAlarm(models.Model):
    """A guide deleted more customers on a tenant day than `bound`: max(5, 3σ) of her own thirty days before.

    Rows follow the facts (contacts.services.alarms) until somebody has handled them; then they stand.
    frozen_at: since when her log-in takes nothing along (contacts.services.freezing); None for alarms of before there were freezes.
    frozen_user_id: her log-in of then, which stays frozen when somebody unlinks it. tell_at: as in Clash, to her managers.
    """

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="deletion_alarms", db_index=False)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    day = models.DateField()
    deleted = models.IntegerField()
    bound = models.FloatField()
    raised_at = models.DateTimeField()
    handled_at = models.DateTimeField(null=True, blank=True)
    handled_by_id = models.BigIntegerField(null=True, blank=True)
    frozen_at = models.DateTimeField(null=True, blank=True)
    frozen_user_id = models.BigIntegerField(null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by_id = models.BigIntegerField(null=True, blank=True)
    tell_at = models.DateTimeField(null=True, blank=True)
    told = models.CharField(max_length=8, choices=Told.choices, default=Told.NOT, db_default="not")
    told_error = models.CharField(max_length=200, default="", blank=True, db_default="")

    NOT_PERSONAL = ("told_error",)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "day"], name="one_deletion_alarm_a_day"),
            models.CheckConstraint(condition=Q(deleted__gt=models.F("bound")), name="deletion_alarm_above_bound"),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True) | Q(frozen_at__isnull=False), name="deletion_alarm_lifts_freeze"
            ),
            models.CheckConstraint(
                condition=Q(tell_at__isnull=True) | Q(told="waiting"), name="deletion_alarm_tells_waiting"
            ),
        ]
        indexes = [
            models.Index(fields=["-day", "-id"], name="deletion_alarm_day"),
            models.Index(
                fields=["member"],
                condition=Q(frozen_at__isnull=False, lifted_at__isnull=True),
                name="deletion_alarm_frozen",
            ),
            models.Index(fields=["tell_at"], condition=Q(tell_at__isnull=False), name="deletion_alarm_tell"),
        ]
