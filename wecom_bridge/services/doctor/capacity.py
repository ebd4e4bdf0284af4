"""Capacity gauges as findings: from what is known, without further calls."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wecom_bridge import contracts, gauges
from wecom_bridge.gauges import BAD_SHARE, WARN_SHARE, Gauge, Reading
from wecom_bridge.models import Corp
from wecom_bridge.services.doctor.finding import Check, Finding, bad, ok, warn
from wecom_bridge.services.doctor.patient import Patient

MAX_TAGS = 3_000  # corp tags and strategy tags together (customer-contact reference 2.1; 40126)
# Customers of one member: 5,000, and 20,000 after 扩容 (field/pains.md, benchmark anchors A; vendors' figure).
MEMBER_TIERS = (5_000, 20_000)


def judge(reading: Reading, expand: str) -> Finding:
    """From 80 % on a warning, from 95 % on an alarm."""
    seen = _("已用 %(used)s / %(limit)s(%(share)s%%)。") % {
        "used": f"{reading.used:,}", "limit": f"{reading.limit:,}", "share": int(reading.share * 100),
    }  # fmt: skip
    facts = {"used": reading.used, "limit": reading.limit}
    if reading.share < WARN_SHARE:
        return ok(seen, **facts)
    why = _("用满后企业微信会拒绝新增。")
    return (bad if reading.share >= BAD_SHARE else warn)(seen, why, expand, **facts)


def as_check(gauge: Gauge) -> Check:
    """A registered gauge among the checks."""

    def run(patient: Patient) -> Finding | None:
        reading = gauge.read(patient.corp)
        return judge(reading, str(gauge.expand)) if reading else None

    return Check(f"capacity.{gauge.key}", "health", gauge.label, run)


def _fullest_member(corp: Corp) -> Reading | None:
    """The member with the most customers, against the tier she is in."""
    known = contracts.inventory()
    most = max(known.follow_counts(corp).values(), default=0) if known else 0
    return Reading(most, MEMBER_TIERS[0] if most <= MEMBER_TIERS[0] else MEMBER_TIERS[1]) if most else None


def check_tags(patient: Patient) -> Finding:
    """Counted from the list the permission check has read. Raises CallError."""
    used = sum(len(group.tags) for group in patient.tag_groups())
    return judge(Reading(used, MAX_TAGS), _("企业微信没有扩容入口:到「标签」删掉长期不用的标签。"))


CHECKS = (Check("capacity.corp_tags", "health", gettext_lazy("企业标签数"), check_tags, needs=("api.tags",)),)

gauges.register(
    Gauge(
        "member_customers",
        gettext_lazy("单个成员的客户数"),
        _fullest_member,
        gettext_lazy("到「客户联系 › 客户 › 扩容」为成员扩容,或用在职继承分给别的导购。"),
    )
)
