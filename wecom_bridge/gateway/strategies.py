"""Strategies (规则组) and their tags (customer-contact reference 2.2). A self-built app reaches only what it made itself."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from wecom_bridge.gateway.core import Core
from wecom_bridge.gateway.lenient import child, flag, number, numbers, rows, text, texts
from wecom_bridge.gateway.parse import Row
from wecom_bridge.shapes.strategies import (
    Strategy,
    StrategyMade,
    StrategyPage,
    StrategyRange,
    StrategyTag,
    StrategyTagGroup,
    StrategyTagList,
)

Kind = Literal["customer", "moment"]
Answer = dict[str, Any]
Entries = Sequence[Mapping[str, Any]]


class Strategies(Core):
    """EC/customer_strategy/* and EC/moment_strategy/* (`kind`), EC/…_strategy_tag."""

    def _strategy(self, kind: Kind, act: str, data: Mapping[str, Any]) -> Answer:
        return self._call(f"{kind}_strategy/{act}", lambda: self.client.strategies.strategy(kind, act, data))

    def list_strategies(self, *, kind: Kind = "customer", cursor: str = "", limit: int = 1000) -> StrategyPage:
        """…_strategy/list: ids, at most 1,000 a page (2.2)."""
        answer = self._strategy(kind, "list", {"cursor": cursor, "limit": limit})
        ids = tuple(number(row, "strategy_id") for row in rows(answer, "strategy"))
        return StrategyPage(tuple(one for one in ids if one), text(answer, "next_cursor"))

    def get_strategy(self, *, strategy_id: int, kind: Kind = "customer") -> Strategy:
        """…_strategy/get (2.2)."""
        return read_strategy(child(self._strategy(kind, "get", {"strategy_id": strategy_id}), "strategy"))

    def get_strategy_range(
        self, *, strategy_id: int, kind: Kind = "customer", cursor: str = "", limit: int = 1000
    ) -> StrategyRange:
        """…_strategy/get_range: members and departments, at most 1,000 a page (2.2)."""
        given = {"strategy_id": strategy_id, "cursor": cursor, "limit": limit}
        return read_range(self._strategy(kind, "get_range", given))

    def create_strategy(
        self,
        *,
        strategy_name: str,
        admin_list: Sequence[str],
        range: Entries,
        kind: Kind = "customer",
        parent_id: int | None = None,
        privilege: Mapping[str, bool] | None = None,
    ) -> StrategyMade:
        """…_strategy/create: range of {type 1, userid} and {type 2, partyid} (2.2)."""
        given = {"parent_id": parent_id, "strategy_name": strategy_name, "admin_list": list(admin_list)}
        answer = self._strategy(kind, "create", given | {"privilege": privilege, "range": list(range)})
        return StrategyMade(number(answer, "strategy_id"))

    def edit_strategy(
        self,
        *,
        strategy_id: int,
        kind: Kind = "customer",
        strategy_name: str | None = None,
        admin_list: Sequence[str] | None = None,
        privilege: Mapping[str, bool] | None = None,
        range_add: Entries | None = None,
        range_del: Entries | None = None,
    ) -> Answer:
        """…_strategy/edit: what is None stays (2.2)."""
        given = {"strategy_id": strategy_id, "strategy_name": strategy_name, "admin_list": admin_list}
        more = {"privilege": privilege, "range_add": range_add, "range_del": range_del}
        return self._strategy(kind, "edit", given | more)

    def del_strategy(self, *, strategy_id: int, kind: Kind = "customer") -> Answer:
        """…_strategy/del (2.2)."""
        return self._strategy(kind, "del", {"strategy_id": strategy_id})

    # -- tags ----------------------------------------------------------------------------------------------------------

    def _tags(self, path: str, data: Mapping[str, Any]) -> Answer:
        return self._call(path, lambda: self.client.strategies.tag(path, data))

    def get_strategy_tag_list(
        self, *, strategy_id: int | None = None, tag_id: list[str] | None = None, group_id: list[str] | None = None
    ) -> StrategyTagList:
        """EC/get_strategy_tag_list: of one strategy or all; tag_id is ignored beside group_id; no paging (2.2)."""
        given = {"strategy_id": strategy_id, "tag_id": tag_id, "group_id": group_id}
        answer = self._tags("get_strategy_tag_list", given)
        return StrategyTagList(tuple(read_group(row) for row in rows(answer, "tag_group")))

    def add_strategy_tag(
        self,
        *,
        strategy_id: int,
        tag: Entries,
        group_id: str | None = None,
        group_name: str | None = None,
        order: int | None = None,
    ) -> StrategyTagGroup:
        """EC/add_strategy_tag of a first-level strategy: names ≤ 30 characters, 3000 tags with the corp's own (40126) (2.2)."""
        given = {"strategy_id": strategy_id, "group_id": group_id, "group_name": group_name, "order": order}
        return read_group(child(self._tags("add_strategy_tag", given | {"tag": list(tag)}), "tag_group"))

    def edit_strategy_tag(self, *, id: str, name: str | None = None, order: int | None = None) -> Answer:
        """EC/edit_strategy_tag of a tag or a group; 40071: the name is taken (2.2)."""
        return self._tags("edit_strategy_tag", {"id": id, "name": name, "order": order})

    def del_strategy_tag(self, *, tag_id: list[str] | None = None, group_id: list[str] | None = None) -> Answer:
        """EC/del_strategy_tag: a group goes with its last tag (2.2)."""
        return self._tags("del_strategy_tag", {"tag_id": tag_id, "group_id": group_id})


def read_strategy(row: Row) -> Strategy:
    privilege = child(row, "privilege")
    return Strategy(
        strategy_id=number(row, "strategy_id"),
        parent_id=number(row, "parent_id"),
        strategy_name=text(row, "strategy_name"),
        create_time=number(row, "create_time"),
        admin_list=texts(row, "admin_list"),
        privilege={str(name): flag(privilege, name) for name in privilege},
    )


def read_range(answer: Row) -> StrategyRange:
    entries = rows(answer, "range")
    userids = tuple(text(row, "userid") for row in entries if row.get("userid"))
    partyids = tuple(one for row in entries for one in numbers({"v": [row.get("partyid")]}, "v") if one)
    return StrategyRange(userids, partyids, text(answer, "next_cursor"))


def read_group(row: Row) -> StrategyTagGroup:
    tags = (
        StrategyTag(text(tag, "id"), text(tag, "name"), number(tag, "create_time"), number(tag, "order"))
        for tag in rows(row, "tag")
    )
    return StrategyTagGroup(
        group_id=text(row, "group_id"),
        strategy_id=number(row, "strategy_id"),
        group_name=text(row, "group_name"),
        create_time=number(row, "create_time"),
        order=number(row, "order"),
        tag=tuple(tag for tag in tags if tag.id),
    )
