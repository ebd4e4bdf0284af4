"""Group welcome templates (入群欢迎语素材): made by apps, chosen by owners for their groups."""

from dataclasses import dataclass, field

from simulator.world.ids import digest_text

TEMPLATES_MOST = 100
NICKNAME = "%NICKNAME%"


@dataclass
class GroupWelcome:
    """A template; `by` is the secret of the app that made it."""

    template_id: str
    by: str
    text: str
    attachment: dict
    notify: bool = True

    def greeting(self, name: str) -> dict:
        """What somebody of that name reads on joining."""
        text = {"text": {"content": self.text.replace(NICKNAME, name)}} if self.text else {}
        return text | {"attachments": [self.attachment] if self.attachment else []}


@dataclass
class GroupWelcomeBook:
    """All templates of a corp, and which groups use which."""

    key: str
    made: int = 0
    rows: dict[str, GroupWelcome] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)

    def new(self, by: str, text: str, attachment: dict, *, notify: bool) -> GroupWelcome:
        """A template; the caller has checked the limit."""
        self.made += 1
        template_id = "msg" + digest_text(self.key, "group welcome", self.made, length=29)
        row = self.rows[template_id] = GroupWelcome(template_id, by, text, attachment, notify)
        return row

    def of(self, chat_id: str) -> GroupWelcome | None:
        """The template a group greets with."""
        return self.rows.get(self.chosen.get(chat_id, ""))
