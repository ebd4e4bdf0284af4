"""The app itself, and its messages to members."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Agent:
    """The app; the visible range (可见范围) is userids, partyids with all below them, and tagids. close: 1 stopped."""

    agentid: int
    name: str = ""
    userids: tuple[str, ...] = ()
    partyids: tuple[int, ...] = ()
    tagids: tuple[int, ...] = ()
    close: int = 0
    redirect_domain: str = ""
    home_url: str = ""
    square_logo_url: str = ""
    customized_publish_status: int = 0


@dataclass(frozen=True)
class SentMessage:
    """response_code: to update the card once. invalid and unlicensed ones got nothing."""

    msgid: str
    invaliduser: tuple[str, ...] = ()
    invalidparty: tuple[str, ...] = ()
    invalidtag: tuple[str, ...] = ()
    unlicenseduser: tuple[str, ...] = ()
    response_code: str = ""


@dataclass(frozen=True)
class UpdatedCard:
    """invaliduser: those who do not have the card."""

    invaliduser: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardClick:
    """What a member pressed: a button or 提交 (is_menu false), or an entry of the card's menu. selected: question → options.

    response_code updates the card once.
    """

    userid: str
    key: str
    task_id: str
    card_type: str = ""
    response_code: str = ""
    agentid: int = 0
    is_menu: bool = False
    selected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
