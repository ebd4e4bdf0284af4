"""Log-in codes and user tickets: for a chosen member or customer, single use, five minutes of wall time."""

from dataclasses import dataclass, field

from simulator.world.ids import digest_text

CODE_LIFE = 300
TICKET_LIFE = 7200
CONSENTS = ("gender", "avatar", "qr_code", "mobile", "email", "biz_mail", "address")


@dataclass
class Person:
    """Who holds the phone: a member, a customer, or a stranger (neither). `refuses`: nobody presses 同意."""

    userid: str = ""
    external_userid: str = ""
    stranger: str = ""
    refuses: bool = False
    consents: tuple[str, ...] = CONSENTS


@dataclass
class OpenChat:
    """What stands beside the app's page in a member's client: a customer, a group, or neither."""

    userid: str
    entry: str
    external_userid: str = ""
    chat_id: str = ""


@dataclass
class LoginCode:
    """A code; `scope` as asked for by the page that gave it."""

    code: str
    person: Person
    scope: str
    expires: float
    used: bool = False


@dataclass
class LoginDesk:
    """Codes and tickets of one corp. `holder` answers the log-in pages by itself; without one they ask who scans. `chat` is open
    in the client that shows the app's page."""

    key: str
    holder: Person | None = None
    codes: dict[str, LoginCode] = field(default_factory=dict)
    tickets: dict[str, tuple[Person, float]] = field(default_factory=dict)
    chat: OpenChat | None = None

    def issue(self, person: Person, scope: str, wall: float) -> str:
        """A fresh code."""
        code = digest_text(self.key, "login", len(self.codes), length=43)
        self.codes[code] = LoginCode(code, person, scope, wall + CODE_LIFE)
        return code

    def issue_ticket(self, person: Person, wall: float) -> str:
        """user_ticket for getuserdetail."""
        ticket = digest_text(self.key, "user_ticket", len(self.tickets), length=64)
        self.tickets[ticket] = (person, wall + TICKET_LIFE)
        return ticket
