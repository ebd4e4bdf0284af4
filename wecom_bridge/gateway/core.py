"""The call itself: never inside a transaction, with a token, within the rates, and with one honest error."""

import copy
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Self, TypeVar

import requests
from django.db import connection
from wechatpy.exceptions import WeChatClientException

from tenants.paths import scope_name
from wecom_bridge.client import CONNECT_SECONDS, WeComClient
from wecom_bridge.figures import recorder
from wecom_bridge.gateway import flows, rates, tokens
from wecom_bridge.gateway.errors import TOKEN_REFUSED, CallError, from_failure
from wecom_bridge.governor.limits import level_of
from wecom_bridge.governor.pace import KEPT_SECONDS, Pace
from wecom_bridge.models import Corp, CorpCredential

T = TypeVar("T")
CUSTOMER_CONTACT = "externalcontact/"
UPLOAD_TIMEOUT = (CONNECT_SECONDS, 60.0)
UPLOAD_KEPT = 90.0  # seconds: an upload holds its place for longer than other calls
WARM = timedelta(minutes=25)  # the sweep comes by every ten minutes
_FAILURES = (WeChatClientException, requests.RequestException, ValueError, KeyError)

_clients: dict[tuple[str, int], WeComClient] = {}
_sending = threading.local()


def refuse_in_transaction() -> None:
    """Raises RuntimeError inside a transaction: a remote call would hold its locks, and could not be undone with it."""
    if connection.in_atomic_block:
        raise RuntimeError("a call to WeCom inside a transaction")


class Core:
    """One corp's door to WeCom, for one level of urgency. Cheap to make; connections are kept per process."""

    def __init__(self, corp: Corp, credential: CorpCredential, pace: Pace) -> None:
        self.corp = corp
        self.credential_pk = credential.pk
        self.agent_id = credential.agent_id
        self._credential = credential
        self.client = _client(corp.corp_id, credential)
        self.pace = pace

    def at(self, priority: int) -> Self:
        """The same door, with the budget of a command's priority."""
        other = copy.copy(self)
        other.pace = self.pace.at(level_of(priority))
        return other

    def _call(self, api: str, send: Callable[[], T], *, subject: str = "", kept: float = KEPT_SECONDS) -> T:
        """Make one call. A refused token is replaced and the call repeated once: a refused call had no effect.

        subject: what the API's limits count by itself, e.g. a msgid; kept: how long the call may take.
        Raises CallError; RuntimeError inside a transaction.
        """
        refuse_in_transaction()
        token = tokens.current(self.credential_pk, self._fetch_token)
        try:
            with rates.turn(self.pace, api, subject=subject, kept=kept):
                return self._attempt(api, token, send)
        except CallError as error:
            if error.errcode not in TOKEN_REFUSED:
                raise
        token = tokens.replace(self.credential_pk, token, self._fetch_token)
        with rates.turn(self.pace, api, kept=kept):
            return self._attempt(api, token, send)

    def _ask(
        self,
        api: str,
        body: Mapping[str, Any],
        read: Callable[[dict[str, Any]], T],
        *,
        under: str = CUSTOMER_CONTACT,
        timeout: tuple[float, float] | None = None,
        subject: str = "",
    ) -> T:
        """A POST by WeCom's own parameter names, at `under` + `api`; a parameter that is None is left out.

        An answer that `read` cannot read is no answer: CallError, executed_maybe.
        """
        return self._call(api, lambda: read(self.client.send(under + api, body, timeout)), subject=subject)

    def _fetch(self, api: str, read: Callable[[dict[str, Any]], T], *, under: str = "", **params: Any) -> T:
        """A GET, otherwise the same."""
        return self._call(api, lambda: read(self.client.fetch(under + api, params)))

    def _attempt(self, api: str, token: tokens.Token, send: Callable[[], T]) -> T:
        _sending.token = token.value
        return _counted(api, send)

    def _fetch_token(self, secret: str) -> tokens.Given:
        """gettoken. Everybody waits for it, so it goes first."""
        refuse_in_transaction()
        flow = flows.flow_of(self._credential)
        try:
            with rates.turn(self.pace.at("welcome"), "gettoken"):
                return _counted(
                    "gettoken", lambda: tokens.read_answer(flow.fetch(self.client, self._credential, secret))
                )
        except CallError as error:
            error.executed_maybe = False  # of the command that waits for the token nothing has left
            raise

    def warm_token(self) -> None:
        """Have a token with a good while to live before one is needed in a hurry. Raises CallError."""
        refuse_in_transaction()
        tokens.current(self.credential_pk, self._fetch_token, margin=WARM)


def _counted(api: str, send: Callable[[], T]) -> T:
    """Send, count how it ended and how long it took. Raises CallError."""
    began, code = time.perf_counter(), "0"
    try:
        return send()
    except _FAILURES as error:
        failure = from_failure(error)
        code = failure.code
        raise failure from None  # the failure's own text holds the address with the token
    finally:
        recorder.observe("call", api, code, time.perf_counter() - began)


def _client(corp_id: str, credential: CorpCredential) -> WeComClient:
    key = (scope_name(), credential.pk)
    if key not in _clients:
        _clients[key] = WeComClient(corp_id, lambda: _sending.token)
    return _clients[key]
