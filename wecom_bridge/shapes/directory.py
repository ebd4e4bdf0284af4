"""Departments and members as ids, and the addresses of WeCom's own servers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DepartmentId:
    id: int
    parentid: int = 0
    order: int = 0


@dataclass(frozen=True)
class DepartmentIds:
    department_id: tuple[DepartmentId, ...]


@dataclass(frozen=True)
class MemberName:
    """name equals userid where WeCom hides names; open_userid for a provider's apps alone."""

    userid: str
    name: str = ""
    department: tuple[int, ...] = ()
    open_userid: str = ""


@dataclass(frozen=True)
class MemberNames:
    userlist: tuple[MemberName, ...]


@dataclass(frozen=True)
class Seat:
    """A member in a department; an app of a provider sees open_userid in its place."""

    userid: str
    department: int


@dataclass(frozen=True)
class SeatPage:
    """One row per member and department; next_cursor is empty on the last page."""

    dept_user: tuple[Seat, ...]
    next_cursor: str = ""


@dataclass(frozen=True)
class AddressList:
    """Addresses, some with `*` in their last part."""

    ip_list: tuple[str, ...]
