"""Contact ways (联系我): codes that lead a customer to one of their members, and the temporary sessions some begin."""

import hashlib
from dataclasses import dataclass, field

from simulator.world.directory import ACTIVE, Directory, Member

LISTED_SINCE = 1_625_846_400  # list_contact_way knows ways made after 2021-07-10 (China time)


@dataclass
class ContactWay:
    """A way in. `code` is the tail of its QR address; `corps` remembers which member took an outer corp's customers."""

    config_id: str
    code: str
    created: int
    type: int
    scene: int
    style: int | None = None
    remark: str = ""
    skip_verify: bool = True
    state: str = ""
    user: list[str] = field(default_factory=list)
    party: list[int] = field(default_factory=list)
    is_temp: bool = False
    expires_in: int = 0
    chat_expires_in: int = 0
    unionid: str = ""
    is_exclusive: bool = False
    mark_source: bool = True
    conclusions: dict = field(default_factory=dict)
    scans: int = 0
    used: bool = False
    corps: dict[str, str] = field(default_factory=dict)

    def expired(self, now: int) -> bool:
        """Whether a temporary way is used up or past its time; a permanent one never is."""
        return self.is_temp and (self.used or now > self.created + self.expires_in)


@dataclass
class TempChat:
    """A session begun by a temporary way, alive until `until` unless closed before."""

    userid: str
    number: int
    until: int
    conclusions: dict
    closed: bool = False


class ContactWayBook:
    """All contact ways of a corp, by config_id, and the temporary sessions."""

    def __init__(self, key: str) -> None:
        self._key, self._made = key, 0
        self.ways: dict[str, ContactWay] = {}
        self.chats: dict[tuple[str, int], TempChat] = {}

    def new(self, now: int, **given: object) -> ContactWay:
        """A way; the caller has checked everything."""
        self._made += 1
        config_id = hashlib.md5(f"{self._key}/way/{self._made}".encode(), usedforsecurity=False).hexdigest()
        code = hashlib.sha1(f"{self._key}/code/{self._made}".encode(), usedforsecurity=False).hexdigest()
        way = ContactWay(config_id, code, now, **given)  # type: ignore[arg-type]  # checked by the fields declared at the endpoint
        self.ways[config_id] = way
        return way

    def permanent(self) -> int:
        """How many ways count against the corp's limit."""
        return sum(1 for way in self.ways.values() if not way.is_temp)

    def temp_since(self, instant: int) -> int:
        """How many temporary ways were made from `instant` on."""
        return sum(1 for way in self.ways.values() if way.is_temp and way.created >= instant)

    def listed(self, start: int, end: int) -> list[str]:
        """Permanent ways made within the closed window, oldest first."""
        begin = max(start, LISTED_SINCE)
        return [way.config_id for way in self.ways.values() if not way.is_temp and begin <= way.created <= end]

    def by_code(self, code: str) -> ContactWay | None:
        """The way whose QR address ends in `code`."""
        return next((way for way in self.ways.values() if way.code == code), None)

    def living_chat(self, userid: str, number: int, now: int) -> TempChat | None:
        """The temporary session of the two while it lasts."""
        chat = self.chats.get((userid, number))
        return chat if chat and not chat.closed and now <= chat.until else None


def who_serves(directory: Directory, users: list[str], parties: list[int]) -> list[Member]:
    """The members a code leads to now: those named, and those of the departments, who are active with customer contact."""
    named = [directory.find(userid) for userid in users]
    wanted = {row.id for party in parties if party in directory.departments for row in directory.below(party)}
    everyone = {m.userid: m for m in [*named, *directory.in_departments(wanted)] if m}
    return [m for m in everyone.values() if m.contact and m.status == ACTIVE]
