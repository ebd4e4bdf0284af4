"""The directory as ids (platform reference C), and the addresses of WeCom's own servers (A)."""

from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.gateway.lenient import number, numbers, rows, text, texts
from wecom_bridge.gateway.parse import Row
from wecom_bridge.shapes.directory import (
    AddressList,
    DepartmentId,
    DepartmentIds,
    MemberName,
    MemberNames,
    Seat,
    SeatPage,
)


class Ids(Core):
    """What an app may read that is refused the details (48009)."""

    def department_simplelist(self, *, id: int | None = None) -> DepartmentIds:
        """department/simplelist: one with all below it, or all; 60011 out of range (C)."""
        answer = self._call("department/simplelist", lambda: self.client.ids.departments(id))
        return DepartmentIds(tuple(_department(row) for row in rows(answer, "department_id")))

    def user_simplelist(self, *, department_id: int, with_children: bool = False) -> MemberNames:
        """user/simplelist: members of a department; 60003 unknown department (C)."""
        answer = self._call(
            "user/simplelist", lambda: self.client.ids.members(department_id, with_children=with_children)
        )
        return MemberNames(tuple(_name(row) for row in rows(answer, "userlist")))

    def user_list_id(self, *, cursor: str = "", limit: int = 10_000) -> SeatPage:
        """user/list_id: one row per member and department, at most 10,000 a page (C)."""
        given = {"cursor": cursor, "limit": limit}
        return read_seats(self._call("user/list_id", lambda: self.client.ids.seats(given)))

    def get_api_domain_ip(self) -> AddressList:
        """get_api_domain_ip: where WeCom's API answers (A)."""
        return AddressList(texts(self._call("get_api_domain_ip", self.client.ids.api_addresses), "ip_list"))

    def getcallbackip(self) -> AddressList:
        """getcallbackip: where callbacks come from, some with `*`; refresh daily (A)."""
        return AddressList(texts(self._call("getcallbackip", self.client.ids.callback_addresses), "ip_list"))


def _department(row: Row) -> DepartmentId:
    return DepartmentId(number(row, "id"), number(row, "parentid"), number(row, "order"))


def _name(row: Row) -> MemberName:
    userid, name = text(row, "userid"), text(row, "name")
    return MemberName(userid, name or userid, numbers(row, "department"), text(row, "open_userid"))


def read_seats(answer: dict[str, Any]) -> SeatPage:
    seats = (
        Seat(text(row, "userid") or text(row, "open_userid"), number(row, "department"))
        for row in rows(answer, "dept_user")
    )
    return SeatPage(tuple(seat for seat in seats if seat.userid), text(answer, "next_cursor"))
