"""The directory as a secret sees it: which members and departments exist for it."""

from functools import cached_property

from simulator.scenarios.model import Department
from simulator.world.directory import ACTIVE, LEFT, Directory, Member, VisibleRange, is_named


class View:
    """What the app's range in the console leaves, narrowed by the secret's own range, if it has one."""

    def __init__(self, directory: Directory, limits: VisibleRange | None) -> None:
        self._directory, self._limits = directory, limits

    @cached_property
    def _reach(self) -> set[int]:
        return self._directory.reach(self._limits)

    @cached_property
    def _shown(self) -> set[int]:
        """Departments in the app's range."""
        every = set(self._directory.departments)
        return every if self._directory.range is None else self._directory.reach(self._directory.range)

    def sees(self, member: Member) -> bool:
        """Whether the member, present or left, is in range."""
        return member.visible and is_named(member, self._limits, self._reach)

    def sees_department(self, department: int) -> bool:
        """Whether the department itself is in range; one of its members being so is not enough."""
        return department in self._shown and (self._limits is None or department in self._reach)

    def departments(self) -> list[Department]:
        """Departments in range."""
        return [row for row in self._directory.departments.values() if self.sees_department(row.id)]

    def present(self) -> list[Member]:
        """Members in range who have not left."""
        members = self._directory.present()
        return members if self._limits is None else [m for m in members if self.sees(m)]

    def gone(self) -> list[Member]:
        """Members in range who have left."""
        return [m for m in self._directory.gone() if self.sees(m)]

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
