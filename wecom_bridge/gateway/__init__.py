"""The typed door to WeCom. `gateway_for(corp)` opens it; nothing outside the bridge does.

A family of calls is a class over Core in a module of its own; its methods return the values of `wecom_bridge.shapes`.
"""

from dataclasses import asdict
from typing import Any

from wecom_bridge.gateway import flows, tokens
from wecom_bridge.gateway.acquisition import Acquisition
from wecom_bridge.gateway.acting import Acting
from wecom_bridge.gateway.album import Album
from wecom_bridge.gateway.apps import Apps
from wecom_bridge.gateway.contact_ways import ContactWays
from wecom_bridge.gateway.conversions import Conversions
from wecom_bridge.gateway.core import refuse_in_transaction
from wecom_bridge.gateway.errors import CallError
from wecom_bridge.gateway.groupwelcomes import GroupWelcomes
from wecom_bridge.gateway.ids import Ids
from wecom_bridge.gateway.intercepts import Intercepts
from wecom_bridge.gateway.join_ways import JoinWays
from wecom_bridge.gateway.logins import Logins
from wecom_bridge.gateway.moments import Moments
from wecom_bridge.gateway.reading import Reading
from wecom_bridge.gateway.served import Served
from wecom_bridge.gateway.statistics import Statistics
from wecom_bridge.gateway.strategies import Strategies
from wecom_bridge.gateway.transfers import Transfers
from wecom_bridge.gateway.uploads import Uploads
from wecom_bridge.governor import limits
from wecom_bridge.governor.limits import Level
from wecom_bridge.governor.pace import Pace
from wecom_bridge.models import Corp, CorpCredential

__all__ = ["CallError", "Gateway", "gateway_for", "refuse_in_transaction"]


class Gateway(
    Reading,
    Acting,
    ContactWays,
    JoinWays,
    Acquisition,
    Served,
    Strategies,
    Album,
    Intercepts,
    Conversions,
    Ids,
    Apps,
    Logins,
    Uploads,
    GroupWelcomes,
    Moments,
    Statistics,
    Transfers,
):
    """All calls of one corp. It is also the contracts.WeComReader of settle procedures."""

    def call(self, method: str, **kwargs: Any) -> dict[str, Any]:
        """A method of a named family, its answer as a dict. Raises CallError; LookupError for a name that is none."""
        if method not in NAMES:
            raise LookupError(f"the gateway has no method {method}")
        answer = getattr(self, method)(**kwargs)
        return answer if isinstance(answer, dict) else asdict(answer)


# Methods a command or a settle procedure may name. Not Logins': a command's answer is kept, a ticket must not be. Not Reading's:
# they answer with values of the contracts.
NAMES = frozenset(
    name
    for family in Gateway.__bases__
    if family not in (Reading, Logins)
    for name in vars(family)
    if not name.startswith("_")
)


def gateway_for(corp: Corp, *, level: Level = "person") -> Gateway:
    """The door of a corp, by the credential that speaks for it, for work of this urgency. Raises CallError (held) when it has none.

    One query; a door is for one slice of work: a secret or token changed elsewhere is known to the next.
    """
    credential = CorpCredential.objects.filter(corp=corp, kind__in=flows.kinds()).order_by("id").first()
    if credential is None or not corp.is_active:
        raise CallError("the corp is not connected", retryable=True, retry_after=600.0, held=True)
    tokens.notice(credential)
    return Gateway(corp, credential, Pace(corp.pk, corp.corp_id, limits.in_force(), level))
