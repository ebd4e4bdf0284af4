"""Alarms about guides: a day on which one deleted far more customers than she is used to."""

from django.db import models
from django.db.models import Q

from contacts.models.organisation import Member, Store


class DeletionAlarm(models.Model):
    """A guide deleted more customers on a tenant day than `bound`: max(5, 3σ) of her own thirty days before.

    Rows follow the facts (contacts.services.alarms) until somebody has handled them; then they stand.
    """

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="deletion_alarms", db_index=False)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    day = models.DateField()
    deleted = models.IntegerField()
    bound = models.FloatField()
    raised_at = models.DateTimeField()
    handled_at = models.DateTimeField(null=True, blank=True)
    handled_by_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "day"], name="one_deletion_alarm_a_day"),
            models.CheckConstraint(condition=Q(deleted__gt=models.F("bound")), name="deletion_alarm_above_bound"),
        ]
        indexes = [models.Index(fields=["-day", "-id"], name="deletion_alarm_day")]
