"""What we ask WeCom: directory, customers, tags, groups. Each method is one call or, where it says so, several.

The list an answer is about must be there: taken for empty, an absent one would say that everybody has gone.
"""

from typing import Any

from wecom_bridge import contracts as c
from wecom_bridge.gateway import parse
from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes.pieces import Row, identifier, integer, needed_items, needed_part, needed_rows, text

PAGE = 100  # batch/get_by_user: 50 by default, 100 at most (reference 1)

Raw = dict[str, Any]


class Reading(Core):
    """Reading methods. All may raise CallError."""

    def get_departments(self) -> list[c.DepartmentInfo]:
        """department/list: every visible department."""

        def read() -> list[c.DepartmentInfo]:
            answer = self.client.directory.departments()
            return [parse.department(row) for row in needed_rows(answer, "department")]

        return self._call("department/list", read)

    def get_department_members(self, department_id: int, *, with_children: bool) -> list[Raw]:
        """user/list: raw rows of a department, or of it and all below. errcode 45029: too many at once; 60011: not its children.

        Left raw because a sync stages them as they are.
        """
        members = self.client.directory.members
        return self._call(
            "user/list", lambda: needed_items(members(department_id, with_children=with_children), "userlist")
        )

    def get_member(self, userid: str, *, serves: bool) -> c.MemberInfo:
        """user/get. errcode 60111: gone, or never here."""
        return self._call("user/get", lambda: parse.member(self.client.directory.member(userid), serves=serves))

    def get_follow_users(self) -> list[str]:
        """get_follow_user_list: userids with the customer-contact permission, within the app's visible range."""

        def read() -> list[str]:
            found = needed_items(self.client.customers.get_follow_user_list(), "follow_user")
            return [identifier({"follow_user": userid}, "follow_user") for userid in found]

        return self._call("get_follow_user_list", read)

    def get_customer(self, external_userid: str) -> c.PersonRow:
        """EC/get: a customer with all her follows; further calls only beyond 500 followers. errcode 84061: none left."""
        follows: list[c.FollowInfo] = []
        cursor = ""
        while True:
            person, found, cursor = self._customer(external_userid, cursor)
            follows += found
            if not cursor:
                return c.PersonRow(person, tuple(follows), True)

    def _customer(self, external_userid: str, cursor: str) -> tuple[c.ExternalContactInfo, list[c.FollowInfo], str]:
        def read() -> tuple[c.ExternalContactInfo, list[c.FollowInfo], str]:
            answer = self.client.customers.get(external_userid, cursor)
            follows = [parse.follow(row) for row in needed_rows(answer, "follow_user")]
            person = parse.external_contact(needed_part(answer, "external_contact"))
            return person, follows, text(answer, "next_cursor")

        return self._call("get", read)

    def get_customer_page(self, userid: str, cursor: str = "") -> tuple[list[Raw], str]:
        """batch/get_by_user for one member: (raw items, next cursor, empty at the end). 100 a page; no personal tags.

        errcode 50100: the cursor is no longer good, begin again. Items are left raw because a sync stages them as they are.
        """

        def read() -> tuple[list[Raw], str]:
            answer = self.client.customers.batch_get_by_user([userid], cursor, PAGE)
            return needed_items(answer, "external_contact_list"), text(answer, "next_cursor")

        return self._call("batch/get_by_user", read)

    def get_tag_groups(self) -> list[c.TagGroupInfo]:
        """get_corp_tag_list: all corp tags; there is no paging, and deleted ones are left out."""

        def read() -> list[c.TagGroupInfo]:
            answer = self.client.customers.get_corp_tag_list()
            return [parse.tag_group(row) for row in needed_rows(answer, "tag_group")]

        return self._call("get_corp_tag_list", read)

    def get_group_page(self, userids: list[str], cursor: str = "") -> tuple[list[tuple[str, int]], str]:
        """groupchat/list of at most 100 owners: ([(chat_id, status)], next cursor). 1,000 a page."""

        def read() -> tuple[list[tuple[str, int]], str]:
            answer = self.client.groups.list(userids=userids, cursor=cursor)
            pairs = [_group_state(row) for row in needed_rows(answer, "group_chat_list")]
            return pairs, text(answer, "next_cursor")

        return self._call("groupchat/list", read)

    def get_group(self, chat_id: str) -> c.GroupChatInfo:
        """groupchat/get with names. errcode 49008: dissolved. Details lag an event by about 2 s (reference 11.5)."""
        return self._call(
            "groupchat/get", lambda: parse.group_chat(needed_part(self.client.groups.get(chat_id), "group_chat"))
        )


def _group_state(row: Row) -> tuple[str, int]:
    return identifier(row, "chat_id"), integer(row, "status")
