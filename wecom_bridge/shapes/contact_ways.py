"""Contact ways (联系我), as WeCom answers for them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class AddedContactWay:
    """qr_code: an address of an image; empty for scene 1 (mini-program)."""

    config_id: str
    qr_code: str = ""


@dataclass(frozen=True)
class ContactWay:
    """A way as it stands. type 1 one member, 2 several; scene 1 mini-program, 2 QR code; times in seconds.

    expires_in, chat_expires_in, unionid, conclusions: of temporary ways only. mark_source is None where WeCom does not tell;
    whether a way is exclusive it never tells.
    """

    config_id: str
    type: int = 0
    scene: int = 0
    style: int = 0
    remark: str = ""
    skip_verify: bool = True
    state: str = ""
    qr_code: str = ""
    user: tuple[str, ...] = ()
    party: tuple[int, ...] = ()
    is_temp: bool = False
    expires_in: int = 0
    chat_expires_in: int = 0
    unionid: str = ""
    mark_source: bool | None = None
    conclusions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ListedContactWay:
    config_id: str


@dataclass(frozen=True)
class ContactWayPage:
    """A page of list_contact_way; an empty next_cursor is the last."""

    contact_way: tuple[ListedContactWay, ...] = ()
    next_cursor: str = ""
    is_told: bool = True
