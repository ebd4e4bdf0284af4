"""How a credential comes by its token, and for whom its callbacks are sealed: one flow per CorpCredential.kind.

A self-built app asks gettoken with its secret. A provider's app asks elsewhere, with a permanent code and the token of its
suite, and its instruction callbacks are sealed for the suite, not for the corp (platform reference A.1, B). A further kind
is a flow registered here; nothing that calls or listens asks which kind it is.
"""

from typing import Any, Protocol

from wecom_bridge.client import WeComClient
from wecom_bridge.models import CorpCredential


class Flow(Protocol):
    """What is different between kinds of credentials."""

    def fetch(self, client: WeComClient, credential: CorpCredential, secret: str) -> dict[str, Any]:
        """WeCom's answer with access_token and expires_in, for the secret as the row has it now. One attempt; raises wechatpy's or
        requests' errors."""
        ...

    def receiver(self, credential: CorpCredential) -> str:
        """The receiveid inside the credential's callback envelopes."""
        ...


class AppFlow:
    """A self-built app: gettoken with corp id and secret; callbacks are sealed for the corp."""

    def fetch(self, client: WeComClient, credential: CorpCredential, secret: str) -> dict[str, Any]:
        return client.fetch_access_token(secret)

    def receiver(self, credential: CorpCredential) -> str:
        return credential.corp.corp_id


_flows: dict[str, Flow] = {CorpCredential.Kind.APP.value: AppFlow()}


def register(kind: str, flow: Flow) -> None:
    """Let credentials of a kind speak for their corp. Raises ValueError for a kind that has a flow."""
    if kind in _flows:
        raise ValueError(f"kind {kind} has a flow already")
    _flows[kind] = flow


def kinds() -> list[str]:
    """The kinds of credentials that may speak for a corp."""
    return list(_flows)


def flow_of(credential: CorpCredential) -> Flow:
    """The flow of a credential. Raises LookupError for a kind without one."""
    return _flows[credential.kind]
