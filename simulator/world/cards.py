"""Sent app messages as WeCom remembers them: whom they reached, what their cards may still answer, whether they were recalled."""

from dataclasses import dataclass, field

from simulator.world.ids import digest_text


@dataclass
class SentMessage:
    """One message/send; `sent_at` is domain time. `updated` holds what a card turned into, per member."""

    msgid: str
    msgtype: str
    body: dict
    sent_at: int
    userids: list[str]
    recalled: bool = False
    updated: dict[str, dict] = field(default_factory=dict)

    @property
    def task_id(self) -> str:
        """The card's task_id, empty for anything else."""
        return self.body.get("task_id", "") if self.msgtype == "template_card" else ""


@dataclass
class ResponseCode:
    """The right to update a card once; `made_at` is domain time."""

    code: str
    msgid: str
    made_at: int
    used: bool = False


@dataclass
class CardDesk:
    """Messages by msgid, and the response codes that were given out."""

    key: str
    messages: dict[str, SentMessage] = field(default_factory=dict)
    codes: dict[str, ResponseCode] = field(default_factory=dict)
    sent_on: dict[str, int] = field(default_factory=dict)

    def by_task(self, task_id: str) -> SentMessage | None:
        """The card of that task."""
        return next((row for row in self.messages.values() if task_id and row.task_id == task_id), None)

    def issue(self, msgid: str, now: int) -> str:
        """A response code for a card."""
        code = digest_text(self.key, "response", len(self.codes), length=43)
        self.codes[code] = ResponseCode(code, msgid, now)
        return code

    def fate(self, msgid: str, userid: str) -> dict:
        """What became of a message in a member's hands, for the control API."""
        row = self.messages.get(msgid)
        return {"recalled": bool(row and row.recalled), "updated": row.updated.get(userid) if row else None}
