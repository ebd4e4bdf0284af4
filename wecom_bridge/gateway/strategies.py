"""Strategies (规则组) and their tags (customer-contact reference 2.2). A self-built app reaches only what it made itself."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from wecom_bridge.gateway.core import Core
from wecom_bridge.shapes.pieces import (
    INT53,
    Row,
    flag,
    integer,
    needed,
    needed_integer,
    part,
    rows,
    seconds,
    text,
    texts,
)
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

    def list_strategies(self, *, kind: Kind = "customer", cursor: str = "", limit: int = 1000) -> StrategyPage:
        """…_strategy/list: ids, at most 1,000 a page (2.2)."""
        return self._ask(f"{kind}_strategy/list", {"cursor": cursor, "limit": limit}, read_page)

    def get_strategy(self, *, strategy_id: int, kind: Kind = "customer") -> Strategy:
        """…_strategy/get (2.2)."""
        given = {"strategy_id": strategy_id}
        return self._ask(f"{kind}_strategy/get", given, lambda answer: read_strategy(part(answer, "strategy")))

    def get_strategy_range(
        self, *, strategy_id: int, kind: Kind = "customer", cursor: str = "", limit: int = 1000
    ) -> StrategyRange:
        """…_strategy/get_range: members and departments, at most 1,000 a page (2.2)."""
        given = {"strategy_id": strategy_id, "cursor": cursor, "limit": limit}
        return self._ask(f"{kind}_strategy/get_range", given, read_range)

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
        given: dict[str, Any] = {"parent_id": parent_id, "strategy_name": strategy_name, "admin_list": list(admin_list)}
        given |= {"privilege": privilege, "range": list(range)}
        return self._ask(
            f"{kind}_strategy/create", given, lambda answer: StrategyMade(needed_integer(answer, "strategy_id"))
        )

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
        return self._ask(f"{kind}_strategy/edit", given | more, dict)

    def del_strategy(self, *, strategy_id: int, kind: Kind = "customer") -> Answer:
        """…_strategy/del (2.2)."""
        return self._ask(f"{kind}_strategy/del", {"strategy_id": strategy_id}, dict)

    # -- tags ----------------------------------------------------------------------------------------------------------

    def get_strategy_tag_list(
        self, *, strategy_id: int | None = None, tag_id: list[str] | None = None, group_id: list[str] | None = None
    ) -> StrategyTagList:
        """EC/get_strategy_tag_list: of one strategy or all; tag_id is ignored beside group_id; no paging (2.2)."""
        given = {"strategy_id": strategy_id, "tag_id": tag_id, "group_id": group_id}
        return self._ask("get_strategy_tag_list", given, read_groups)

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
        body = given | {"tag": list(tag)}
        return self._ask("add_strategy_tag", body, lambda answer: read_group(part(answer, "tag_group")))

    def edit_strategy_tag(self, *, id: str, name: str | None = None, order: int | None = None) -> Answer:
        """EC/edit_strategy_tag of a tag or a group; 40071: the name is taken (2.2)."""
        return self._ask("edit_strategy_tag", {"id": id, "name": name, "order": order}, dict)

    def del_strategy_tag(self, *, tag_id: list[str] | None = None, group_id: list[str] | None = None) -> Answer:
        """EC/del_strategy_tag: a group goes with its last tag (2.2)."""
        return self._ask("del_strategy_tag", {"tag_id": tag_id, "group_id": group_id}, dict)


def read_page(answer: Row) -> StrategyPage:
    found = (needed_integer(row, "strategy_id") for row in rows(answer, "strategy"))
    return StrategyPage(tuple(found), text(answer, "next_cursor"))


def read_strategy(row: Row) -> Strategy:
    privilege = part(row, "privilege")
    return Strategy(
        strategy_id=needed_integer(row, "strategy_id"),
        parent_id=integer(row, "parent_id", most=INT53),
        strategy_name=text(row, "strategy_name"),
        create_time=seconds(row, "create_time"),
        admin_list=texts(row, "admin_list"),
        privilege={str(name): flag(privilege, name) for name in privilege},
    )


def read_range(answer: Row) -> StrategyRange:
    entries = rows(answer, "range")
    userids = (text(row, "userid") for row in entries)
    partyids = (integer(row, "partyid", most=INT53) for row in entries)
    cursor = text(answer, "next_cursor")
    return StrategyRange(tuple(one for one in userids if one), tuple(one for one in partyids if one), cursor)


def read_groups(answer: Row) -> StrategyTagList:
    return StrategyTagList(tuple(read_group(row) for row in rows(answer, "tag_group")))


def read_group(row: Row) -> StrategyTagGroup:
    tags = (
        StrategyTag(
            needed(tag, "id"), text(tag, "name"), seconds(tag, "create_time"), integer(tag, "order", most=INT53)
        )
        for tag in rows(row, "tag")
    )
    return StrategyTagGroup(
        group_id=needed(row, "group_id"),
        strategy_id=integer(row, "strategy_id", most=INT53),
        group_name=text(row, "group_name"),
        create_time=seconds(row, "create_time"),
        order=integer(row, "order", most=INT53),
        tag=tuple(tags),
    )
