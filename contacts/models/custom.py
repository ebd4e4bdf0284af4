"""Custom fields: what a merchant wants to know of a customer beyond what WeCom tells, and how its values changed."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from contacts.models.people import Contact


class CustomField(models.Model):
    """A field of Contact.custom under `key`, which never changes. Values outlive an archived field; nothing deletes them.

    options: [{id, label, archived}] of a choice; values name the id. see_roles, edit_roles: ids of accounts.Role, none means
    everybody who may see or edit customers; who may not see a field cannot edit it. A masked field shows its middle as stars.
    in_conditions: whether filters, segments and rules may ask about it, built by whoever may see it (whole, when it is masked).
    """

    class Type(models.TextChoices):
        TEXT = "text", _("单行文字")
        LONG_TEXT = "long", _("多行文字")
        INTEGER = "int", _("整数")
        DECIMAL = "dec", _("小数")
        DATE = "date", _("日期")
        FLAG = "flag", _("是/否")
        CHOICE = "one", _("单选")
        CHOICES = "many", _("多选")
        PHONE = "phone", _("电话")
        URL = "url", _("网址")

    class Api(models.TextChoices):
        WRITE = "write", _("可读写")
        READ = "read", _("只读")
        NONE = "none", _("不开放")

    class DataClass(models.TextChoices):
        PERSONAL = "personal", _("个人信息")
        NONE = "none", _("不是个人信息")

    key = models.CharField(max_length=40, unique=True)
    label = models.CharField(max_length=20)
    type = models.CharField(max_length=8, choices=Type.choices)
    section = models.CharField(max_length=20, default="", blank=True)
    order = models.IntegerField(default=0)
    options = models.JSONField(default=list, blank=True)
    is_required = models.BooleanField(default=False)
    lowest = models.DecimalField(max_digits=20, decimal_places=4, null=True, blank=True)
    highest = models.DecimalField(max_digits=20, decimal_places=4, null=True, blank=True)
    max_length = models.IntegerField(null=True, blank=True)
    see_roles = ArrayField(models.BigIntegerField(), default=list, blank=True)
    edit_roles = ArrayField(models.BigIntegerField(), default=list, blank=True)
    is_masked = models.BooleanField(default=False)
    data_class = models.CharField(max_length=8, choices=DataClass.choices, default=DataClass.PERSONAL)
    api = models.CharField(max_length=8, choices=Api.choices, default=Api.WRITE)
    in_list = models.BooleanField(default=False)
    in_conditions = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("key", "label", "section", "options", "see_roles", "edit_roles")

    class Meta:
        ordering = ["order", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(key__regex=r"^[a-z][a-z0-9_]{0,39}$"), name="custom_key_is_a_word"),
            models.CheckConstraint(condition=~Q(label=""), name="custom_field_has_a_label"),
            models.UniqueConstraint(
                fields=["label"], condition=Q(archived_at__isnull=True), name="one_custom_field_of_a_label"
            ),
            models.CheckConstraint(
                condition=Q(lowest__isnull=True) | Q(highest__isnull=True) | Q(lowest__lte=F("highest")),
                name="custom_limits_in_order",
            ),
            models.CheckConstraint(
                condition=Q(max_length__isnull=True) | Q(max_length__gt=0), name="custom_length_is_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def has_options(self) -> bool:
        return self.type in (self.Type.CHOICE, self.Type.CHOICES)

    @property
    def standing_options(self) -> list[dict[str, Any]]:
        """Those that may be chosen."""
        return [option for option in self.options if not option.get("archived")]


class DetailChange(models.Model):
    """One value of a person that changed: what it was and is, as Contact.custom has them, for whoever may see the field."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="detail_changes", db_index=False)
    key = models.CharField(max_length=40)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    changed_at = models.DateTimeField()

    PERSONAL = ("before", "after")
    NOT_PERSONAL = ("key",)

    class Meta:
        indexes = [models.Index(fields=["contact", "changed_at"], name="detail_change_contact")]
