"""Interception rules (敏感词)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InterceptRule:
    """semantics_list: 1 phone, 2 email, 3 red packet; intercept_type: 1 warns and blocks, 2 only warns."""

    rule_id: str
    rule_name: str = ""
    create_time: int = 0
    word_list: tuple[str, ...] = ()
    semantics_list: tuple[int, ...] = ()
    intercept_type: int = 0
    user_list: tuple[str, ...] = ()
    department_list: tuple[int, ...] = ()


@dataclass(frozen=True)
class InterceptRuleList:
    """Rules with id, name and time alone."""

    rule_list: tuple[InterceptRule, ...]


@dataclass(frozen=True)
class RuleMade:
    rule_id: str
