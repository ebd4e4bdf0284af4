"""All mass sends of the corp, ours and not: quota is shared, so the ledger must see them all."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from wecom_bridge.models import Corp


class MassSend(models.Model):
    """A mass message as get_groupmsg_list_v2 lists it."""

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="+", db_index=False)
    msgid = models.CharField(max_length=64)
    chat_type = models.CharField(max_length=6, choices=[("single", _("客户")), ("group", _("客户群"))])
    create_type = models.SmallIntegerField(choices=[(0, _("企业")), (1, _("个人"))])
    creator_userid = models.CharField(max_length=64, default="", blank=True)  # absent for API-created
    dispatch_id = models.BigIntegerField(null=True, blank=True)  # ours, when it is
    created_at = models.DateTimeField()
    results_final_at = models.DateTimeField(null=True, blank=True)

    NOT_PERSONAL = ("msgid", "creator_userid")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["corp", "msgid"], name="one_row_per_mass_send")]
        indexes = [models.Index(fields=["created_at"], name="mass_send_created")]


class LedgerCoverage(models.Model):
    """How far the ledger of a corp reaches. Quota of people outside of it is 额度未知, which is never reachable."""

    corp = models.OneToOneField(Corp, on_delete=models.CASCADE, related_name="+")
    covered_from = models.DateTimeField(null=True, blank=True)
    covered_to = models.DateTimeField(null=True, blank=True)
    # The reading under way: up to when, and how many of its answers are still awaited.
    reading_from = models.DateTimeField(null=True, blank=True)
    reading_to = models.DateTimeField(null=True, blank=True)
    awaited = models.IntegerField(default=0)
    last_error = models.CharField(max_length=200, default="", blank=True)

    NOT_PERSONAL = ("last_error",)


class MassSendResult(models.Model):
    """What one recipient of a mass message got, as WeCom says: 0 not sent, 1 sent, 2 not a friend, 3 quota."""

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="+", db_index=False)
    mass_send = models.ForeignKey(MassSend, on_delete=models.CASCADE, related_name="results", db_index=False)
    userid = models.CharField(max_length=64)
    target = models.CharField(max_length=130)  # external_userid or chat_id
    status = models.SmallIntegerField()
    sent_at = models.DateTimeField(null=True, blank=True)

    PERSONAL = ("target",)
    NOT_PERSONAL = ("userid",)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mass_send", "userid", "target"], name="one_result_per_target")]
        indexes = [models.Index(fields=["corp", "target", "sent_at"], name="mass_result_target")]
