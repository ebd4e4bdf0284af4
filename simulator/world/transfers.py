"""Hand-overs of customers and groups: who waits for whom, what came of it, and how often it happened."""

from dataclasses import dataclass, field

from simulator.clock import local

DONE, WAITING, REFUSED, LIMIT, NO_RECORD = 1, 2, 3, 4, 5
INHERITED = 3  # of a group; see world/groups.py


@dataclass
class Handover:
    """One customer on the way from one member to another. `at`: when it was decided, or will be."""

    handover: str
    takeover: str
    number: int
    resigned: bool
    at: int
    message: str = ""
    status: int = WAITING


@dataclass
class GroupHandover:
    """One group on the way to a new owner."""

    chat_id: str
    old_owner: str
    new_owner: str
    resigned: bool
    at: int
    done: bool = False


@dataclass
class TransferBook:
    """All hand-overs of a corp, oldest first. `open`: those waiting, by customer, who is in one at most. `away`: customers
    once handed away, by (member, customer).
    """

    rows: list[Handover] = field(default_factory=list)
    open: dict[int, Handover] = field(default_factory=dict)
    groups: list[GroupHandover] = field(default_factory=list)
    away: set[tuple[str, int]] = field(default_factory=set)

    def begin(self, row: Handover) -> None:
        """A hand-over waits from now on."""
        self.rows.append(row)
        self.open[row.number] = row

    def decide(self, row: Handover, status: int, at: int) -> None:
        """It waits no longer."""
        row.status, row.at = status, at
        del self.open[row.number]

    def waiting(self, number: int) -> Handover | None:
        """The hand-over this customer is in."""
        return self.open.get(number)

    def recent(self, number: int, now: int, days: int) -> int:
        """How often the customer of a member at work was handed over within so many calendar days; refused ones do not count."""
        return sum(
            1
            for row in self.rows
            if row.number == number
            and not row.resigned
            and row.status in (DONE, WAITING)
            and _within(row.at, now, days)
        )

    def between(self, handover: str, takeover: str, *, resigned: bool) -> list[Handover]:
        """The last hand-over of each customer between two members, oldest first."""
        last = {
            row.number: row
            for row in self.rows
            if (row.handover, row.takeover, row.resigned) == (handover, takeover, resigned)
        }
        return list(last.values())

    def group_waiting(self, chat_id: str) -> bool:
        """Whether the group is being handed over."""
        return any(row.chat_id == chat_id and not row.done for row in self.groups)

    def group_recent(self, chat_id: str, now: int, days: int) -> int:
        """How often the group changed hands between members at work within so many calendar days."""
        return sum(
            1 for row in self.groups if row.chat_id == chat_id and not row.resigned and _within(row.at, now, days)
        )

    def groups_today(self, old_owner: str, new_owner: str, now: int) -> int:
        """How many groups of one owner went to another on this day, both ways of handing over together."""
        return sum(
            1
            for row in self.groups
            if (row.old_owner, row.new_owner) == (old_owner, new_owner) and local(row.at).date() == local(now).date()
        )

    def next_due(self) -> int | None:
        """When the next hand-over is decided."""
        waiting = [row.at for row in self.open.values()]
        return min(waiting + [row.at for row in self.groups if not row.done], default=None)


def _within(at: int, now: int, days: int) -> bool:
    return (local(now).date() - local(at).date()).days < days
