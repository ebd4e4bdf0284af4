"""Customer groups: members, owners and the chain of member versions."""

import hashlib
from dataclasses import dataclass, field

from simulator.world.base import BaseWorld
from simulator.world.customers import CustomerBook
from simulator.world.directory import LEFT, Directory
from simulator.world.draw import Shuffle, draw
from simulator.world.ids import IdMint

DAY = 86_400
NORMAL, OWNER_LEFT, INHERITING = 0, 1, 2


@dataclass
class GroupMember:
    """Someone in a group: `kind` 1 member, 2 external; join_scene 1 invited, 2 by link, 3 by QR."""

    id: str
    kind: int
    join_time: int
    join_scene: int = 1
    invitor: str = ""
    state: str = ""


@dataclass
class Group:
    """A customer group as it stands; `version` changes with every join and leave."""

    chat_id: str
    name: str
    owner: str
    create_time: int
    members: dict[str, GroupMember] = field(default_factory=dict)
    notice: str = ""
    admins: list[str] = field(default_factory=list)
    dismissed: bool = False
    changes: int = 0
    inheriting: int = 0  # 2 on the way to a new owner, 3 there; of groups whose owner left

    @property
    def version(self) -> str:
        """member_version: 32 hex characters, the same for the same history."""
        return hashlib.md5(f"{self.chat_id}/{self.changes}".encode(), usedforsecurity=False).hexdigest()


class GroupBook:
    """All groups of a corp; those of the scenario are drawn when asked for and kept only once they change."""

    def __init__(self, base: BaseWorld, directory: Directory, customers: CustomerBook) -> None:
        self._base, self._directory, self._customers = base, directory, customers
        self._mint = IdMint(base.key, "chat_id")
        self._opengids = IdMint(base.key, "opengid")
        self._owners = self._assign_owners()
        self._places = self._number_within_owners()
        self._changed: dict[int, Group] = {}
        self.count = len(self._owners)

    def _assign_owners(self) -> list[str]:
        named = {owner.userid for owner in self._base.scenario.owners if owner.userid}
        free = [p.userid for p in self._base.guides if p.userid not in named]
        order = Shuffle(len(free), self._base.key, "owners")
        userids: list[str] = []
        anonymous = 0
        for owner in self._base.scenario.owners:
            userid = owner.userid
            if not userid:
                userid = free[order(anonymous)]
                anonymous += 1
            userids += [userid] * owner.groups
        return userids

    def _number_within_owners(self) -> list[int]:
        """Which of its owner's groups each group of the scenario is."""
        seen: dict[str, int] = {}
        places = []
        for userid in self._owners:
            places.append(seen.get(userid, 0))
            seen[userid] = places[-1] + 1
        return places

    # -- reading ---------------------------------------------------------------------------------------------------

    def chat_id(self, number: int) -> str:
        """`wr…` of a group number."""
        return "wr" + self._mint.body(number)

    def number(self, chat_id: str) -> int | None:
        """The group's number, or None for an id this corp never saw."""
        number = self._mint.number(chat_id[2:]) if chat_id.startswith("wr") else None
        return number if number is not None and number < self.count else None

    def opengid(self, number: int) -> str:
        """What a mini-program opened in the group gets to know of it."""
        return "og" + self._opengids.body(number)

    def number_of_opengid(self, opengid: str) -> int | None:
        """The group's number, or None for an opengid of elsewhere."""
        number = self._opengids.number(opengid[2:]) if opengid.startswith("og") else None
        return number if number is not None and number < self.count else None

    def get(self, number: int) -> Group:
        """The group; changing it needs `edit`."""
        return self._changed.get(number) or self._draw(number)

    def edit(self, number: int) -> Group:
        """The group, kept from now on, to be changed by the caller."""
        return self._changed.setdefault(number, self.get(number))

    def owner(self, number: int) -> str:
        """The owner's userid, without drawing the members."""
        changed = self._changed.get(number)
        return changed.owner if changed else self._owners[number]

    def dismissed(self, number: int) -> bool:
        """Whether the group is dissolved."""
        return number in self._changed and self._changed[number].dismissed

    def living(self) -> list[int]:
        """Numbers of groups not dismissed, in the order of creation."""
        return [n for n in range(self.count) if n not in self._changed or not self._changed[n].dismissed]

    def status(self, number: int) -> int:
        """0 normal, 1 the owner has left, 2 being inherited, 3 inherited."""
        owner, changed = self._directory.find(self.owner(number)), self._changed.get(number)
        if changed and changed.inheriting == INHERITING:
            return INHERITING
        if owner is None or owner.status == LEFT:
            return OWNER_LEFT
        return changed.inheriting if changed else NORMAL

    def changed_with(self, member: str) -> list[Group]:
        """Changed groups this id is in; enough to know where messages reached it."""
        return [group for group in self._changed.values() if member in group.members]

    # -- changing --------------------------------------------------------------------------------------------------

    def create(self, name: str, owner: str, now: int) -> int:
        """A new group with its owner as first member; returns the number."""
        number, self.count = self.count, self.count + 1
        self._owners.append(owner)
        group = Group(self.chat_id(number), name, owner, now)
        group.members[owner] = GroupMember(owner, 1, now)
        self._changed[number] = group
        return number

    # -- drawing ---------------------------------------------------------------------------------------------------

    def _draw(self, number: int) -> Group:
        base, userid = self._base, self._owners[number]
        guide = base.guide_number[userid]
        created = base.start - (20 + draw(base.key, "group", number) % 350) * DAY
        group = Group(self.chat_id(number), self._name(number, guide), userid, created)
        group.members[userid] = GroupMember(userid, 1, created)
        first, last = self._colleagues(guide)
        if last > first:
            helper = base.guides[first if first != guide else last].userid
            group.members[helper] = GroupMember(helper, 1, created + 60, invitor=userid)
        for customer in self._draw_customers(number, base.block(first, last)):
            added = max(base.added_at(customer), created)
            joined = added + draw(base.key, "join", number, customer) % max(base.start - added, 1)
            scene = (3, 3, 1, 2)[draw(base.key, "scene", number, customer) % 4]
            external = self._customers.external_userid(customer)
            group.members[external] = GroupMember(external, 2, joined, scene, invitor=userid if scene < 3 else "")
        return group

    def _draw_customers(self, number: int, pool: range) -> list[int]:
        low, high = self._base.scenario.group_size
        size = low + draw(self._base.key, "size", number) % max(high - low, 1)
        order = Shuffle(len(pool), self._base.key, "members", number)
        return [pool[order(n)] for n in range(min(size, len(pool)))]

    def _colleagues(self, guide: int) -> tuple[int, int]:
        """The first and last guide of the same department."""
        guides, department = self._base.guides, self._base.guides[guide].department
        first = last = guide
        while first and guides[first - 1].department == department:
            first -= 1
        while last + 1 < len(guides) and guides[last + 1].department == department:
            last += 1
        return first, last

    def _name(self, number: int, guide: int) -> str:
        patterns = self._base.scenario.group_names
        department = self._base.guides[guide].department
        store = self._directory.departments[department].name
        return patterns[(self._places[number] + guide) % len(patterns)].format(store=store)
