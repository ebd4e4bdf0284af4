"""Group welcome templates (入群欢迎语素材, reference 7.4) as WeCom answers them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wecom_bridge.shapes.pieces import Row, needed, part, text


@dataclass(frozen=True)
class GroupWelcomeId:
    """group_welcome_template/add."""

    template_id: str

    @classmethod
    def read(cls, row: Row) -> "GroupWelcomeId":
        return cls(needed(row, "template_id"))


@dataclass(frozen=True)
class GroupWelcomeText:
    content: str = ""


@dataclass(frozen=True)
class GroupWelcome:
    """group_welcome_template/get: at most one of the attachments is there; an image comes back as pic_url."""

    text: GroupWelcomeText | None = None
    image: Mapping[str, Any] = field(default_factory=dict)
    link: Mapping[str, Any] = field(default_factory=dict)
    miniprogram: Mapping[str, Any] = field(default_factory=dict)
    file: Mapping[str, Any] = field(default_factory=dict)
    video: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, row: Row) -> "GroupWelcome":
        words = part(row, "text")
        kinds = {kind: dict(part(row, kind)) for kind in ("image", "link", "miniprogram", "file", "video")}
        return cls(GroupWelcomeText(text(words, "content")) if words else None, **kinds)
