"""One corp: its credentials, its world, its tokens and its callback address."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from simulator.callbacks.events import Event
from simulator.scenarios.model import Scenario
from simulator.world.acquisition import AcquisitionDesk
from simulator.world.base import BaseWorld
from simulator.world.cards import CardDesk
from simulator.world.contactways import ContactWayBook, TempChat
from simulator.world.crossings import Crossings
from simulator.world.customers import CustomerBook
from simulator.world.directory import Directory, VisibleRange
from simulator.world.draw import draw
from simulator.world.fetches import FetchBook
from simulator.world.groups import GroupBook
from simulator.world.groupwelcomes import GroupWelcomeBook
from simulator.world.ids import digest_letters
from simulator.world.intercepts import InterceptBook
from simulator.world.joinways import JoinWayBook
from simulator.world.logins import LoginDesk
from simulator.world.masses import MassBook
from simulator.world.media import MediaStore
from simulator.world.moments import MomentBook
from simulator.world.products import ProductAlbum
from simulator.world.ranges import View
from simulator.world.statistics import DayBook
from simulator.world.strategies import CUSTOMER_PRIVILEGES, MOMENT_PRIVILEGES, StrategyBook, StrategyTagBook
from simulator.world.tags import TagBook
from simulator.world.transfers import TransferBook
from simulator.world.welcomes import WelcomeDesk

TOKEN_LIFE = 7200
APP, CONTACT = "app", "contact"


@dataclass
class CallbackConfig:
    """Where events go. `connect` (host:port) is dialled instead of the URL's host, which stays in the Host header."""

    url: str
    token: str
    encoding_aes_key: str
    connect: str = ""


@dataclass
class AccessToken:
    """A token of one secret; `expires` is wall time."""

    value: str
    corp_id: str
    kind: str
    expires: float
    revoked: bool = False


class Corp:
    """Credentials are a function of (scenario, seed); `reset` drops everything that happened."""

    def __init__(self, scenario: Scenario, seed: int, ordinal: int, start: int) -> None:
        self.scenario, self.seed, self.start = scenario, seed, start
        key = f"{scenario.name}/{seed}/{ordinal}"
        self.key = key
        self.corp_id = f"ww{draw(key, 'corp'):016x}"
        self.agent_id = 1_000_002 + ordinal
        self.secrets = {kind: digest_letters(key, "secret", kind, length=43) for kind in (APP, CONTACT)}
        self.token = digest_letters(key, "token", length=24)
        self.encoding_aes_key = digest_letters(key, "aes", length=42) + "A"
        self.callback: CallbackConfig | None = None
        self._base = BaseWorld(scenario, key, start)
        self.reset()

    def reset(self) -> None:
        """Back to the beginning; the callback address stays."""
        base = self._base
        self.base = base
        self.directory = Directory(base)
        self.tags = TagBook(base)
        self.strategy_tags = StrategyTagBook(base.key)
        self.strategies = StrategyBook(CUSTOMER_PRIVILEGES)
        self.moment_strategies = StrategyBook(MOMENT_PRIVILEGES)
        self.album = ProductAlbum(base.key)
        self.intercepts = InterceptBook(base.key)
        self.crossings = Crossings(base.key)
        self.logins = LoginDesk(base.key)
        self.cards = CardDesk(base.key)
        self.fetches = FetchBook(base.key)
        self.trusted_domain = ""
        self.customers = CustomerBook(base, self.directory, self.tags)
        self.groups = GroupBook(base, self.directory, self.customers)
        self.group_welcomes = GroupWelcomeBook(base.key)
        self.moments = MomentBook(base.key)
        self.transfers = TransferBook()
        self.days = DayBook()
        self.masses = MassBook(base.key, self.customers, self.groups)
        self.welcomes = WelcomeDesk(base.key)
        self.media = MediaStore(base.key)
        self.contact_ways = ContactWayBook(base.key)
        self.join_ways = JoinWayBook(base.key)
        self.acquisition = AcquisitionDesk(base.key, self.start)
        self.app_messages: list[dict] = []
        self.messages_sent = 0
        self.ranges: dict[str, VisibleRange] = {}
        self.withdrawn: dict[str, list[str]] = {}

    def view(self, kind: str) -> View:
        """The directory as the secret of that kind sees it."""
        return View(self.directory, self.ranges.get(kind))

    def permits(self, kind: str, path: str) -> bool:
        """Whether the secret may call this API; each permission can be withdrawn."""
        return not any(fnmatchcase(path, pattern) for pattern in self.withdrawn.get(kind, ()))

    def hears(self, event: Event) -> bool:
        """Whether the app is told: the member, the group's owner or the department must be in its visible range."""
        view, fields = self.view(APP), dict(event.fields)
        userid, chat_id = fields.get("UserID"), fields.get("ChatId")
        if isinstance(chat_id, str):
            number = self.groups.number(chat_id)
            userid = self.groups.owner(number) if number is not None else None
        if isinstance(userid, str):
            found = self.directory.find(userid)
            return found is None or view.sees(found)
        department = fields.get("Id") if event.name == "change_contact" else None
        return not isinstance(department, int) or view.sees_department(department)

    def end_chat(self, chat: TempChat, now: int) -> None:
        """A temporary session ends: the customer gets its conclusions."""
        chat.closed = True
        if chat.conclusions:
            message = {"kind": "conclusion", "at": now, "userid": chat.userid, "content": chat.conclusions}
            self.masses.deliver(chat.number, message)

    def shown(self) -> dict:
        """What `/control/corps` prints."""
        config = self.callback
        return {
            "corp_id": self.corp_id,
            "name": self.scenario.corp_name,
            "scenario": self.scenario.name,
            "seed": self.seed,
            "agent_id": self.agent_id,
            "secret": self.secrets[APP],
            "contact_secret": self.secrets[CONTACT],
            "token": config.token if config else self.token,
            "encoding_aes_key": config.encoding_aes_key if config else self.encoding_aes_key,
            "callback_url": config.url if config else "",
            "connect": config.connect if config else "",
            "withdrawn": self.withdrawn,
        }
