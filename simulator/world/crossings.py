"""The other names of one person or group: openid, a provider's ids, ids that live for some hours. All follow from the plain id."""

from simulator.world.ids import IdMint, digest_text

TEMPORARY_LIFE = 4 * 3600
PENDING_LIFE = 90 * 86_400


class Crossings:
    """Makes the other ids and finds the way back; what lapses is remembered with the wall time of its end."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.temporary: dict[str, tuple[str, float]] = {}
        self.pending: dict[str, tuple[str, float]] = {}

    def openid(self, external_userid: str) -> str:
        """The customer's openid towards the corp's WeChat developer account."""
        return "o" + digest_text(self._key, "openid", external_userid, length=27)

    def member_openid(self, userid: str) -> str:
        """The member's openid towards the corp, for payments."""
        return "o" + digest_text(self._key, "member-openid", userid.lower(), length=27)

    def open_userid(self, userid: str, agentid: int) -> str:
        """The member's id in the eyes of the provider of that app."""
        return "wo" + digest_text(self._key, "open_userid", agentid, userid.lower(), length=30)

    def service_id(self, number: int, agentid: int) -> str:
        """The customer's id in the eyes of the provider of that app."""
        return "wm" + IdMint(self._key, f"service/{agentid}").body(number)

    def service_owner(self, service_id: str, agentid: int) -> int | None:
        """Which customer a provider's id stands for, or None. Whether there is such a customer is not asked."""
        return IdMint(self._key, f"service/{agentid}").number(service_id[2:]) if service_id[:2] == "wm" else None

    def renewed(self, old: str) -> str:
        """The id that replaces an old external_userid."""
        return old[:2] + digest_text(self._key, "renewed", old, length=30)

    def open_tag(self, tag_id: str) -> str:
        """A tag's id in a provider's eyes."""
        return "et" + digest_text(self._key, "open-tag", tag_id, length=30)

    def new_chat(self, chat_id: str) -> str:
        """A group's id in a provider's eyes."""
        return "wr" + digest_text(self._key, "new-chat", chat_id, length=30)

    def lend_temporary(self, external_userid: str, wall: float) -> str:
        """tmp_openid of contact_list: the same for four hours of wall time."""
        slot = int(wall // TEMPORARY_LIFE)
        value = "tmp" + digest_text(self._key, "temporary", external_userid, slot, length=28)
        self.temporary.setdefault(value, (external_userid, wall + TEMPORARY_LIFE))
        return value

    def lend_pending(self, unionid: str, wall: float) -> str:
        """pending_id of somebody who is no customer yet: good for 90 days."""
        value = "pd" + digest_text(self._key, "pending", unionid, length=30)
        self.pending[value] = (unionid, wall + PENDING_LIFE)
        return value

    def temporary_owner(self, value: str, wall: float) -> str | None:
        """Who a temporary id stands for, while it lives."""
        found, ends = self.temporary.get(value, ("", 0.0))
        return found if ends > wall else None
