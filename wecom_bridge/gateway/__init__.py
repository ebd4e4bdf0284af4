"""The typed door to WeCom. `gateway_for(corp)` opens it; nothing outside the bridge does."""

from typing import Any

from wecom_bridge.gateway.acting import Acting
from wecom_bridge.gateway.core import refuse_in_transaction
from wecom_bridge.gateway.errors import CallError
from wecom_bridge.gateway.reading import Reading
from wecom_bridge.models import Corp, CorpCredential

__all__ = ["CallError", "Gateway", "gateway_for", "refuse_in_transaction"]


class Gateway(Reading, Acting):
    """All calls of one corp. It is also the contracts.WeComReader of settle procedures."""

    def call(self, method: str, **kwargs: Any) -> dict[str, Any]:
        """A method of Acting by name. Raises CallError; LookupError for a name that is none."""
        if method.startswith("_") or method not in vars(Acting):
            raise LookupError(f"the gateway has no method {method}")
        answer: dict[str, Any] = getattr(self, method)(**kwargs)
        return answer


def gateway_for(corp: Corp) -> Gateway:
    """The door of a corp, by its app's credential. Raises CallError (held) when it has none."""
    credential = CorpCredential.objects.filter(corp=corp, kind=CorpCredential.Kind.APP).order_by("id").first()
    if credential is None or not corp.is_active:
        raise CallError("the corp is not connected", retryable=True, retry_after=600.0, held=True)
    return Gateway(corp, credential)
