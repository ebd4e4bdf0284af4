"""Whom a rule left alone, since another rule's doing made her match, is not lost to it: her own next change is judged anew."""

import pytest

from conditions import boundaries, dirty
from contacts.models import Stage
from contacts.services.stages import change_stage
from tagging import causes
from tagging.models import RuleEvent, RuleMatch
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import enabled, listening, named, settle, tag_action
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


@pytest.fixture
def left_alone(at, corp, guide, monkeypatch):
    """A person who matches the rule 后, but by what the rule 先 did; and the rule 后."""
    monkeypatch.setattr(causes, "DEEPEST", 1)
    red = tagging.make_tag("红")
    is_red = {"field": "tag", "op": "any", "value": [red.pk]}
    tree = tree_of({"any": [is_red, {"field": "t.name", "op": "is", "value": "李姐"}]})
    later = enabled(tree, tag_action(tagging.make_tag("蓝")), "后")
    enabled(named("王姐"), tag_action(red), "先")
    person = tagging.make_person("王姐")
    tagging.make_relation(person, guide)
    dirty.mark([person.pk], "t.name")
    settle()
    assert outcomes(later) == [{"skipped": "ring"}]
    return person, later


def outcomes(rule):
    return list(RuleMatch.objects.filter(rule=rule).order_by("pk").values_list("outcome", flat=True))


def test_her_own_next_change_is_judged_anew_and_once(left_alone):
    person, rule = left_alone
    for _ in range(2):
        dirty.mark([person.pk], "t.name")
        settle()

    skipped, acted = outcomes(rule)
    assert skipped == {"skipped": "ring"} and set(acted) == {"actions"}
    assert RuleMatch.objects.get(rule=rule, left_at__isnull=True).outcome == acted


@pytest.mark.parametrize("what", ["caused", "time", "everything", "first sync", "another field"])
def test_what_is_no_change_of_her_own_changes_nothing(left_alone, what):
    person, rule = left_alone
    keys = {
        "caused": ["t.name", causes.key_of(RuleMatch.objects.exclude(rule=rule).get().rule_id)],
        "time": [boundaries.recheck_key(rule.reader)],
        "everything": [dirty.EVERYTHING],
        "another field": ["t.flag"],
    }.get(what, ["t.name"])
    dirty.mark([person.pk], *keys, backfill=what == "first sync")

    settle()

    assert outcomes(rule) == [{"skipped": "ring"}]


# --- Behind the entry rule of a stage -----------------------------------------------------------------------------


def test_a_rule_does_not_answer_to_the_stage_that_its_own_tag_led_to(at, corp, guide):
    """Whoever comes to a stage gets a tag, and who carries the tag comes to the next stage: there the rule stops."""
    tag = tagging.make_tag("红")
    first, second = (Stage.objects.create(key=f"s{n}", name=f"s{n}", order=90 + n) for n in range(2))
    Stage.objects.filter(pk=second.pk).update(rule=tree_of({"field": "tag", "op": "any", "value": [tag.pk]}))
    rule = listening({"kind": "event", "event": "stage.changed"}, tag_action(tag))
    person = tagging.make_person("王姐")
    tagging.make_relation(person, guide)
    change_stage([person.pk], first, source="manual", reason="", by=SYSTEM, at=tagging.NOW)

    settle()

    person.refresh_from_db()
    assert person.stage == second
    events = RuleEvent.objects.filter(rule=rule).order_by("pk")
    assert [(one.state, set(one.outcome), one.chain) for one in events] == [
        ("done", {"actions"}, []),
        ("skipped", {"skipped"}, [rule.pk]),
    ]
    assert events[1].outcome == {"skipped": "ring"}
