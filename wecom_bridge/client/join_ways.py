"""加入群聊: wechatpy has none of these calls."""

from typing import Any

from optionaldict import optionaldict
from wechatpy.client.api.base import BaseWeChatAPI


class JoinWays(BaseWeChatAPI):
    """加入群聊 calls; a parameter that is None is left out."""

    def add(self, scene: int, chat_id_list: list[str], **fields: Any) -> dict[str, Any]:
        data = optionaldict(scene=scene, chat_id_list=chat_id_list, **fields)
        return self._post("externalcontact/groupchat/add_join_way", data=dict(data))

    def get(self, config_id: str) -> dict[str, Any]:
        return self._post("externalcontact/groupchat/get_join_way", data={"config_id": config_id})

    def update(self, config_id: str, scene: int, chat_id_list: list[str], **fields: Any) -> dict[str, Any]:
        data = optionaldict(config_id=config_id, scene=scene, chat_id_list=chat_id_list, **fields)
        return self._post("externalcontact/groupchat/update_join_way", data=dict(data))

    def delete(self, config_id: str) -> dict[str, Any]:
        return self._post("externalcontact/groupchat/del_join_way", data={"config_id": config_id})

    def opengid_to_chatid(self, opengid: str) -> dict[str, Any]:
        return self._post("externalcontact/opengid_to_chatid", data={"opengid": opengid})
