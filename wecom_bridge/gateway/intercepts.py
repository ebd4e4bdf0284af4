"""Interception rules (敏感词, customer-contact reference 10.2)."""

from collections.abc import Sequence
from typing import Any

from wecom_bridge.gateway.core import CUSTOMER_CONTACT, Core
from wecom_bridge.shapes.intercepts import InterceptRule, InterceptRuleList, RuleMade
from wecom_bridge.shapes.pieces import Row, integer, integers, needed, part, rows, seconds, text, texts

Answer = dict[str, Any]


class Intercepts(Core):
    """敏感词规则: at most 100 per corp (41069), names unique (41077)."""

    def add_intercept_rule(
        self,
        *,
        rule_name: str,
        word_list: Sequence[str],
        intercept_type: int,
        semantics_list: Sequence[int] = (),
        user_list: Sequence[str] = (),
        department_list: Sequence[int] = (),
    ) -> RuleMade:
        """EC/add_intercept_rule: name ≤ 20 characters, ≤ 300 words (41068) of ≤ 32 characters (41083); for members and
        departments together, ≤ 1000 of each and at least one (41076) (10.2)."""
        given = {"rule_name": rule_name, "word_list": list(word_list), "semantics_list": list(semantics_list)}
        body = given | {"intercept_type": intercept_type, "applicable_range": _range(user_list, department_list)}
        return self._ask("add_intercept_rule", body, lambda answer: RuleMade(needed(answer, "rule_id")))

    def get_intercept_rule_list(self) -> InterceptRuleList:
        """EC/get_intercept_rule_list: id, name and time of every rule; no paging (10.2)."""
        return self._fetch("get_intercept_rule_list", read_rules, under=CUSTOMER_CONTACT)

    def get_intercept_rule(self, *, rule_id: str) -> InterceptRule:
        """EC/get_intercept_rule; 41070 unknown, 41071 deleted (10.2)."""
        return self._ask("get_intercept_rule", {"rule_id": rule_id}, lambda answer: read_rule(part(answer, "rule")))

    def update_intercept_rule(
        self,
        *,
        rule_id: str,
        rule_name: str | None = None,
        word_list: Sequence[str] | None = None,
        semantics_list: Sequence[int] | None = None,
        intercept_type: int | None = None,
        add_users: Sequence[str] = (),
        add_departments: Sequence[int] = (),
        remove_users: Sequence[str] = (),
        remove_departments: Sequence[int] = (),
    ) -> Answer:
        """EC/update_intercept_rule: what is None stays; here semantics_list stands inside extra_rule (10.2)."""
        given = {
            "rule_id": rule_id,
            "rule_name": rule_name,
            "word_list": None if word_list is None else list(word_list),
            "extra_rule": None if semantics_list is None else {"semantics_list": list(semantics_list)},
            "intercept_type": intercept_type,
            "add_applicable_range": _range(add_users, add_departments) or None,
            "remove_applicable_range": _range(remove_users, remove_departments) or None,
        }
        return self._ask("update_intercept_rule", given, dict)

    def del_intercept_rule(self, *, rule_id: str) -> Answer:
        """EC/del_intercept_rule (10.2)."""
        return self._ask("del_intercept_rule", {"rule_id": rule_id}, dict)


def _range(users: Sequence[str], departments: Sequence[int]) -> dict[str, Any]:
    given = {"user_list": list(users), "department_list": list(departments)}
    return {name: values for name, values in given.items() if values}


def read_rules(answer: Row) -> InterceptRuleList:
    return InterceptRuleList(tuple(read_rule(row) for row in rows(answer, "rule_list")))


def read_rule(row: Row) -> InterceptRule:
    covered, extra = part(row, "applicable_range"), part(row, "extra_rule")
    return InterceptRule(
        rule_id=needed(row, "rule_id"),
        rule_name=text(row, "rule_name"),
        create_time=seconds(row, "create_time"),
        word_list=texts(row, "word_list"),
        semantics_list=integers(extra, "semantics_list") or integers(row, "semantics_list"),
        intercept_type=integer(row, "intercept_type"),
        user_list=texts(covered, "user_list"),
        department_list=integers(covered, "department_list"),
    )
