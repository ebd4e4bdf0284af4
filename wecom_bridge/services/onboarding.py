"""The guided way from nothing to the first sync: which step is done, by what the doctor last found, and what to copy where."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from tenants.context import current_tenant
from tenants.models import CallbackRoute
from wecom_bridge import queries
from wecom_bridge.models import Corp, CorpCredential, DoctorFinding
from wecom_bridge.services import doctor
from wecom_bridge.services.corps import callback_url
from wecom_bridge.services.doctor import agent
from wecom_bridge.services.doctor.steps import STEPS, Step

FINE = (DoctorFinding.State.OK, DoctorFinding.State.WARN)
Values = list[tuple[str, str]]


@dataclass(frozen=True)
class Stage:
    """A step with its state (done, bad, waiting), and what is copied into the console: (label, value), nothing secret."""

    step: Step
    state: str
    values: Values


def list_stages(corp: Corp | None) -> list[Stage]:
    """The steps in the console's order; before a corp is there, without values."""
    if corp is None:
        return [Stage(step, "waiting", []) for step in STEPS]
    last = queries.list_findings(corp)
    values = _values(corp, last)
    return [Stage(step, _state(step, last), values.get(step.key, [])) for step in STEPS]


def is_ready(stages: list[Stage]) -> bool:
    """Whether the first sync may begin."""
    return all(stage.state == "done" for stage in stages)


def _state(step: Step, last: Mapping[str, DoctorFinding]) -> str:
    found = [last[check.key].state for check in doctor.all_checks() if check.step == step.key and check.key in last]
    if DoctorFinding.State.BAD in found:
        return "bad"
    return "done" if found and all(state in FINE for state in found) else "waiting"


def _values(corp: Corp, last: Mapping[str, DoctorFinding]) -> dict[str, Values]:
    credential = CorpCredential.objects.filter(corp=corp).only("agent_id").order_by("id").first()
    hosts = agent.hosts()
    found: dict[str, Values] = {
        "app": [(_("企业 ID"), corp.corp_id), ("AgentId", credential.agent_id if credential else "")],
        "domain": [(_("域名"), hosts[0])] if hosts else [],
        "ip": [("IP", ip)] if (ip := _ip(last)) else [],
        "callback": [],
    }
    route = CallbackRoute.objects.filter(tenant=current_tenant(), corp_pk=corp.pk).order_by("id").first()
    if route:
        found["callback"] = [("URL", callback_url(route.opaque))]
    return found


def _ip(last: Mapping[str, DoctorFinding]) -> str:
    """Where WeCom last saw us come from."""
    for key in ("egress", "reach"):
        if key in last and last[key].facts.get("ip"):
            return str(last[key].facts["ip"])
    return ""
