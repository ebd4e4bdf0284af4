"""Customer acquisition links (获客助手): links, whom they brought, and the quota they use up."""

from dataclasses import dataclass, field

from simulator.clock import local
from simulator.world.ids import digest_letters, digest_text

DAY = 86_400
FIRST_QUOTA, QUOTA_DAYS = 1000, 365
LOW_BELOW = 20
WARN_DAYS = (14, 7, 3, 2, 1)
KEY_LIFE = 1800
ROOT = 1


@dataclass
class Lead:
    """A customer a link brought; `messages` is how many she sent."""

    number: int
    userid: str
    state: str
    at: int
    messages: int = 0


@dataclass
class Link:
    """A link. `by` is the app that made it, or `console`; `clicks` are (instant, who), whoever is unknown being ''."""

    link_id: str
    code: str
    name: str
    created: int
    users: list[str]
    departments: list[int]
    skip_verify: bool = True
    mark_source: bool = True
    priority: dict = field(default_factory=dict)
    by: str = "app"
    unavailable: bool = False
    leads: list[Lead] = field(default_factory=list)
    clicks: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Quota:
    """One purchase: what is left of it until it ends; `told` are the days of the warnings already given."""

    left: int
    bought: int
    expires: int
    told: set[int] = field(default_factory=set)


@dataclass
class ChatKey:
    """What a message_from_customer event refers to; good for 30 minutes of wall time."""

    link: Link
    lead: Lead
    messages: int
    made_wall: float


class AcquisitionDesk:
    """The links of a corp, its quota, and who may use the assistant (the whole corp in the beginning)."""

    def __init__(self, key: str, start: int) -> None:
        self._key, self._made = key, 0
        self.links: dict[str, Link] = {}
        self.keys: dict[str, ChatKey] = {}
        self.total = FIRST_QUOTA
        midnight = int(local(start).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
        self.quotas = [Quota(FIRST_QUOTA, start, midnight + QUOTA_DAYS * DAY)]
        self.permit: dict[str, list] = {"user_list": [], "department_list": [ROOT], "tag_list": []}

    # -- links -----------------------------------------------------------------------------------------------------

    def new(self, name: str, now: int, users: list[str], departments: list[int], **given: object) -> Link:
        """A link; the caller has checked everything."""
        self._made += 1
        link_id = "cawc" + digest_text(self._key, "link", self._made, length=28).lower()
        code = "cawc" + digest_letters(self._key, "link code", self._made, length=14)
        link = Link(link_id, code, name, now, users, departments, **given)  # type: ignore[arg-type]  # checked by the fields declared at the endpoint
        self.links[link_id] = link
        return link

    def by_code(self, code: str) -> Link | None:
        """The link whose address ends in `code`."""
        return next((link for link in self.links.values() if link.code == code), None)

    def lead_of(self, userid: str, number: int) -> tuple[Link, Lead] | None:
        """The latest link that brought this customer to this member."""
        found = [
            (link, lead)
            for link in self.links.values()
            for lead in link.leads
            if (lead.userid, lead.number) == (userid, number)
        ]
        return max(found, key=lambda pair: pair[1].at) if found else None

    def new_key(self, link: Link, lead: Lead, wall: float) -> str:
        """A ChatKey for the lead as it stands."""
        key = digest_text(self._key, "chat key", len(self.keys), length=43)
        self.keys[key] = ChatKey(link, lead, lead.messages, wall)
        return key

    def find_key(self, key: str, wall: float) -> ChatKey | None:
        """What the key stands for, while it is good."""
        found = self.keys.get(key)
        return found if found and wall - found.made_wall <= KEY_LIFE else None

    # -- quota -----------------------------------------------------------------------------------------------------

    def living(self, now: int) -> list[Quota]:
        """Purchases that have not ended, the one that ends first in front."""
        return sorted((q for q in self.quotas if q.expires > now), key=lambda q: q.expires)

    def balance(self, now: int) -> int:
        """What is left of the living purchases."""
        return sum(q.left for q in self.living(now))

    def buy(self, count: int, now: int, expires: int) -> None:
        """More quota."""
        self.total += count
        self.quotas.append(Quota(count, now, expires))

    def use(self, now: int) -> bool:
        """Take one from the purchase that ends first; whether there was one."""
        for quota in self.living(now):
            if quota.left:
                quota.left -= 1
                return True
        return False

    def next_warning(self) -> tuple[int, Quota, int] | None:
        """(instant, purchase, days before its end; 0 is the end itself) of the next warning still to be given."""
        open_ones = [
            (quota.expires - days * DAY, quota, days)
            for quota in self.quotas
            for days in (*WARN_DAYS, 0)
            if quota.left and days not in quota.told
        ]
        return min(open_ones, key=lambda row: row[0]) if open_ones else None
