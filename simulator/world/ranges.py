"""The visible range (可见范围) of an app: which members and departments exist for it."""

from dataclasses import dataclass
from functools import cached_property

from simulator.scenarios.model import Department
from simulator.world.directory import ACTIVE, LEFT, Directory, Member


@dataclass(frozen=True)
class VisibleRange:
    """Members named one by one (userids in lower case), and departments with everything below them."""

    members: frozenset[str] = frozenset()
    departments: frozenset[int] = frozenset()


class View:
    """The directory as one secret sees it; without a range it sees all but members hidden one by one."""

    def __init__(self, directory: Directory, limits: VisibleRange | None) -> None:
        self._directory, self._limits = directory, limits

    @cached_property
    def _departments(self) -> set[int]:
        wanted = self._limits.departments if self._limits else frozenset()
        return {row.id for top in wanted if top in self._directory.departments for row in self._directory.below(top)}

    def sees(self, member: Member) -> bool:
        """Whether the member, present or left, is in range."""
        if self._limits is None or not member.visible:
            return member.visible
        return member.userid.lower() in self._limits.members or not self._departments.isdisjoint(member.departments)

    def sees_department(self, department: int) -> bool:
        """Whether the department itself is in range; one of its members being so is not enough."""
        shown = self._directory.shows_department(department)
        return shown and (self._limits is None or department in self._departments)

    def departments(self) -> list[Department]:
        """Departments in range."""
        return [row for row in self._directory.departments.values() if self.sees_department(row.id)]

    def present(self) -> list[Member]:
        """Members in range who have not left."""
        members = self._directory.present()
        return members if self._limits is None else [m for m in members if self.sees(m)]

    def servants(self) -> list[Member]:
        """Active members in range with the customer-contact permission."""
        return [m for m in self.present() if m.contact and m.status == ACTIVE]

    def serves(self, userid: str) -> bool:
        """Whether the member is one of `servants`."""
        found = self._directory.find(userid)
        return found is not None and found.contact and found.status == ACTIVE and self.sees(found)

    def in_departments(self, wanted: set[int]) -> list[Member]:
        """Present members in range who belong to one of these departments directly."""
        return [m for m in self._directory.in_departments(wanted) if self.sees(m)]

    def find(self, userid: str) -> Member | None:
        """The present member in range, or None."""
        found = self._directory.find(userid)
        return found if found is not None and found.status != LEFT and self.sees(found) else None
