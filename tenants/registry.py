"""What the tenancy layer itself puts into the registries."""

from django.utils.translation import gettext_lazy as _

from tenants import backfills, lanes, provision, retention
from tenants.ledger.models import AuditEntry, IdempotentRequest, Job

KEPT = (
    retention.Kind("audit", _("操作记录"), 730, retention.older(AuditEntry, "at")),
    retention.Kind("jobs", _("后台任务"), 90, retention.older(Job, "created_at", finished_at__isnull=False)),
    retention.Kind("api_answers", _("接口应答"), 2, retention.older(IdempotentRequest, "created_at")),
)


def fill() -> None:
    """Called once, from AppConfig.ready()."""
    lanes.register(lanes.Lane("retention", queue="bulk", drain=retention.drain, next_due=retention.next_due))
    lanes.register(lanes.Lane("backfills", queue="bulk", drain=backfills.drain))
    provision.register_seed("tenants.retention", retention.seed_rules)
    for kind in KEPT:
        retention.register(kind)
