"""What a rule stumbled over is repeated as what it was: a stage set by hand still stands."""

from datetime import timedelta

import pytest

from conditions import dirty
from contacts.models import Contact, Stage
from contacts.services.stages import change_stage
from tagging.models import RuleMatch
from tagging.services import rule_running
from tenants.audit import SYSTEM
from tests.support import tagging
from tests.support.consuming import enabled, settle
from tests.support.tagging import tree_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]


@pytest.fixture
def stages(acme):
    return [Stage.objects.create(key=key, name=key, order=n) for n, key in enumerate(("甲", "乙"), start=90)]


@pytest.fixture
def moved_by_hand(at, stages, monkeypatch):
    """moved_by_hand(name, times): somebody is moved by hand from where a rule would have her, and what is named stumbles so often."""
    first, second = stages
    is_here = {"field": "contact.stage", "op": "in", "value": [first.pk]}
    tree = tree_of({"all": [{"field": "t.name", "op": "is", "value": "王姐"}, is_here]})

    def move(name, times=1):
        person = tagging.make_person("王姐", stage=second)
        enabled(tree, [{"kind": "stage", "stage": second.pk}])
        works, failed = getattr(rule_running, name), []

        def stumbling(*args):
            if len(failed) < times:
                failed.append(True)
                raise RuntimeError("it stumbles")
            return works(*args)

        monkeypatch.setattr(rule_running, name, stumbling)
        change_stage([person.pk], first, source="manual", reason="", by=SYSTEM, at=tagging.NOW)
        for minutes in range(times):
            at(tagging.NOW + timedelta(minutes=minutes))
            settle()
            assert len(failed) == minutes + 1 and not RuleMatch.objects.exists()
        at(tagging.NOW + timedelta(minutes=times))
        return person

    return move


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("name", ["_decide", "_decide_all"])
def test_a_stage_set_by_hand_stands_when_the_rule_stumbled_first(moved_by_hand, stages, name, times):
    person = moved_by_hand(name, times)

    settle()

    person.refresh_from_db()
    assert person.stage == stages[0] and RuleMatch.objects.get().outcome == {"held": True}


@pytest.mark.parametrize("name", ["_decide", "_decide_all"])
def test_other_facts_that_come_with_the_repeat_count(moved_by_hand, stages, name):
    person = moved_by_hand(name)
    dirty.mark([person.pk], "t.name")

    settle()

    assert Contact.objects.get(pk=person.pk).stage == stages[1]


@pytest.mark.parametrize("name", ["_decide", "_decide_all"])
def test_what_stumbled_over_other_facts_is_no_stage_set_by_hand(at, stages, monkeypatch, name):
    """She was moved by hand long before; what came since makes her match, at the repeat as well."""
    first, second = stages
    person = tagging.make_person("别人", stage=second)
    change_stage([person.pk], first, source="manual", reason="", by=SYSTEM, at=tagging.NOW)
    settle()
    enabled(tree_of({"field": "t.name", "op": "is", "value": "王姐"}), [{"kind": "stage", "stage": second.pk}])
    works = getattr(rule_running, name)
    failing = [True]
    monkeypatch.setattr(rule_running, name, lambda *args: failing.pop() / 0 if failing else works(*args))
    Contact.objects.update(name="王姐")
    dirty.mark([person.pk], "t.name")
    settle()
    at(tagging.NOW + timedelta(minutes=1))

    settle()

    assert not failing and Contact.objects.get().stage == second
