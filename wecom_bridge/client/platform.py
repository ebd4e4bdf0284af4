"""Calls of the platform that wechatpy 2.0.0a26 lacks or sends in an old form, in its style: one method, one call."""

from collections.abc import Mapping
from typing import Any, BinaryIO

from optionaldict import optionaldict
from wechatpy.client.api.base import BaseWeChatAPI

Given = Mapping[str, Any]


class Family(BaseWeChatAPI):
    """A parameter that is None is left out."""

    def _given(self, path: str, data: Given) -> dict[str, Any]:
        return self._post(path, data=dict(optionaldict(data)))


class Served(Family):
    """已服务的外部联系人."""

    def contact_list(self, data: Given) -> dict[str, Any]:
        return self._given("externalcontact/contact_list", data)


class Strategies(Family):
    """规则组: `kind` is customer or moment."""

    def strategy(self, kind: str, act: str, data: Given) -> dict[str, Any]:
        return self._given(f"externalcontact/{kind}_strategy/{act}", data)

    def tag(self, path: str, data: Given) -> dict[str, Any]:
        return self._given(f"externalcontact/{path}", data)


class Album(Family):
    """商品图册."""

    def send(self, path: str, data: Given) -> dict[str, Any]:
        return self._given(f"externalcontact/{path}", data)


class Intercepts(Family):
    """敏感词."""

    def list(self) -> dict[str, Any]:
        return self._get("externalcontact/get_intercept_rule_list")

    def send(self, path: str, data: Given) -> dict[str, Any]:
        return self._given(f"externalcontact/{path}", data)


class Conversions(Family):
    """ID 转换."""

    def convert(self, path: str, data: Given) -> dict[str, Any]:
        return self._given(path, data)


class Ids(Family):
    """通讯录 as ids, and WeCom's own addresses."""

    def departments(self, id: int | None) -> dict[str, Any]:
        return self._get("department/simplelist", params=optionaldict(id=id))

    def members(self, department_id: int, *, with_children: bool) -> dict[str, Any]:
        params = {"department_id": department_id, "fetch_child": int(with_children)}
        return self._get("user/simplelist", params=params)

    def seats(self, data: Given) -> dict[str, Any]:
        return self._given("user/list_id", data)

    def api_addresses(self) -> dict[str, Any]:
        return self._get("get_api_domain_ip")

    def callback_addresses(self) -> dict[str, Any]:
        return self._get("getcallbackip")


class Logins(Family):
    """身份验证 and JS-SDK: wechatpy asks the old user/getuserinfo, and keeps tickets where secrets may collide."""

    def user_info(self, code: str) -> dict[str, Any]:
        return self._get("auth/getuserinfo", params={"code": code})

    def user_detail(self, user_ticket: str) -> dict[str, Any]:
        return self._given("auth/getuserdetail", {"user_ticket": user_ticket})

    def corp_ticket(self) -> dict[str, Any]:
        return self._get("get_jsapi_ticket")

    def agent_ticket(self) -> dict[str, Any]:
        return self._get("ticket/get", params={"type": "agent_config"})


class App(Family):
    """应用 and its messages."""

    def get(self, agentid: int) -> dict[str, Any]:
        return self._get("agent/get", params={"agentid": agentid})

    def send(self, data: Given) -> dict[str, Any]:
        return self._given("message/send", data)

    def recall(self, msgid: str) -> dict[str, Any]:
        return self._given("message/recall", {"msgid": msgid})

    def update_card(self, data: Given) -> dict[str, Any]:
        return self._given("message/update_template_card", data)


class Uploads(Family):
    """素材 beyond wechatpy's."""

    def image(self, filename: str, file: BinaryIO, timeout: tuple[float, float]) -> dict[str, Any]:
        return self._post("media/uploadimg", files={"media": (filename, file)}, timeout=timeout)

    def by_url(self, data: Given) -> dict[str, Any]:
        return self._given("media/upload_by_url", data)

    def by_url_result(self, jobid: str) -> dict[str, Any]:
        return self._given("media/get_upload_by_url_result", {"jobid": jobid})
