"""wechatpy's call families, corrected where they send an old form, and those it lacks that several readers need."""

import builtins
from typing import Any

from optionaldict import optionaldict
from wechatpy.client.api.base import BaseWeChatAPI
from wechatpy.work.client.api import WeChatExternalContact, WeChatExternalContactGroupChat


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
