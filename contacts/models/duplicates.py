"""People who may be one: pairs that share a key (待合并), phones on too many people, and a guide who added another's friend (撞单)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from contacts.models.organisation import Member
from contacts.models.people import Contact
from contacts.models.told import Told


class Duplicate(models.Model):
    """Two people who carry the same keys (`phone:+86…`, `unionid:…`), as they were roots when it was found; first is the older.

    keys: what speaks for them now and nobody refused. refused_keys: what somebody saw and said 不是同一人 to; the same never
    proposes these two again, nor the people they became.
    """

    class State(models.TextChoices):
        OPEN = "open", _("待合并")
        MERGED = "merged", _("已合并")
        REFUSED = "refused", _("不是同一人")
        LAPSED = "lapsed", _("依据已消失")

    first = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+", db_index=False)
    second = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    keys = ArrayField(models.CharField(max_length=140))
    refused_keys = ArrayField(models.CharField(max_length=140), default=list)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    found_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by_id = models.BigIntegerField(null=True, blank=True)  # null: WeCom's own word, or nobody's

    PERSONAL = ("keys", "refused_keys")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="one_duplicate_per_pair"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="duplicate_older_first"),
            models.CheckConstraint(condition=~Q(state="open") | ~Q(keys=[]), name="duplicate_has_evidence"),
            models.CheckConstraint(
                condition=Q(state="open", decided_at__isnull=True) | ~Q(state="open"), name="duplicate_open_undecided"
            ),
        ]
        indexes = [models.Index(fields=["state", "-found_at", "-id"], name="duplicate_state")]


class SharedPhone(models.Model):
    """A phone on more people than can be one person: a shop's line. Told as such, its people are not proposed one by one."""

    phone = models.CharField(max_length=20, unique=True)
    people = models.IntegerField()
    found_at = models.DateTimeField()

    PERSONAL = ("phone",)

    class Meta:
        indexes = [models.Index(fields=["-people", "-id"], name="shared_phone_people")]


class Clash(models.Model):
    """撞单: a guide was added by a customer who was another guide's friend. One row per adding (fact_key).

    tell_at: when the guides and the manager are to be told by app message, None when they are not (any more).
    """

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="clashes", db_index=False)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")  # who was added now
    other = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")  # who was her friend already
    fact_key = models.CharField(max_length=160, unique=True)
    added_at = models.DateTimeField()
    noticed_at = models.DateTimeField()
    tell_at = models.DateTimeField(null=True, blank=True)
    told = models.CharField(max_length=8, choices=Told.choices, default=Told.NOT)
    told_error = models.CharField(max_length=200, default="", blank=True)
    handled_at = models.DateTimeField(null=True, blank=True)
    handled_by_id = models.BigIntegerField(null=True, blank=True)

    NOT_PERSONAL = ("fact_key", "told_error")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(member=F("other")), name="clash_of_two_guides"),
            models.CheckConstraint(
                condition=Q(tell_at__isnull=True) | Q(told="waiting"), name="clash_tells_while_waiting"
            ),
        ]
        indexes = [
            models.Index(fields=["-added_at", "-id"], name="clash_added"),
            models.Index(fields=["contact", "-added_at"], name="clash_contact"),
            models.Index(fields=["tell_at"], condition=Q(tell_at__isnull=False), name="clash_tell"),
        ]
