"""What we ask WeCom: directory, customers, tags, groups. Each method is one call or, where it says so, several."""

from typing import Any

from wecom_bridge import contracts as c
from wecom_bridge.gateway import parse
from wecom_bridge.gateway.core import Core

PAGE = 100  # batch/get_by_user: 50 by default, 100 at most (reference 1)


class Reading(Core):
    """Reading methods. All may raise CallError."""

    def get_departments(self) -> list[c.DepartmentInfo]:
        """department/list: every visible department."""
        answer = self._call("department/list", self.client.directory.departments)
        return [parse.department(row) for row in answer["department"]]

    def get_department_members(self, department_id: int, *, with_children: bool) -> list[dict[str, Any]]:
        """user/list: raw rows of a department, or of it and all below. errcode 45029: too many at once; 60011: not its children.

        Left raw because a sync stages them as they are.
        """
        answer = self._call(
            "user/list", lambda: self.client.directory.members(department_id, with_children=with_children)
        )
        return list(answer["userlist"])

    def get_member(self, userid: str, *, serves: bool) -> c.MemberInfo:
        """user/get. errcode 60111: gone, or never here."""
        return parse.member(self._call("user/get", lambda: self.client.directory.member(userid)), serves=serves)

    def get_follow_users(self) -> list[str]:
        """get_follow_user_list: userids with the customer-contact permission, within the app's visible range."""
        return [
            str(userid)
            for userid in self._call("get_follow_user_list", self.client.customers.get_follow_user_list)["follow_user"]
        ]

    def get_customer(self, external_userid: str) -> c.PersonRow:
        """EC/get: a customer with all her follows; further calls only beyond 500 followers. errcode 84061: none left."""
        follows: list[c.FollowInfo] = []
        cursor = ""
        while True:
            answer = self._customer(external_userid, cursor)
            follows += [parse.follow(row) for row in answer["follow_user"]]
            cursor = str(answer.get("next_cursor") or "")
            if not cursor:
                return c.PersonRow(parse.external_contact(answer["external_contact"]), tuple(follows), True)

    def _customer(self, external_userid: str, cursor: str) -> dict[str, Any]:
        return self._call("get", lambda: self.client.customers.get(external_userid, cursor))

    def get_customer_page(self, userid: str, cursor: str = "") -> tuple[list[dict[str, Any]], str]:
        """batch/get_by_user for one member: (raw items, next cursor, empty at the end). 100 a page; no personal tags.

        errcode 50100: the cursor is no longer good, begin again. Items are left raw because a sync stages them as they are.
        """
        answer = self._call(
            "batch/get_by_user", lambda: self.client.customers.batch_get_by_user([userid], cursor, PAGE)
        )
        return list(answer["external_contact_list"]), str(answer.get("next_cursor") or "")

    def get_tag_groups(self) -> list[c.TagGroupInfo]:
        """get_corp_tag_list: all corp tags; there is no paging, and deleted ones are left out."""
        answer = self._call("get_corp_tag_list", self.client.customers.get_corp_tag_list)
        return [parse.tag_group(row) for row in answer["tag_group"]]

    def get_group_page(self, userids: list[str], cursor: str = "") -> tuple[list[tuple[str, int]], str]:
        """groupchat/list of at most 100 owners: ([(chat_id, status)], next cursor). 1,000 a page."""
        answer = self._call("groupchat/list", lambda: self.client.groups.list(userids=userids, cursor=cursor))
        pairs = [(str(row["chat_id"]), int(row.get("status") or 0)) for row in answer["group_chat_list"]]
        return pairs, str(answer.get("next_cursor") or "")

    def get_group(self, chat_id: str) -> c.GroupChatInfo:
        """groupchat/get with names. errcode 49008: dissolved. Details lag an event by about 2 s (reference 11.5)."""
        answer = self._call("groupchat/get", lambda: self.client.groups.get(chat_id))
        return parse.group_chat(answer["group_chat"])
