"""Departments and members, and their coming and going."""

from collections import deque
from dataclasses import dataclass, field

from simulator.scenarios.model import Department
from simulator.world.base import BaseWorld

MESSAGES_KEPT = 300
ACTIVE, DISABLED, NOT_ACTIVATED, LEFT = 1, 2, 4, 5


@dataclass
class Member:
    """A person of the corp. `status` as in user/get; `contact` is the customer-contact permission, `verified` the real name,
    `wechat` that she bound her WeChat."""

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
    wechat: bool = True
    app_messages: deque[dict] = field(default_factory=lambda: deque(maxlen=MESSAGES_KEPT))
    left_at: int = 0
    last_login: int | None = None  # None: lately
    banned: bool = False


@dataclass(frozen=True)
class VisibleRange:
    """Whom a secret may see (可见范围): members named one by one (userids in lower case), and departments with all below them."""

    members: frozenset[str] = frozenset()
    departments: frozenset[int] = frozenset()


def is_named(member: Member, limits: VisibleRange | None, reach: set[int]) -> bool:
    """Whether a range names the member; `reach` are the departments it reaches."""
    return limits is None or member.userid.lower() in limits.members or not reach.isdisjoint(member.departments)


class Directory:
    """The corp's people by userid (compared without case, as WeCom does)."""

    def __init__(self, base: BaseWorld) -> None:
        self.departments = {row.id: row for row in base.scenario.departments}
        self._members: dict[str, Member] = {}
        self.range: VisibleRange | None = None  # the app's, as the console has it; None: everybody
        self._order: list[str] = []
        self._of_department: dict[int, dict[str, Member]] = {}
        for row in base.staff:
            self.add(Member(row.userid, row.name, [row.department], row.position, row.leader, row.contact))

    def find(self, userid: str) -> Member | None:
        """The member, left or not; None for an unknown userid."""
        return self._members.get(userid.lower())

    @property
    def size(self) -> int:
        """How many userids there ever were."""
        return len(self._order)

    def userid_at(self, position: int) -> str:
        """The userid that came `position`-th, left or not."""
        return self._members[self._order[position]].userid

    def serves(self, userid: str) -> bool:
        """Whether the member is one of `servants`."""
        found = self.find(userid)
        return found is not None and found.contact and found.visible and found.status == ACTIVE

    def userids(self) -> list[str]:
        """Every userid, those who left included."""
        return [m.userid for m in self._members.values()]

    def present(self) -> list[Member]:
        """Members who have not left, and are not hidden one by one."""
        return [m for m in self._members.values() if m.status != LEFT and m.visible]

    def servants(self) -> list[Member]:
        """Active members with the customer-contact permission."""
        return [m for m in self.present() if m.contact and m.status == ACTIVE]

    def gone(self) -> list[Member]:
        """Members who have left, within the app's visible range."""
        return [m for m in self._members.values() if m.status == LEFT and m.visible]

    def add(self, member: Member) -> None:
        """A member joins, or one who left comes back; visible to the app if its range says so."""
        member.visible = is_named(member, self.range, self.reach(self.range))
        old = self._members.get(member.userid.lower())
        if old:
            self._take_out(old)
        else:
            self._order.append(member.userid.lower())
        self._members[member.userid.lower()] = member
        self._put_in(member)

    def move(self, member: Member, departments: list[int]) -> None:
        """A member belongs to other departments from now on."""
        self._take_out(member)
        member.departments = departments
        self._put_in(member)

    def _put_in(self, member: Member) -> None:
        for department in member.departments:
            self._of_department.setdefault(department, {})[member.userid.lower()] = member

    def _take_out(self, member: Member) -> None:
        for department in member.departments:
            self._of_department[department].pop(member.userid.lower(), None)

    def add_department(self, name: str, parent: int) -> Department:
        """A new department under `parent`."""
        row = Department(max(self.departments) + 1, name, parent)
        self.departments[row.id] = row
        return row

    def below(self, department: int) -> list[Department]:
        """The department and all its descendants, parents first."""
        children: dict[int, list[Department]] = {}
        for row in self.departments.values():
            children.setdefault(row.parent, []).append(row)
        rows = [self.departments[department]]
        for row in rows:
            rows.extend(children.get(row.id, ()))
        return rows

    def in_departments(self, wanted: set[int]) -> list[Member]:
        """Present members who belong to one of these departments directly."""
        found: dict[str, Member] = {}
        for department in sorted(wanted):
            found |= self._of_department.get(department, {})
        return [m for m in found.values() if m.status != LEFT and m.visible]

    # -- the app's visible range -----------------------------------------------------------------------------------

    def set_range(self, parties: list[int], userids: list[str]) -> tuple[list[str], list[str]]:
        """Show the app these departments with all below them, and these members. Returns (userids that came in, that went)."""
        self.range = VisibleRange(frozenset(userid.lower() for userid in userids), frozenset(parties))
        reach = self.reach(self.range)
        came, went = [], []
        for member in self._members.values():
            visible = is_named(member, self.range, reach)
            if member.status != LEFT and visible != member.visible:
                (came if visible else went).append(member.userid)
            member.visible = visible
        return came, went

    def reach(self, limits: VisibleRange | None) -> set[int]:
        """The departments a range names and all below them; empty without a range."""
        tops = limits.departments if limits else frozenset()
        return {row.id for top in tops if top in self.departments for row in self.below(top)}

    def visible_range(self) -> tuple[list[int], list[str]]:
        """(departments, userids) that say exactly who is visible: a department stands for all below it."""
        limits = self.range or VisibleRange(departments=frozenset({1}))
        parties: list[int] = []
        users = [m.userid for m in self.present() if m.userid.lower() in limits.members]
        for root in sorted(limits.departments):
            self._describe(root, limits, parties, users)
        return parties, list(dict.fromkeys(users))

    def _describe(self, department: int, limits: VisibleRange, parties: list[int], users: list[str]) -> None:
        tree = {row.id for row in self.below(department)}
        inside = [m for m in self._members.values() if m.status != LEFT and tree.intersection(m.departments)]
        if all(m.visible for m in inside):
            if inside or department in limits.departments:
                parties.append(department)
            return
        users += [m.userid for m in inside if m.visible and department in m.departments]
        for child in self.departments.values():
            if child.parent == department:
                self._describe(child.id, limits, parties, users)
