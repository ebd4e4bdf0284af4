"""wechatpy's client for WeCom, bent to this house: address from the settings, tokens from our own store, no hidden retries.

wechatpy's own retry is switched off (it recurses without end and hides a lost answer); its token cache is not used
(secrets that share ten characters would collide). What it lacks is added in its style. Only the gateway imports this.
"""

import builtins
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import requests
from django.conf import settings
from optionaldict import optionaldict
from requests.adapters import HTTPAdapter
from wechatpy.client.api.base import BaseWeChatAPI
from wechatpy.session import SessionStorage
from wechatpy.work import WeChatClient
from wechatpy.work.client.api import (
    WeChatDepartment,
    WeChatExternalContact,
    WeChatExternalContactGroupChat,
    WeChatMedia,
    WeChatMessage,
    WeChatUser,
)

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
POOL_SIZE = 32


class Customers(WeChatExternalContact):
    """客户联系 calls: those of wechatpy, corrected where it sends an old form, and those it lacks."""

    def get(self, external_userid: str, cursor: str = "") -> dict[str, Any]:
        params = optionaldict(external_userid=external_userid, cursor=cursor or None)
        return self._get("externalcontact/get", params=params)

    def batch_get_by_user(
        self, userid_list: "builtins.list[str]", cursor: str = "", limit: int = 100
    ) -> dict[str, Any]:
        data = {"userid_list": userid_list, "cursor": cursor, "limit": limit}
        return self._post("externalcontact/batch/get_by_user", data=data)

    def get_corp_tag_list(
        self, tag_id: "builtins.list[str] | None" = None, group_id: "builtins.list[str] | None" = None
    ) -> dict[str, Any]:
        return self._post(
            "externalcontact/get_corp_tag_list", data=dict(optionaldict(tag_id=tag_id, group_id=group_id))
        )

    def send(self, path: str, data: Mapping[str, Any], timeout: tuple[float, float] | None = None) -> dict[str, Any]:
        """Any other POST of this family, by its own parameter names; a parameter that is None is left out."""
        limits = timeout or self._client.timeout
        return self._post(f"externalcontact/{path}", data=dict(optionaldict(data)), timeout=limits)


class Groups(WeChatExternalContactGroupChat):
    """客户群 calls."""

    def list(
        self,
        *,
        status_filter: int = 0,
        userids: "builtins.list[str] | None" = None,
        cursor: str = "",
        limit: int = 1000,
    ) -> dict[str, Any]:
        data: dict[str, Any] = {"status_filter": status_filter, "cursor": cursor, "limit": limit}
        if userids:
            data["owner_filter"] = {"userid_list": userids}
        return self._post("externalcontact/groupchat/list", data=data)

    def get(self, chat_id: str) -> dict[str, Any]:
        return self._post("externalcontact/groupchat/get", data={"chat_id": chat_id, "need_name": 1})


class Directory(BaseWeChatAPI):
    """通讯录 calls that the bridge reads."""

    def departments(self) -> dict[str, Any]:
        return self._get("department/list")

    def members(self, department_id: int, *, with_children: bool) -> dict[str, Any]:
        return self._get("user/list", params={"department_id": department_id, "fetch_child": int(with_children)})

    def member(self, userid: str) -> dict[str, Any]:
        return self._get("user/get", params={"userid": userid})


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

    def __init__(self, corp_id: str, secret: str, token: Callable[[], str]) -> None:
        self._token = token
        super().__init__(
            corp_id, secret, session=_NoStorage(), timeout=(CONNECT_SECONDS, READ_SECONDS), auto_retry=False
        )
        self.API_BASE_URL = f"{settings.WECOM_API_BASE}/cgi-bin/"
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=POOL_SIZE, max_retries=0)
        self._http.mount("https://", adapter)
        self._http.mount("http://", adapter)

    @property
    def access_token(self) -> str:
        return self._token()

    def fetch_access_token(self) -> dict[str, Any]:
        """gettoken, once. Raises wechatpy's or requests' errors; the caller keeps the answer."""
        answer = self._http.get(
            f"{self.API_BASE_URL}gettoken",
            params={"corpid": self.corp_id, "corpsecret": self.secret},
            timeout=self.timeout,
        )
        answer.raise_for_status()
        return self._handle_result(answer)

    def _decode_result(self, res: requests.Response) -> dict[str, Any]:
        """A dict, or ValueError: half an answer must not pass for one."""
        result = orjson.loads(res.content)
        if not isinstance(result, dict):
            raise ValueError("not a JSON object")
        return result
