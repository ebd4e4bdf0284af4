"""Group join ways (加入群聊): codes that lead a customer into the first of their groups that has room."""

import hashlib
from dataclasses import dataclass, field


@dataclass
class JoinWay:
    """A way into groups. `made` are groups opened because all others were full; `sequence` numbers the next one."""

    config_id: str
    code: str
    created: int
    scene: int
    remark: str = ""
    auto_create_room: int = 1
    room_base_name: str = ""
    room_base_id: int = 1
    chat_id_list: list[str] = field(default_factory=list)
    state: str = ""
    mark_source: bool = True
    made: list[str] = field(default_factory=list)
    sequence: int = 1


class JoinWayBook:
    """All join ways of a corp, by config_id. WeCom has no call that lists them."""

    def __init__(self, key: str) -> None:
        self._key, self._made = key, 0
        self.ways: dict[str, JoinWay] = {}

    def new(self, now: int, **given: object) -> JoinWay:
        """A way; the caller has checked everything."""
        self._made += 1
        config_id = hashlib.md5(f"{self._key}/join/{self._made}".encode(), usedforsecurity=False).hexdigest()
        code = hashlib.sha1(f"{self._key}/join code/{self._made}".encode(), usedforsecurity=False).hexdigest()
        way = JoinWay(config_id, code, now, **given)  # type: ignore[arg-type]  # checked by the fields declared at the endpoint
        way.sequence = way.room_base_id
        self.ways[config_id] = way
        return way

    def by_code(self, code: str) -> JoinWay | None:
        """The way whose QR address ends in `code`."""
        return next((way for way in self.ways.values() if way.code == code), None)
