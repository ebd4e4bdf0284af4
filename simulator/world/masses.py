"""Mass messages: what was asked for, each member's task, and what came of it."""

from dataclasses import dataclass, field

from simulator.world.customers import CustomerBook
from simulator.world.groups import GroupBook
from simulator.world.ids import digest_text
from simulator.world.quota import allowed

UNSENT, SENT, NOT_FRIEND, OVER_QUOTA = 0, 1, 2, 3
TASK_UNSENT, TASK_SENT = 0, 2


@dataclass
class Task:
    """One member's part: recipients are customer numbers (single) or chat ids (group)."""

    recipients: list
    status: int = TASK_UNSENT
    send_time: int = 0
    results: dict = field(default_factory=dict)


@dataclass
class Mass:
    """A mass message. `creator` is empty for one made by the API (create_type 0), a userid for a personal one (1)."""

    msgid: str
    chat_type: str
    create_time: int
    text: dict | None
    attachments: list
    creator: str = ""
    create_type: int = 0
    tasks: dict[str, Task] = field(default_factory=dict)
    cancelled: bool = False
    reminders: list[int] = field(default_factory=list)
    made_wall: float = 0.0

    def content(self) -> dict:
        """What the recipient sees."""
        shown: dict = {"attachments": self.attachments}
        if self.text:
            shown["text"] = self.text
        return shown


class MassBook:
    """All mass messages of a corp, the receipts that use up quota, and the recipients' inboxes."""

    def __init__(self, key: str, customers: CustomerBook, groups: GroupBook) -> None:
        self._key, self._customers, self._groups = key, customers, groups
        self.masses: dict[str, Mass] = {}
        self.receipts: dict[int | str, list[int]] = {}
        self.inbox: dict[int | str, list[dict]] = {}
        self.chats: dict[str, None] = {}

    def new(self, chat_type: str, now: int, text: dict | None, attachments: list, *, creator: str = "") -> Mass:
        """A mass message without tasks yet."""
        msgid = "msg" + digest_text(self._key, "msgid", len(self.masses), length=29)
        mass = Mass(msgid, chat_type, now, text, attachments, creator, 1 if creator else 0)
        self.masses[msgid] = mass
        return mass

    def deliver(self, target: int | str, message: dict) -> None:
        """Put a message where the customer (number) or group (chat id) reads it; many may share one message."""
        if isinstance(target, str):
            self.chats[target] = None
        self.inbox.setdefault(target, []).append(message)

    def confirm(self, mass: Mass, userid: str, now: int, rule: str, *, use_quota: bool = True) -> dict[int, int]:
        """The member presses 发送: every recipient gets a result. Returns how many ended in each status."""
        task = mass.tasks[userid]
        task.status, task.send_time = TASK_SENT, now
        tally: dict[int, int] = {}
        kind = "personal_mass" if mass.create_type else "mass"
        message = {"kind": kind, "at": now, "userid": userid, "msgid": mass.msgid, "content": mass.content()}
        results = [(status, now) for status in (UNSENT, SENT, NOT_FRIEND, OVER_QUOTA)]
        for recipient in task.recipients:
            status = self._send_one(message, recipient, rule, use_quota)
            task.results[recipient] = results[status]
            tally[status] = tally.get(status, 0) + 1
        return tally

    def _send_one(self, message: dict, recipient: int | str, rule: str, use_quota: bool) -> int:
        now = message["at"]
        if not self._reaches(message["userid"], recipient):
            return NOT_FRIEND
        if use_quota and not allowed(rule, self.receipts.get(recipient, []), now):
            return OVER_QUOTA
        if use_quota:
            self.receipts.setdefault(recipient, []).append(now)
        self.deliver(recipient, message)
        return SENT

    def _reaches(self, userid: str, recipient: int | str) -> bool:
        """A friend on both sides; or a living group she still owns."""
        if isinstance(recipient, int):
            return self._customers.exists(userid, recipient, mutual=True)
        number = self._groups.number(recipient)
        return number is not None and self._groups.owner(number) == userid and not self._groups.get(number).dismissed
