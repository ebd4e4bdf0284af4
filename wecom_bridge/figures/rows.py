"""The rows of the figures: one per minute for the page, one for ever for whoever scrapes."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class _Figure(models.Model):
    """name: ack, call, command; label: what exactly (an API, a kind); code: how it ended (an errcode, a status)."""

    name = models.CharField(max_length=16)
    label = models.CharField(max_length=64)
    code = models.CharField(max_length=16)
    count = models.BigIntegerField(default=0)
    total_ms = models.BigIntegerField(default=0)
    buckets = ArrayField(models.BigIntegerField())  # see figures.buckets

    NOT_PERSONAL = ("name", "label", "code", "buckets")

    class Meta:
        abstract = True


class ServiceMinute(_Figure):
    """What happened within a minute of wall time."""

    minute = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["minute", "name", "label", "code"], name="one_row_per_figure_minute")
        ]


class ServiceTotal(_Figure):
    """The same since the beginning: a counter that only grows."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "label", "code"], name="one_total_per_figure")]
