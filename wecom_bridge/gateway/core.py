"""The call itself: never inside a transaction, with a token, within the rates, and with one honest error."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import requests
from django.db import connection
from wechatpy.exceptions import WeChatClientException

from tenants.paths import scope_name
from wecom_bridge.client import WeComClient
from wecom_bridge.figures import recorder
from wecom_bridge.gateway import flows, rates, tokens
from wecom_bridge.gateway.errors import TOKEN_REFUSED, CallError, from_failure
from wecom_bridge.models import Corp, CorpCredential

T = TypeVar("T")
WARM = timedelta(minutes=25)  # the sweep comes by every ten minutes
_FAILURES = (WeChatClientException, requests.RequestException, ValueError, KeyError)

_clients: dict[tuple[str, int, str], WeComClient] = {}
_sending = threading.local()


def refuse_in_transaction() -> None:
    """Raises RuntimeError inside a transaction: a remote call would hold its locks, and could not be undone with it."""
    if connection.in_atomic_block:
        raise RuntimeError("a call to WeCom inside a transaction")


class Core:
    """One corp's door to WeCom. Cheap to make; connections are kept per process."""

    def __init__(self, corp: Corp, credential: CorpCredential) -> None:
        self.corp = corp
        self.credential_pk = credential.pk
        self.agent_id = credential.agent_id
        self._credential = credential
        self.client = _client(corp.corp_id, credential)

    def _call(self, api: str, send: Callable[[], T]) -> T:
        """Make one call. A refused token is replaced and the call repeated once: a refused call had no effect.

        Raises CallError; RuntimeError inside a transaction.
        """
        refuse_in_transaction()
        rates.check(self.corp.corp_id, api)
        with rates.place(self.corp.corp_id, api):
            began, code = time.perf_counter(), "0"
            try:
                return self._send(send)
            except CallError as error:
                code = error.code
                if error.errcode == 45009:
                    rates.close_window(self.corp.corp_id, api, error.retry_after or 60.0)
                raise
            finally:
                recorder.observe("call", api, code, time.perf_counter() - began)

    def _send(self, send: Callable[[], T]) -> T:
        token = tokens.current(self.credential_pk, self._fetch_token)
        try:
            return self._attempt(token, send)
        except CallError as error:
            if error.errcode not in TOKEN_REFUSED:
                raise
        return self._attempt(tokens.replace(self.credential_pk, token, self._fetch_token), send)

    def _attempt(self, token: tokens.Token, send: Callable[[], T]) -> T:
        _sending.token = token.value
        try:
            return send()
        except _FAILURES as error:
            raise from_failure(error) from None  # the failure's own text holds the address with the token

    def _fetch_token(self) -> dict[str, Any]:
        refuse_in_transaction()
        rates.check(self.corp.corp_id, "gettoken")
        try:
            return flows.flow_of(self._credential).fetch(self.client, self._credential)
        except _FAILURES as error:
            failure = from_failure(error)
        failure.executed_maybe = False  # of the command that waits for the token nothing has left
        if failure.errcode == 45009:
            rates.close_window(self.corp.corp_id, "gettoken", tokens.BANNED_SECONDS)
        raise failure from None

    def warm_token(self) -> None:
        """Have a token with a good while to live before one is needed in a hurry. Raises CallError."""
        refuse_in_transaction()
        tokens.current(self.credential_pk, self._fetch_token, margin=WARM)


def _client(corp_id: str, credential: CorpCredential) -> WeComClient:
    key = (scope_name(), credential.pk, credential.secret)
    if key not in _clients:
        _clients[key] = WeComClient(corp_id, credential.secret, lambda: _sending.token)
    return _clients[key]
