"""Hand-overs of customers and groups (客户继承, reference 9) as WeCom answers them."""

from dataclasses import dataclass

from wecom_bridge.shapes.pieces import (
    Row,
    flag,
    integer,
    needed,
    needed_integer,
    needed_part,
    rows,
    seconds,
    text,
    told,
)

DONE, WAITING, REFUSED, LIMIT, NO_RECORD = 1, 2, 3, 4, 5
INHERITING = 2  # of a group


@dataclass(frozen=True)
class TransferStart:
    """A customer of a hand-over: errcode 0, it has begun and completes after 24 hours unless refused."""

    external_userid: str
    errcode: int


@dataclass(frozen=True)
class TransferStarts:
    """transfer_customer, resigned/transfer_customer."""

    customer: tuple[TransferStart, ...] = ()

    @classmethod
    def read(cls, row: Row) -> "TransferStarts":
        found = (
            TransferStart(needed(one, "external_userid"), needed_integer(one, "errcode"))
            for one in rows(row, "customer")
        )
        return cls(tuple(found))


@dataclass(frozen=True)
class TransferOutcome:
    """status 1 done, 2 waiting, 3 refused, 4 the taker's limit, 5 no record; takeover_time may lie ahead while waiting."""

    external_userid: str
    status: int
    takeover_time: int = 0


@dataclass(frozen=True)
class TransferOutcomes:
    """transfer_result, resigned/transfer_result: at most 1,000."""

    customer: tuple[TransferOutcome, ...] = ()
    next_cursor: str = ""
    is_told: bool = True

    @classmethod
    def read(cls, row: Row) -> "TransferOutcomes":
        found = (
            TransferOutcome(
                needed(one, "external_userid"), needed_integer(one, "status"), seconds(one, "takeover_time")
            )
            for one in rows(row, "customer")
        )
        return cls(tuple(found), text(row, "next_cursor"), told(row, "customer"))


@dataclass(frozen=True)
class Unassigned:
    """A customer whose member left at dimission_time."""

    handover_userid: str
    external_userid: str
    dimission_time: int = 0


@dataclass(frozen=True)
class UnassignedList:
    """get_unassigned_list: at most 1,000."""

    info: tuple[Unassigned, ...] = ()
    is_last: bool = False
    next_cursor: str = ""

    @classmethod
    def read(cls, row: Row) -> "UnassignedList":
        found = (
            Unassigned(needed(one, "handover_userid"), needed(one, "external_userid"), seconds(one, "dimission_time"))
            for one in rows(row, "info")
        )
        return cls(tuple(found), flag(row, "is_last"), text(row, "next_cursor"))


@dataclass(frozen=True)
class FailedChat:
    """A group that did not get the new owner."""

    chat_id: str
    errcode: int
    errmsg: str = ""


@dataclass(frozen=True)
class FailedChats:
    """groupchat/transfer, groupchat/onjob_transfer: the groups not named have begun to change hands."""

    failed_chat_list: tuple[FailedChat, ...] = ()

    @classmethod
    def read(cls, row: Row) -> "FailedChats":
        found = (
            FailedChat(needed(one, "chat_id"), needed_integer(one, "errcode"), text(one, "errmsg"))
            for one in rows(row, "failed_chat_list")
        )
        return cls(tuple(found))


@dataclass(frozen=True)
class GroupOwner:
    """Of groupchat/get, who owns the group now."""

    chat_id: str
    owner: str

    @classmethod
    def read(cls, row: Row) -> "GroupOwner":
        """Raises Malformed for an answer without a group."""
        group = needed_part(row, "group_chat")
        return cls(needed(group, "chat_id"), text(group, "owner"))


@dataclass(frozen=True)
class GroupState:
    """status 0 normal, 1 the owner left, 2 being inherited, 3 inherited."""

    chat_id: str
    status: int = 0


@dataclass(frozen=True)
class GroupStates:
    """groupchat/list: at most 1,000."""

    group_chat_list: tuple[GroupState, ...] = ()
    next_cursor: str = ""
    is_told: bool = True

    @classmethod
    def read(cls, row: Row) -> "GroupStates":
        found = (GroupState(needed(one, "chat_id"), integer(one, "status")) for one in rows(row, "group_chat_list"))
        return cls(tuple(found), text(row, "next_cursor"), told(row, "group_chat_list"))
