"""The app itself, and its messages to members."""

from dataclasses import dataclass


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
