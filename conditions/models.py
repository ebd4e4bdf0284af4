"""Dirty marks: which person's which field changed, consumed by everything that reads that field."""

from django.db import models
from django.db.models import Q


class DirtyMark(models.Model):
    """A contact's field changed. Written in the transaction of the change, deleted in the transaction of the result.

    No unique key: two changes are two rows, and a consumer deletes only the rows it saw. A mark with not_before is a boundary in
    time, kept per (contact, reader): its key is `recheck:<reader>`.
    """

    contact_id = models.BigIntegerField()  # a root contact's id at the time; consumers resolve the root again
    field_key = models.CharField(max_length=64)
    marked_at = models.DateTimeField()  # domain time
    not_before = models.DateTimeField(null=True, blank=True)  # domain time: a boundary of a time-relative condition
    is_backfill = models.BooleanField(default=False)  # only the first sync told us: nobody acts on it

    NOT_PERSONAL = ("field_key",)

    class Meta:
        indexes = [
            models.Index(fields=["not_before", "id"], name="dirty_due"),
            models.Index(fields=["contact_id", "field_key"], name="dirty_contact"),
            models.Index(fields=["field_key"], condition=Q(not_before__isnull=False), name="dirty_boundary"),
        ]
