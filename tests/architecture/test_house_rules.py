import pytest

from tests.architecture.house_rules import RULES, violations

each = pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])


@each
def test_the_rule_catches_its_bad_lines_and_passes_its_good_ones(rule):
    assert [line for line in rule.bad if not rule.finds(line)] == []
    assert [line for line in rule.good if rule.finds(line)] == []


@each
def test_the_product_keeps_the_rule(rule):
    assert violations(rule) == [], rule.instead
