"""Daily behaviour data of members (reference 6) and group statistics (reference 5.3)."""

from typing import Any

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes import statistics as shapes


class Statistics(Core):
    """All may raise CallError. Times are floored to 00:00 in China, the window closed, ≤ 30 days, within the last 180 days."""

    def get_user_behavior_data(
        self, *, start_time: int, end_time: int, userid: list[str] | None = None, partyid: list[int] | None = None
    ) -> shapes.BehaviorData:
        """EC/get_user_behavior_data: ≤ 100 of each list, not both empty; several ids are summed into one series."""
        body: dict[str, Any] = {
            "userid": userid or None,
            "partyid": partyid or None,
            "start_time": start_time,
            "end_time": end_time,
        }
        return self._ask("get_user_behavior_data", body, shapes.BehaviorData.read)

    def groupchat_statistic(
        self, *, day_begin_time: int, day_end_time: int, userid_list: list[str], order_by: int = 1, order_asc: int = 0,
        offset: int = 0, limit: int = 1000,
    ) -> shapes.GroupStatistics:  # fmt: skip
        """EC/groupchat/statistic: ≤ 100 owners, a row each; the newest day is yesterday."""
        body: dict[str, Any] = {
            "day_begin_time": day_begin_time,
            "day_end_time": day_end_time,
            "offset": offset,
            "limit": limit,
        }
        body |= {"owner_filter": {"userid_list": userid_list}, "order_by": order_by, "order_asc": order_asc}
        return self._ask("groupchat/statistic", body, shapes.GroupStatistics.read)

    def groupchat_statistic_group_by_day(
        self, *, day_begin_time: int, day_end_time: int, userid_list: list[str]
    ) -> shapes.GroupStatisticsByDay:
        """EC/groupchat/statistic_group_by_day: ≤ 100 owners summed, a row per day; the newest is yesterday."""
        body: dict[str, Any] = {"day_begin_time": day_begin_time, "day_end_time": day_end_time}
        body |= {"owner_filter": {"userid_list": userid_list}}
        return self._ask("groupchat/statistic_group_by_day", body, shapes.GroupStatisticsByDay.read)
