"""Who is on a page, and the tickets of the JS-SDK."""

from dataclasses import dataclass


@dataclass(frozen=True)
class UserInfo:
    """A member (userid, user_ticket with snsapi_privateinfo alone), or somebody else (openid, external_userid of a customer)."""

    userid: str = ""
    user_ticket: str = ""
    openid: str = ""
    external_userid: str = ""


@dataclass(frozen=True)
class UserDetail:
    """What the member agreed to show; the rest is empty."""

    userid: str
    gender: str = ""
    avatar: str = ""
    qr_code: str = ""
    mobile: str = ""
    email: str = ""
    biz_mail: str = ""
    address: str = ""


@dataclass(frozen=True)
class Ticket:
    """expires_in: seconds from the answer."""

    ticket: str
    expires_in: int
