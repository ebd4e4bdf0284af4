"""Rules to begin with: 入群, 分时段 and 触点打标签, as prefilled forms. 关键词打标签 wants the chat archive."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from tagging.triggers import ADDED, JOINED


@dataclass(frozen=True)
class Template:
    """trigger: what the form is filled with; the tag is chosen there."""

    key: str
    name: str | Promise
    text: str | Promise
    trigger: dict[str, Any]

    def make(self) -> dict[str, Any]:
        """The form's values."""
        return {"name": str(self.name), "trigger": dict(self.trigger)}


TEMPLATES = (
    Template(
        "group", gettext_lazy("入群打标签"), gettext_lazy("客户进入某些客户群时打标签"), {"kind": "event", "event": JOINED}
    ),
    Template(
        "hours", gettext_lazy("分时段打标签"), gettext_lazy("在选定的时段添加好友的客户,按添加的时间打标签"),
        {"kind": "event", "event": ADDED, "weekdays": [1, 2, 3, 4, 5], "from": "09:00", "to": "18:00"},
    ),
    Template(
        "touch", gettext_lazy("触点打标签"), gettext_lazy("从某个渠道活码或某种方式添加好友的客户打标签"),
        {"kind": "event", "event": ADDED},
    ),
)  # fmt: skip


def find(key: str) -> Template | None:
    """The template of a key, or None."""
    return next((one for one in TEMPLATES if one.key == key), None)
