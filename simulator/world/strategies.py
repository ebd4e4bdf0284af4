"""Strategies (规则组) of customer contact and of moments, and the tags that belong to one of them."""

from dataclasses import dataclass, field

from simulator.world.ids import digest_text
from simulator.world.tags import GroupRow, TagRow

CUSTOMER_PRIVILEGES = (
    "view_customer_list",
    "view_customer_data",
    "view_room_list",
    "contact_me",
    "join_room",
    "share_customer",
    "oper_resign_customer",
    "oper_resign_group",
    "send_customer_msg",
    "edit_welcome_msg",
    "view_behavior_data",
    "view_room_data",
    "send_group_msg",
    "room_deduplication",
    "rapid_reply",
    "onjob_customer_transfer",
    "edit_anti_spam_rule",
    "export_customer_list",
    "export_customer_data",
    "export_customer_group_list",
)
MOMENT_PRIVILEGES = ("send_moment", "view_moment_list")


@dataclass
class Strategy:
    """A strategy; `range` holds {type 1, userid} and {type 2, partyid}, `by` is the secret that made it."""

    strategy_id: int
    parent_id: int
    strategy_name: str
    create_time: int
    by: str
    admin_list: list[str] = field(default_factory=list)
    privilege: dict[str, bool] = field(default_factory=dict)
    range: list[dict] = field(default_factory=list)

    def shown(self) -> dict:
        """As `get` answers."""
        return {
            "strategy_id": self.strategy_id,
            "parent_id": self.parent_id,
            "strategy_name": self.strategy_name,
            "create_time": self.create_time,
            "admin_list": self.admin_list,
            "privilege": self.privilege,
        }


class StrategyBook:
    """The strategies of one kind; ids count up and are never given again."""

    def __init__(self, privileges: tuple[str, ...]) -> None:
        self.privileges = privileges
        self.rows: dict[int, Strategy] = {}
        self._made = 0

    def new(self, name: str, parent: int, now: int, by: str) -> Strategy:
        """A strategy without administrators, privileges and range yet."""
        self._made += 1
        row = self.rows[self._made] = Strategy(self._made, parent, name, now, by)
        return row

    def delete(self, strategy_id: int) -> list[int]:
        """Take away a strategy with those below it. Returns their ids."""
        gone = [strategy_id]
        for one in gone:
            gone += [row.strategy_id for row in self.rows.values() if row.parent_id == one]
        for one in gone:
            del self.rows[one]
        return gone


@dataclass
class StrategyGroup(GroupRow):
    """A tag group of one strategy."""

    strategy_id: int = 0


class StrategyTagBook:
    """Tags of strategies (`st…`), apart from the corp tags; both share one limit."""

    def __init__(self, key: str) -> None:
        self._key, self._made = key, 0
        self.groups: dict[str, StrategyGroup] = {}
        self.tags: dict[str, TagRow] = {}

    def _next_id(self) -> str:
        self._made += 1
        return "st" + digest_text(self._key, "strategy-tag", self._made, length=30)

    def new_group(self, strategy_id: int, name: str, now: int, *, order: int, by: str) -> StrategyGroup:
        """Create a group; the caller has checked that the name is free within the strategy."""
        row = StrategyGroup(self._next_id(), name, now, order, by=by, strategy_id=strategy_id)
        self.groups[row.id] = row
        return row

    def new_tag(self, group_id: str, name: str, now: int, *, order: int, by: str) -> TagRow:
        """Create a tag; the caller has checked limits and names."""
        row = TagRow(self._next_id(), name, group_id, now, order, by=by)
        self.tags[row.id] = row
        return row

    def of(self, group_id: str) -> list[TagRow]:
        """The tags of a group, larger order first."""
        return sorted((t for t in self.tags.values() if t.group_id == group_id), key=lambda t: -t.order)

    def group_named(self, strategy_id: int, name: str) -> StrategyGroup | None:
        """The group of that name within a strategy."""
        return next((g for g in self.groups.values() if (g.strategy_id, g.name) == (strategy_id, name)), None)

    def delete_tag(self, tag_id: str) -> None:
        """Delete a tag; its group goes with its last one."""
        group_id = self.tags.pop(tag_id).group_id
        if not self.of(group_id):
            del self.groups[group_id]

    def delete_group(self, group_id: str) -> None:
        """Delete a group with its tags."""
        del self.groups[group_id]
        for row in self.of(group_id):
            del self.tags[row.id]

    def delete_of(self, strategies: list[int]) -> None:
        """Delete what belonged to strategies that are gone."""
        for group in [g for g in self.groups.values() if g.strategy_id in strategies]:
            self.delete_group(group.id)
