"""Corp tags and their groups. Deleted ones stay, marked, as WeCom answers for them by id."""

from dataclasses import dataclass

from simulator.world.base import BaseWorld
from simulator.world.ids import digest_text

TAG_LIMIT = 3000


@dataclass
class TagRow:
    """A corp tag; `by` is the app that made it, or `console`."""

    id: str
    name: str
    group_id: str
    create_time: int
    order: int = 0
    deleted: bool = False
    by: str = "app"


@dataclass
class GroupRow:
    """A corp tag group."""

    id: str
    name: str
    create_time: int
    order: int = 0
    deleted: bool = False
    by: str = "app"


class TagBook:
    """All tags of a corp. Larger `order` stands first; equal ones stand in order of creation."""

    def __init__(self, base: BaseWorld) -> None:
        self.groups: dict[str, GroupRow] = {}
        self.tags: dict[str, TagRow] = {}
        self.base_ids: dict[tuple[str, str], str] = {}
        self._key, self._made = base.key, 0
        created = base.start - 400 * 86_400
        for group in base.scenario.tag_groups:
            row = self.new_group(group.name, created, by=group.by)
            for tag in group.tags:
                self.base_ids[group.name, tag.name] = self.new_tag(row.id, tag.name, created, by=group.by).id
        self.any_deleted = False

    def _next_id(self) -> str:
        self._made += 1
        return "et" + digest_text(self._key, "tag", self._made, length=30)

    def new_group(self, name: str, now: int, *, order: int = 0, by: str = "app") -> GroupRow:
        """Create a group; the caller has checked that the name is free."""
        row = GroupRow(self._next_id(), name, now, order, by=by)
        self.groups[row.id] = row
        return row

    def new_tag(self, group_id: str, name: str, now: int, *, order: int = 0, by: str = "app") -> TagRow:
        """Create a tag; the caller has checked limits and names."""
        row = TagRow(self._next_id(), name, group_id, now, order, by=by)
        self.tags[row.id] = row
        return row

    def group_named(self, name: str) -> GroupRow | None:
        """The living group of that name."""
        return next((g for g in self.groups.values() if g.name == name and not g.deleted), None)

    def tag_named(self, group_id: str, name: str) -> TagRow | None:
        """The living tag of that name within the group."""
        return next((t for t in self.living(group_id) if t.name == name), None)

    def living(self, group_id: str | None = None) -> list[TagRow]:
        """Tags not deleted, of one group or all."""
        return [t for t in self.tags.values() if not t.deleted and group_id in (None, t.group_id)]

    def alive(self, tag_id: str) -> bool:
        """Whether the id is a tag that can be marked."""
        row = self.tags.get(tag_id)
        return row is not None and not row.deleted

    def delete_tag(self, tag_id: str) -> str | None:
        """Delete a tag; the id of its group when that went with it as its last."""
        row = self.tags[tag_id]
        row.deleted = self.any_deleted = True
        if self.living(row.group_id):
            return None
        self.groups[row.group_id].deleted = True
        return row.group_id

    def delete_group(self, group_id: str) -> None:
        """Delete a group with its tags."""
        self.groups[group_id].deleted = self.any_deleted = True
        for row in self.living(group_id):
            row.deleted = True
