"""Departments and members, and their coming and going."""

from dataclasses import dataclass, field

from simulator.scenarios.model import Department
from simulator.world.base import BaseWorld

ACTIVE, DISABLED, NOT_ACTIVATED, LEFT = 1, 2, 4, 5


@dataclass
class Member:
    """A person of the corp. `status` as in user/get; `contact` is the customer-contact permission, `verified` the real name."""

    userid: str
    name: str
    departments: list[int]
    position: str = "导购"
    leader: bool = False
    contact: bool = True
    status: int = ACTIVE
    mobile: str = ""
    alias: str = ""
    visible: bool = True
    verified: bool = True
    app_messages: list[dict] = field(default_factory=list)


class Directory:
    """The corp's people by userid (compared without case, as WeCom does)."""

    def __init__(self, base: BaseWorld) -> None:
        self.departments = {row.id: row for row in base.scenario.departments}
        self._members: dict[str, Member] = {}
        for row in base.staff:
            member = Member(row.userid, row.name, [row.department], row.position, row.leader, row.contact)
            self._members[row.userid.lower()] = member

    def find(self, userid: str) -> Member | None:
        """The member, left or not; None for an unknown userid."""
        return self._members.get(userid.lower())

    def userids(self) -> list[str]:
        """Every userid, those who left included."""
        return [m.userid for m in self._members.values()]

    def present(self) -> list[Member]:
        """Members who have not left, within the app's visible range."""
        return [m for m in self._members.values() if m.status != LEFT and m.visible]

    def servants(self) -> list[Member]:
        """Active members with the customer-contact permission."""
        return [m for m in self.present() if m.contact and m.status == ACTIVE]

    def add(self, member: Member) -> None:
        """A member joins, or one who left comes back."""
        self._members[member.userid.lower()] = member

    def add_department(self, name: str, parent: int) -> Department:
        """A new department under `parent`."""
        row = Department(max(self.departments) + 1, name, parent)
        self.departments[row.id] = row
        return row

    def below(self, department: int) -> list[Department]:
        """The department and all its descendants, parents first."""
        rows = [self.departments[department]]
        for row in rows:
            rows.extend(child for child in self.departments.values() if child.parent == row.id)
        return rows

    def in_departments(self, wanted: set[int]) -> list[Member]:
        """Present members who belong to one of these departments directly."""
        return [m for m in self.present() if wanted.intersection(m.departments)]
