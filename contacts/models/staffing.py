"""人员变动: what a person has to decide when a member joins, changes departments or leaves."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models.organisation import Member, Store


class StaffChange(models.Model):
    """A member who joined without a store, whose department stands for another store, or who left with customers.

    to_store is what her departments propose; store, where she stands once somebody decided. Nothing happens to her customers
    before that.
    """

    class Kind(models.TextChoices):
        JOINED = "joined", _("入职")
        MOVED = "moved", _("调店")
        LEFT = "left", _("离职")

    class State(models.TextChoices):
        OPEN = "open", _("待处理")
        DONE = "done", _("已处理")
        KEPT = "kept", _("维持原样")
        VOID = "void", _("已失效")

    class Customers(models.TextChoices):
        FOLLOW = "follow", _("客户跟到新门店")
        STAY = "stay", _("客户留在原门店")

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="staff_changes", db_index=False)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    state = models.CharField(max_length=4, choices=State.choices, default=State.OPEN)
    from_store = models.ForeignKey(
        Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    to_store = models.ForeignKey(
        Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    customers = models.CharField(max_length=6, choices=Customers.choices, default="", blank=True)
    found_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by_id = models.BigIntegerField(null=True, blank=True)  # accounts.User; None: by itself

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "kind"], condition=Q(state="open"), name="one_open_staff_change_each"
            ),
            models.CheckConstraint(
                condition=Q(state="open", settled_at__isnull=True) | (~Q(state="open") & Q(settled_at__isnull=False)),
                name="staff_change_settled_or_open",
            ),
        ]
        indexes = [
            models.Index(fields=["member", "kind", "-id"], name="staff_change_member"),
            models.Index(fields=["state", "-found_at", "-id"], name="staff_change_list"),
            models.Index(fields=["settled_at"], condition=Q(settled_at__isnull=False), name="staff_change_settled"),
        ]

    @property
    def digest(self) -> str:
        """What a person saw when she decided; another one means that the proposal changed meanwhile."""
        return f"{self.kind}-{self.from_store_id or 0}-{self.to_store_id or 0}"
