"""How colleagues look at the customer list: saved views (保存的视图), and the columns each of them chose."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import User


class SavedView(models.Model):
    """Filters, order and columns of the customer list under a name: her own, or shared with the whole merchant.

    It holds no people: whoever opens it finds those of her own scope.
    """

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=30)
    is_shared = models.BooleanField(default=False)
    filters = models.JSONField(default=dict)  # key of a listing.Filter → its value, but for the tree
    tree = models.JSONField(null=True, blank=True)  # 高级筛选 (conditions.schema)
    order = models.CharField(max_length=16, default="", blank=True)  # key of a listing.Order; empty: the first
    columns = ArrayField(models.CharField(max_length=40), default=list, blank=True)  # listing.Column keys in order
    version = models.IntegerField(default=1)  # grows with each change, so that nobody changes what she has not seen
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    PERSONAL = ("name", "filters", "tree")  # a search for a name or a phone may be saved
    NOT_PERSONAL = ("order", "columns")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="one_view_per_name"),
            models.CheckConstraint(condition=~Q(name=""), name="view_has_a_name"),
        ]
        indexes = [models.Index(fields=["name"], condition=Q(is_shared=True), name="view_shared")]

    def __str__(self) -> str:
        return self.name


class ColumnChoice(models.Model):
    """The columns a user wants to see, in order: in one view, or (no view) in the list as such."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    view = models.ForeignKey(SavedView, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    columns = ArrayField(models.CharField(max_length=40))

    NOT_PERSONAL = ("columns",)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "view"], nulls_distinct=False, name="one_choice_of_columns")
        ]
