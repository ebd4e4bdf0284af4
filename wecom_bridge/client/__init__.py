"""wechatpy's client for WeCom, bent to this house: address from the settings, tokens from our own store, no hidden retries.

wechatpy's own retry is switched off (it recurses without end and hides a lost answer); its token cache is not used
(secrets that share ten characters would collide). What it lacks goes by `send` and `fetch`. Only the gateway imports this.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import requests
from django.conf import settings
from optionaldict import optionaldict
from requests.adapters import HTTPAdapter
from wechatpy.session import SessionStorage
from wechatpy.work import WeChatClient
from wechatpy.work.client.api import (
    WeChatDepartment,
    WeChatMedia,
    WeChatMessage,
    WeChatUser,
)

from wecom_bridge.client.customers import Customers, Directory, Groups

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
POOL_SIZE = 32


class _NoStorage(SessionStorage):
    """wechatpy insists on one; tokens come from the credential's row instead."""

    def get(self, key: str, default: Any = None) -> Any:
        return default

    def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        return None

    def delete(self, key: str) -> None:
        return None


class WeComClient(WeChatClient):
    """One per process and credential: its requests.Session keeps connections alive and may be used by several threads."""

    customers = Customers()
    groups = Groups()
    directory = Directory()
    department = WeChatDepartment()
    user = WeChatUser()
    media = WeChatMedia()
    message = WeChatMessage()

    def __init__(self, corp_id: str, token: Callable[[], str]) -> None:
        self._token = token
        super().__init__(corp_id, "", session=_NoStorage(), timeout=(CONNECT_SECONDS, READ_SECONDS), auto_retry=False)
        self.API_BASE_URL = f"{settings.WECOM_API_BASE}/cgi-bin/"
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=POOL_SIZE, max_retries=0)
        self._http.mount("https://", adapter)
        self._http.mount("http://", adapter)

    @property
    def access_token(self) -> str:
        return self._token()

    def fetch_access_token(self, secret: str) -> dict[str, Any]:
        """gettoken, once. Raises wechatpy's or requests' errors; the caller keeps the answer."""
        return self.ask_plainly("GET", "gettoken", params={"corpid": self.corp_id, "corpsecret": secret})

    def ask_plainly(self, method: str, path: str, **parts: Any) -> dict[str, Any]:
        """A call without our access token: those that lead to one. parts: params, json. Raises wechatpy's or requests' errors."""
        answer = self._http.request(method, f"{self.API_BASE_URL}{path}", timeout=self.timeout, **parts)
        answer.raise_for_status()
        return self._handle_result(answer)

    def send(self, path: str, data: Mapping[str, Any], timeout: tuple[float, float] | None = None) -> dict[str, Any]:
        """A POST by WeCom's own parameter names; a parameter that is None is left out."""
        return self.post(path, data=dict(optionaldict(data)), timeout=timeout or self.timeout)

    def fetch(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """A GET, likewise."""
        return self.get(path, params=dict(optionaldict(params)))

    def _decode_result(self, res: requests.Response) -> dict[str, Any]:
        """A dict, or ValueError: half an answer must not pass for one."""
        result = orjson.loads(res.content)
        if not isinstance(result, dict) or not isinstance(result.get("errcode", 0), int | str):
            raise ValueError("no answer of WeCom's")
        result.pop(
            "base_resp", None
        )  # of the device APIs, which are not called; wechatpy would let it overwrite the errcode
        return result
