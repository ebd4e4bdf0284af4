"""The directory as ids (platform reference C), and the addresses of WeCom's own servers (A)."""

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes.directory import (
    AddressList,
    DepartmentId,
    DepartmentIds,
    MemberName,
    MemberNames,
    Seat,
    SeatPage,
)
from wecom_bridge.shapes.pieces import INT53, Row, integer, integers, rows, text, texts


class Ids(Core):
    """What an app may read that is refused the details (48009)."""

    def department_simplelist(self, *, id: int | None = None) -> DepartmentIds:
        """department/simplelist: one with all below it, or all; 60011 out of range (C)."""
        return self._fetch("department/simplelist", read_departments, id=id)

    def user_simplelist(self, *, department_id: int, with_children: bool = False) -> MemberNames:
        """user/simplelist: members of a department; 60003 unknown department (C)."""
        below = int(with_children)
        return self._fetch("user/simplelist", read_names, department_id=department_id, fetch_child=below)

    def user_list_id(self, *, cursor: str = "", limit: int = 10_000) -> SeatPage:
        """user/list_id: one row per member and department, at most 10,000 a page (C)."""
        return self._ask("user/list_id", {"cursor": cursor, "limit": limit}, read_seats, under="")

    def get_api_domain_ip(self) -> AddressList:
        """get_api_domain_ip: where WeCom's API answers (A)."""
        return self._fetch("get_api_domain_ip", read_addresses)

    def getcallbackip(self) -> AddressList:
        """getcallbackip: where callbacks come from, some with `*`; refresh daily (A)."""
        return self._fetch("getcallbackip", read_addresses)


def read_departments(answer: Row) -> DepartmentIds:
    names = ("id", "parentid", "order")
    found = rows(answer, "department_id")
    return DepartmentIds(tuple(DepartmentId(*(integer(row, name, most=INT53) for name in names)) for row in found))


def read_names(answer: Row) -> MemberNames:
    return MemberNames(tuple(_name(row) for row in rows(answer, "userlist")))


def _name(row: Row) -> MemberName:
    userid, name = text(row, "userid"), text(row, "name")
    return MemberName(userid, name or userid, integers(row, "department"), text(row, "open_userid"))


def read_addresses(answer: Row) -> AddressList:
    return AddressList(texts(answer, "ip_list"))


def read_seats(answer: Row) -> SeatPage:
    seats = (
        Seat(text(row, "userid") or text(row, "open_userid"), integer(row, "department", most=INT53))
        for row in rows(answer, "dept_user")
    )
    return SeatPage(tuple(seat for seat in seats if seat.userid), text(answer, "next_cursor"))
