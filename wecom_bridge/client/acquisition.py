"""获客助手: wechatpy has none of these calls."""

import builtins
from typing import Any

from optionaldict import optionaldict
from wechatpy.client.api.base import BaseWeChatAPI

PREFIX = "externalcontact/customer_acquisition"


class Acquisition(BaseWeChatAPI):
    """获客助手 calls; a parameter that is None is left out."""

    def _ask(self, path: str, **data: Any) -> dict[str, Any]:
        return self._post(f"{PREFIX}/{path}", data=dict(optionaldict(data)))

    def list(self, limit: int = 100, cursor: str = "") -> dict[str, Any]:
        return self._ask("list_link", limit=limit, cursor=cursor or None)

    def get(self, link_id: str) -> dict[str, Any]:
        return self._ask("get", link_id=link_id)

    def create(
        self,
        link_name: str,
        range: dict[str, "builtins.list[Any]"],
        skip_verify: bool | None = None,
        priority_option: dict[str, Any] | None = None,
        mark_source: bool | None = None,
    ) -> dict[str, Any]:
        return self._ask(
            "create_link",
            link_name=link_name,
            range=range,
            skip_verify=skip_verify,
            priority_option=priority_option,
            mark_source=mark_source,
        )

    def update(self, link_id: str, **changes: Any) -> dict[str, Any]:
        return self._ask("update_link", link_id=link_id, **changes)

    def delete(self, link_id: str) -> dict[str, Any]:
        return self._ask("delete_link", link_id=link_id)

    def customers(self, link_id: str, limit: int = 1000, cursor: str = "") -> dict[str, Any]:
        return self._ask("customer", link_id=link_id, limit=limit, cursor=cursor or None)

    def statistic(self, link_id: str, start_time: int, end_time: int) -> dict[str, Any]:
        return self._ask("statistic", link_id=link_id, start_time=start_time, end_time=end_time)

    def chat_info(self, chat_key: str) -> dict[str, Any]:
        return self._ask("get_chat_info", chat_key=chat_key)

    def quota(self) -> dict[str, Any]:
        return self._get(f"{PREFIX}_quota")

    def permit(self) -> dict[str, Any]:
        return self._get(f"{PREFIX}_app/get_permit")
