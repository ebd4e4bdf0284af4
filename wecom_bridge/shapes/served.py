"""EC/contact_list: everybody from outside who was served."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServedContact:
    """A customer by external_userid (with follow_userid, or chat_id of a group); anybody else by masked name and chat_name."""

    is_customer: bool
    tmp_openid: str = ""  # good for 4 h
    external_userid: str = ""
    follow_userid: str = ""
    chat_id: str = ""
    name: str = ""
    chat_name: str = ""
    add_time: int = 0


@dataclass(frozen=True)
class ServedPage:
    """next_cursor is empty on the last page."""

    info_list: tuple[ServedContact, ...]
    next_cursor: str = ""
