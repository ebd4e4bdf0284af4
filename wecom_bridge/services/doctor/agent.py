"""The app: its AgentId, its trusted domain, and whom it may see."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.context import current_tenant
from tenants.models import Domain
from wecom_bridge import contracts as c
from wecom_bridge.gateway import CallError
from wecom_bridge.services.doctor import words
from wecom_bridge.services.doctor.finding import Check, Finding, bad, ok, unknown, warn
from wecom_bridge.services.doctor.patient import Patient

TOO_LARGE = 45029
NAMED = 5  # so many members are named, the rest is counted


def check_agent(patient: Patient) -> Finding:
    """AgentId and Secret belong to one app, and it is switched on. Raises CallError."""
    agent = patient.agent()
    if agent.close:
        return bad(
            _("应用「%(name)s」已停用。") % {"name": agent.name},
            _("停用后不能读客户,也不能发消息。"),
            _("到%(at)s重新启用。") % {"at": words.AT_APP},
        )
    return ok(_("应用「%(name)s」。") % {"name": agent.name})


def hosts() -> list[str]:
    """The hosts this merchant answers on, her own before the platform's."""
    rows = Domain.objects.filter(tenant=current_tenant(), verified_at__isnull=False)
    return list(rows.order_by("-is_primary", "id").values_list("domain", flat=True))


def check_domain(patient: Patient) -> Finding:
    """可信域名: pages inside WeCom open only on it; the console wants it before the trusted IP. Raises CallError."""
    trusted = patient.agent().redirect_domain.lower().split(":")[0]
    ours = hosts()
    wanted = ours[0] if ours else ""
    fix = _("到%(at)s填入 %(host)s 并完成校验。域名要已备案,主体与企业一致。") % {
        "at": words.AT_DOMAIN,
        "host": wanted,
    }
    why = _("没有它,导购在企业微信里打不开页面、不能用企业微信登录,聊天工具栏认不出客户,控制台也不让填可信IP。")
    if not trusted:
        return bad(_("还没有设置可信域名。"), why, fix, wanted=wanted)
    if trusted not in ours:
        saw = _("控制台里填的是 %(trusted)s,本系统用的是 %(host)s。") % {"trusted": trusted, "host": wanted}
        return warn(saw, why, fix, trusted=trusted, wanted=wanted)
    return ok(_("可信域名是 %(host)s。") % {"host": trusted}, trusted=trusted)


def check_range(patient: Patient) -> Finding:
    """可见范围 against who has 客户联系. Raises CallError."""
    agent, serving = patient.agent(), set(patient.serving())
    users, parties, tags = set(agent.userids), set(agent.partyids), agent.tagids
    if not (users or parties or tags):
        return bad(
            _("应用的可见范围是空的。"),
            _("范围外的成员和他们的客户都读不到。"),
            _("到%(at)s加上门店所在的部门。") % {"at": words.AT_RANGE},
        )
    if not serving:
        return bad(
            _("可见范围里没有一位成员开通了客户联系。"),
            _("没有客户联系就没有客户可同步。"),
            _("到%(at)s加上导购所在的部门。") % {"at": words.AT_SERVING},
        )
    visible = users | _members_below(patient, parties)
    outside, idle = sorted(serving - visible), visible - serving
    facts: dict[str, Any] = {
        "serving": len(serving),
        "visible": len(visible),
        "outside": len(outside),
        "idle": len(idle),
    }
    if outside and tags:
        return unknown(_("可见范围里有按标签选的成员,从接口看不出是否都在里面。"), "", **facts)
    if outside:
        saw = _("%(n)s 位开通了客户联系的成员不在可见范围里:%(names)s") % {"n": len(outside), "names": _some(outside)}
        return warn(
            saw,
            _("他们的客户同步不进来。"),
            _("到%(at)s加上他们或他们的部门。") % {"at": words.AT_RANGE},
            **facts,
        )
    seen = _("%(n)s 位成员开通了客户联系,都在可见范围里。") % {"n": len(serving)}
    if idle:
        seen += _("另有 %(n)s 位可见成员没有开通,他们不会有客户。") % {"n": len(idle)}
    return ok(seen, **facts)


def _members_below(patient: Patient, parties: set[int]) -> set[str]:
    """Members of these departments and of those below."""
    return {str(row["userid"]) for party in sorted(parties) for row in _members_of(patient, party)}


def _members_of(patient: Patient, party: int) -> list[dict[str, Any]]:
    """In one call, or one per department where WeCom finds that too many."""
    gateway = patient.gateway
    try:
        return patient.ask(f"members {party}", lambda: gateway.get_department_members(party, with_children=True))
    except CallError as error:
        if error.errcode != TOO_LARGE:
            raise
    below = sorted(_below(patient.departments(), {party}))
    return [row for one in below for row in gateway.get_department_members(one, with_children=False)]


def _below(departments: Iterable[c.DepartmentInfo], parties: set[int]) -> set[int]:
    found, grown = set(parties), True
    while grown:
        grown = False
        for row in departments:
            if row.parent_id in found and row.department_id not in found:
                found.add(row.department_id)
                grown = True
    return found


def _some(userids: list[str]) -> str:
    return "、".join(userids[:NAMED]) + ("…" if len(userids) > NAMED else "")


CHECKS = (
    Check("agent", "app", gettext_lazy("应用 AgentId"), check_agent, needs=("secret", "egress")),
    Check("domain", "domain", gettext_lazy("可信域名"), check_domain, needs=("agent",)),
    Check("range", "range", gettext_lazy("可见范围"), check_range, needs=("agent", "api.serving")),
)
