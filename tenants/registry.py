"""What the tenancy layer itself puts into the registries."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants import backfills, erasure, lanes, provision, retention
from tenants.erasure import Eraser, Subject
from tenants.ledger.models import AuditEntry, IdempotentRequest, Job

KEPT = (
    # The law asks for six months of logs (网络安全法 21).
    retention.Kind(
        "audit",
        _("操作记录"),
        730,
        retention.older(AuditEntry, "at"),
        least=180,
        why_least=_("法规要求日志至少留六个月。"),
    ),
    retention.Kind(
        "jobs", _("后台任务"), 90, retention.older(Job, "created_at", finished_at__isnull=False), least=7, most=730
    ),
    retention.Kind("api_answers", _("接口应答"), 2, retention.older(IdempotentRequest, "created_at"), most=30),
)


def _audit(subject: Subject) -> Q:
    ids = [str(pk) for pk in subject.pks("contacts.Contact")]
    return Q(subject_type="contacts.contact", subject_id__in=ids)


ERASERS = (
    # Who did what to whom by number stays; what was written down with it goes.
    Eraser(
        "ledger.AuditEntry", _("操作记录"), _audit, blank={"data": lambda row, subject: {}}, sweep=("data",),
        staff=("actor_name", "ip"),
    ),
    Eraser("ledger.Job", _("后台任务"), sweep=("params", "result", "title", "last_error")),
    Eraser("ledger.IdempotentRequest", _("接口应答"), sweep=("body",)),
)  # fmt: skip


def fill() -> None:
    """Called once, from AppConfig.ready()."""
    lanes.register(lanes.Lane("retention", queue="bulk", drain=retention.drain, next_due=retention.next_due))
    lanes.register(lanes.Lane("backfills", queue="bulk", drain=backfills.drain))
    provision.register_seed("tenants.retention", retention.seed_rules)
    for kind in KEPT:
        retention.register(kind)
    erasure.register(*ERASERS)
