"""A batch in which everybody's change is another reads the rules and the segments once, however many sets of keys there are."""

import pytest

from conditions import dirty, drain
from tagging.models import RuleMatch
from tagging.services import rule_running, segment_following
from tests.support import tagging
from tests.support.consuming import built, enabled, members, settle, tag_action
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]
KEYS = ("t.name", "t.silent", "tag")


@pytest.fixture
def mixed(at, corp, guide):
    """A rule and a segment that read three keys; and people, each marked by another choice of these."""
    tag = tagging.make_tag("红")
    leaves = [
        {"field": "t.name", "op": "is", "value": "王姐"},
        {"field": "t.silent", "op": "yes"},
        {"field": "tag", "op": "any", "value": [tag.pk]},
    ]
    segment = built("三样", tree_of({"any": leaves}))
    rule = enabled(tree_of({"any": leaves}), tag_action(tagging.make_tag("蓝")))
    people = [tagging.make_person("王姐") for _ in range(1, 8)]
    for number, person in enumerate(people, start=1):
        tagging.make_relation(person, guide)
        dirty.mark([person.pk], *(key for bit, key in enumerate(KEYS) if number >> bit & 1))
    return people, segment, rule


def test_rules_and_segments_are_read_once_for_all_sets_of_keys(mixed, monkeypatch):
    people, segment, rule = mixed
    asked = []
    for name, place in (("kept_up", segment_following), ("enabled_rules", rule_running)):
        works = getattr(place, name)
        monkeypatch.setattr(place, name, lambda name=name, works=works: asked.append(name) or works())

    drain.drain_batch()

    assert members(segment) == {one.pk for one in people}
    assert RuleMatch.objects.filter(rule=rule, outcome__has_key="actions").count() == len(people)
    assert asked.count("enabled_rules") == 1
    assert asked.count("kept_up") <= 5, "once to decide, and where keys that are read are asked for"


def test_what_stumbles_at_some_is_read_anew_for_the_others(mixed, monkeypatch):
    """The failing call took the rule for broken, and what it wrote is undone."""
    people, _segment, rule = mixed
    works, failed = rule_running._decide_all, []

    def breaking(*args):
        if not failed:
            failed.append(True)
            works(*args)
            rule_running.break_rule(*(one for one in rule_running.read_once("rules", list)), "不行")
            raise RuntimeError("it stumbles")
        works(*args)

    monkeypatch.setattr(rule_running, "_decide_all", breaking)
    settle()

    rule.refresh_from_db()
    assert rule.state == "on" and RuleMatch.objects.filter(rule=rule).count() == len(people) - 1
