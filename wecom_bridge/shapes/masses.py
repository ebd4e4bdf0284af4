"""Mass messages (企业群发, reference 7.1, 7.2) as WeCom answers them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wecom_bridge.shapes.pieces import (
    Malformed,
    Row,
    ids,
    integer,
    needed,
    needed_integer,
    part,
    rows,
    seconds,
    text,
    told,
)


@dataclass(frozen=True)
class MassMade:
    """add_msg_template: fail_list are recipients who are none, or cannot be sent to."""

    msgid: str
    fail_list: tuple[str, ...] = ()

    @classmethod
    def read(cls, row: Row) -> "MassMade":
        return cls(needed(row, "msgid"), ids(row, "fail_list"))


@dataclass(frozen=True)
class MassText:
    content: str = ""


@dataclass(frozen=True)
class MassInfo:
    """An item of get_groupmsg_list_v2: create_type 0 corp, 1 personal; the API's have no creator. Attachments are as they came."""

    msgid: str
    create_time: int
    create_type: int = 0
    creator: str = ""
    text: MassText | None = None
    attachments: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, row: Row) -> "MassInfo":
        words = part(row, "text")
        return cls(
            msgid=needed(row, "msgid"),
            create_time=needed_integer(row, "create_time"),
            create_type=integer(row, "create_type"),
            creator=text(row, "creator"),
            text=MassText(text(words, "content")) if words else None,
            attachments=tuple(dict(one) for one in rows(row, "attachments")),
        )


@dataclass(frozen=True)
class MassList:
    """get_groupmsg_list_v2: at most 100."""

    group_msg_list: tuple[MassInfo, ...] = ()
    next_cursor: str = ""
    is_told: bool = True

    @classmethod
    def read(cls, row: Row) -> "MassList":
        found = tuple(MassInfo.read(one) for one in rows(row, "group_msg_list"))
        return cls(found, text(row, "next_cursor"), told(row, "group_msg_list"))


@dataclass(frozen=True)
class MassTask:
    """A sender: status 0 not sent, 2 sent (the reference's own sample prints 1); send_time 0 while unsent."""

    userid: str
    status: int
    send_time: int = 0


@dataclass(frozen=True)
class MassTaskList:
    """get_groupmsg_task: at most 1,000."""

    task_list: tuple[MassTask, ...] = ()
    next_cursor: str = ""
    is_told: bool = True

    @classmethod
    def read(cls, row: Row) -> "MassTaskList":
        found = (
            MassTask(needed(one, "userid"), needed_integer(one, "status"), seconds(one, "send_time"))
            for one in rows(row, "task_list")
        )
        return cls(tuple(found), text(row, "next_cursor"), told(row, "task_list"))


@dataclass(frozen=True)
class MassResult:
    """A recipient: status 0 not sent, 1 sent, 2 not a friend, 3 quota; either external_userid or chat_id is empty."""

    status: int
    external_userid: str = ""
    chat_id: str = ""
    userid: str = ""
    send_time: int = 0

    @classmethod
    def read(cls, row: Row) -> "MassResult":
        found = cls(
            status=needed_integer(row, "status"),
            external_userid=text(row, "external_userid"),
            chat_id=text(row, "chat_id"),
            userid=text(row, "userid"),
            send_time=seconds(row, "send_time"),
        )
        if not (found.external_userid or found.chat_id):
            raise Malformed("external_userid or chat_id")
        return found


@dataclass(frozen=True)
class MassResultList:
    """get_groupmsg_send_result: at most 1,000; of groups only the sent ones."""

    send_list: tuple[MassResult, ...] = ()
    next_cursor: str = ""
    is_told: bool = True

    @classmethod
    def read(cls, row: Row) -> "MassResultList":
        found = tuple(MassResult.read(one) for one in rows(row, "send_list"))
        return cls(found, text(row, "next_cursor"), told(row, "send_list"))
