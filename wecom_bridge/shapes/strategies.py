"""Strategies (规则组) of customer contact and of moments, and the tags of the former."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Strategy:
    """privilege: what its administrators may do, by WeCom's names."""

    strategy_id: int
    parent_id: int = 0
    strategy_name: str = ""
    create_time: int = 0
    admin_list: tuple[str, ...] = ()
    privilege: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class StrategyPage:
    """Ids of strategies; next_cursor is empty on the last page."""

    strategy_ids: tuple[int, ...]
    next_cursor: str = ""


@dataclass(frozen=True)
class StrategyRange:
    """Whom a strategy covers: members, and departments with all below them."""

    userids: tuple[str, ...]
    partyids: tuple[int, ...]
    next_cursor: str = ""


@dataclass(frozen=True)
class StrategyMade:
    strategy_id: int


@dataclass(frozen=True)
class StrategyTag:
    id: str
    name: str = ""
    create_time: int = 0
    order: int = 0


@dataclass(frozen=True)
class StrategyTagGroup:
    """Larger order stands first; deleted ones are never told."""

    group_id: str
    strategy_id: int = 0
    group_name: str = ""
    create_time: int = 0
    order: int = 0
    tag: tuple[StrategyTag, ...] = ()


@dataclass(frozen=True)
class StrategyTagList:
    tag_group: tuple[StrategyTagGroup, ...]
