"""联系我: wechatpy knows four of these calls, and none of is_exclusive, mark_source, the list and closing a session."""

import builtins
from typing import Any

from optionaldict import optionaldict
from wechatpy.client.api.base import BaseWeChatAPI


class ContactWays(BaseWeChatAPI):
    """联系我 calls; a parameter that is None is left out."""

    def add(
        self,
        type: int,
        scene: int,
        style: int | None = None,
        remark: str | None = None,
        skip_verify: bool | None = None,
        state: str | None = None,
        user: "builtins.list[str] | None" = None,
        party: "builtins.list[int] | None" = None,
        is_temp: bool | None = None,
        expires_in: int | None = None,
        chat_expires_in: int | None = None,
        unionid: str | None = None,
        is_exclusive: bool | None = None,
        mark_source: bool | None = None,
        conclusions: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        data = optionaldict(
            type=type,
            scene=scene,
            style=style,
            remark=remark,
            skip_verify=skip_verify,
            state=state,
            user=user,
            party=party,
            is_temp=is_temp,
            expires_in=expires_in,
            chat_expires_in=chat_expires_in,
            unionid=unionid,
            is_exclusive=is_exclusive,
            mark_source=mark_source,
            conclusions=conclusions,
        )
        return self._post("externalcontact/add_contact_way", data=dict(data))

    def get(self, config_id: str) -> dict[str, Any]:
        return self._post("externalcontact/get_contact_way", data={"config_id": config_id})

    def list(
        self, start_time: int | None = None, end_time: int | None = None, cursor: str = "", limit: int = 100
    ) -> dict[str, Any]:
        data = optionaldict(start_time=start_time, end_time=end_time, cursor=cursor or None, limit=limit)
        return self._post("externalcontact/list_contact_way", data=dict(data))

    def update(self, config_id: str, **changes: Any) -> dict[str, Any]:
        return self._post("externalcontact/update_contact_way", data=dict(optionaldict(config_id=config_id, **changes)))

    def delete(self, config_id: str) -> dict[str, Any]:
        return self._post("externalcontact/del_contact_way", data={"config_id": config_id})

    def close_temp_chat(self, userid: str, external_userid: str) -> dict[str, Any]:
        data = {"userid": userid, "external_userid": external_userid}
        return self._post("externalcontact/close_temp_chat", data=data)
