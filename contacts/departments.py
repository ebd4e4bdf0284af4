"""The tree of a corp's departments, for a page: in order, each with its depth, the store it follows, and whether it turns in a
circle. WeCom's own rules allow no circle; what we read may still hold one, or lack a parent."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from contacts.models import Department, Store

DEEPEST = 5


@dataclass(frozen=True)
class Laid:
    """follows: the store of the nearest department above; is_circular: her line of parents never ends, so that she follows
    nobody."""

    department: Department
    depth: int = 0
    follows: Store | None = None
    is_circular: bool = False

    @property
    def indent(self) -> range:
        """One step a level, as many as a phone can show."""
        return range(min(self.depth, DEEPEST))


def lay_out(departments: Sequence[Department]) -> list[Laid]:
    """Parents before children, each once; those in a circle, or below one, last."""
    known = {(row.corp_id, row.department_id): row for row in departments}
    children: dict[tuple[int, int], list[Department]] = defaultdict(list)
    tops: list[Department] = []
    for row in departments:
        above = (row.corp_id, row.parent_department_id)
        (children[above] if above in known else tops).append(row)
    found: list[Laid] = []
    waiting: list[Laid] = [Laid(row) for row in reversed(tops)]
    while waiting:
        one = waiting.pop()
        found.append(one)
        below = one.department.store or one.follows
        under = children[one.department.corp_id, one.department.department_id]
        waiting += [Laid(row, one.depth + 1, below) for row in reversed(under)]
    reached = {one.department.pk for one in found}
    return found + [Laid(row, is_circular=True) for row in departments if row.pk not in reached]
