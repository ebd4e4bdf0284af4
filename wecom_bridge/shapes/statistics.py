"""Daily behaviour data of members (reference 6) and group statistics (5.3) as WeCom answers them."""

from dataclasses import dataclass, fields

from wecom_bridge.shapes.pieces import Row, decimal, integer, needed, needed_integer, part, rows


@dataclass(frozen=True)
class BehaviorDay:
    """A day, of all members asked for together. The two of replies are None where there was no chat: unknown, never 0."""

    stat_time: int
    chat_cnt: int = 0
    message_cnt: int = 0
    reply_percentage: float | None = None
    avg_reply_time: int | None = None  # minutes
    negative_feedback_cnt: int = 0
    new_apply_cnt: int = 0
    new_contact_cnt: int = 0

    @classmethod
    def read(cls, row: Row) -> "BehaviorDay":
        minutes = decimal(row, "avg_reply_time")
        return cls(
            stat_time=needed_integer(row, "stat_time"),
            chat_cnt=integer(row, "chat_cnt"),
            message_cnt=integer(row, "message_cnt"),
            reply_percentage=decimal(row, "reply_percentage"),
            avg_reply_time=None if minutes is None else int(minutes),
            negative_feedback_cnt=integer(row, "negative_feedback_cnt"),
            new_apply_cnt=integer(row, "new_apply_cnt"),
            new_contact_cnt=integer(row, "new_contact_cnt"),
        )


@dataclass(frozen=True)
class BehaviorData:
    """get_user_behavior_data."""

    behavior_data: tuple[BehaviorDay, ...] = ()

    @classmethod
    def read(cls, row: Row) -> "BehaviorData":
        return cls(tuple(BehaviorDay.read(one) for one in rows(row, "behavior_data")))


@dataclass(frozen=True)
class GroupData:
    """Numbers of groups; the totals are as of the end of the window."""

    new_chat_cnt: int = 0
    chat_total: int = 0
    chat_has_msg: int = 0
    new_member_cnt: int = 0
    member_total: int = 0
    member_has_msg: int = 0
    msg_total: int = 0
    migrate_trainee_chat_cnt: int = 0

    @classmethod
    def read(cls, row: Row) -> "GroupData":
        return cls(**{one.name: integer(row, one.name) for one in fields(cls)})


@dataclass(frozen=True)
class OwnerStatistics:
    owner: str
    data: GroupData = GroupData()


@dataclass(frozen=True)
class GroupStatistics:
    """groupchat/statistic: one row per owner, at most 1,000; total counts all."""

    total: int = 0
    next_offset: int = 0
    items: tuple[OwnerStatistics, ...] = ()

    @classmethod
    def read(cls, row: Row) -> "GroupStatistics":
        found = (OwnerStatistics(needed(one, "owner"), GroupData.read(part(one, "data"))) for one in rows(row, "items"))
        return cls(integer(row, "total"), integer(row, "next_offset"), tuple(found))


@dataclass(frozen=True)
class DayStatistics:
    stat_time: int
    data: GroupData = GroupData()


@dataclass(frozen=True)
class GroupStatisticsByDay:
    """groupchat/statistic_group_by_day: one row per day, of all owners asked for together."""

    items: tuple[DayStatistics, ...] = ()

    @classmethod
    def read(cls, row: Row) -> "GroupStatisticsByDay":
        found = (
            DayStatistics(needed_integer(one, "stat_time"), GroupData.read(part(one, "data")))
            for one in rows(row, "items")
        )
        return cls(tuple(found))
