"""Whose doing it was is known to the end, whatever lies between two rules: many people, a segment, a repeat.

Here no rule acts on what another did, so that whoever forgets whose doing it was acts and is found out.
"""

from datetime import timedelta

import pytest

from conditions import dirty, drain
from conditions.models import DirtyMark
from contacts.models import Contact, Stage
from tagging import causes
from tagging.models import RuleMatch, Segment
from tagging.services import marks, rule_running, segment_building, segment_following
from tests.support import tagging
from tests.support.consuming import built, enabled, named, settle, tag_action
from tests.support.tagging import tree_of
from wecom_bridge.models import OutboundCommand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_fields")]
BOTH = {"先": {"acted": 1}, "后": {"ring": 1}}


@pytest.fixture(autouse=True)
def _one_deep(monkeypatch):
    monkeypatch.setattr(causes, "DEEPEST", 1)


@pytest.fixture
def tag(corp):
    return tagging.make_tag("红")


def carries(tag):
    return {"field": "tag", "op": "any", "value": [tag.pk]}


def within(*segments):
    return tree_of({"all": [{"field": "segment", "op": "any", "value": [one.pk]} for one in segments]})


def two_rules(tag, tree):
    """The second puts another tag on whom the tree holds for; it is asked first, so that it sees what the first did by marks alone."""
    enabled(tree, tag_action(tagging.make_tag("蓝"), whose="all"), "后")
    return enabled(named("王姐"), tag_action(tag, whose="all"), "先")


def set_off(guide, how_many=1, **of):
    """People whom the first rule acts upon."""
    for _ in range(how_many):
        person = tagging.make_person("王姐")
        tagging.make_relation(tagging.make_person("旧", root=person) if of.get("as_branch") else person, guide)
        dirty.mark([person.pk], "t.name")


def outcomes():
    """Rule → how many it acted upon, and how many it left alone as another rule's doing."""
    found = {}
    for name, outcome in RuleMatch.objects.values_list("rule__name", "outcome"):
        what = "acted" if "actions" in outcome else outcome.get("skipped")
        found.setdefault(name, {}).setdefault(what, 0)
        found[name][what] += 1
    return found


@pytest.fixture
def stumble(monkeypatch):
    """stumble(place, name): what stands there fails the first time it is called because of a rule."""

    def arrange(place, name):
        works, failed = getattr(place, name), []

        def once(*args):
            turn = next((one for one in args if isinstance(one, rule_running.Turn)), None)
            people = turn is None and [pk for pk in args[0].root_ids if dirty.causes_of(pk)]
            if not failed and (people or (turn and turn.chain)):
                failed.append(True)
                raise RuntimeError("it stumbles")
            return works(*args)

        monkeypatch.setattr(place, name, once)
        return failed

    return arrange


def test_of_more_people_than_a_batch_takes_it_is_known_of_each(at, guide, tag, monkeypatch):
    monkeypatch.setattr(drain, "BATCH", 3)
    two_rules(tag, tree_of(carries(tag)))
    set_off(guide, 5)

    settle()

    assert outcomes() == {"先": {"acted": 5}, "后": {"ring": 5}}


def test_it_is_known_of_whom_she_took_in(at, guide, tag, monkeypatch):
    monkeypatch.setattr(drain, "BATCH", 1)
    two_rules(tag, tree_of(carries(tag)))
    set_off(guide, as_branch=True)

    settle()

    assert outcomes() == BOTH


def test_it_is_known_behind_a_segment(at, guide, tag):
    two_rules(tag, within(built("红的", tree_of(carries(tag)))))
    set_off(guide)

    settle()

    assert outcomes() == BOTH


def test_it_is_known_behind_the_entry_rule_of_a_stage(at, guide, tag):
    stage = Stage.objects.create(key="red", name="红的", order=90, rule=tree_of(carries(tag)))
    two_rules(tag, tree_of({"field": "contact.stage", "op": "in", "value": [stage.pk]}))
    set_off(guide)

    settle()

    assert Contact.objects.get().stage == stage and outcomes() == BOTH


@pytest.mark.parametrize("name", ["_decide_all", "_decide"])
def test_it_is_known_when_what_stumbled_is_repeated(at, guide, tag, stumble, name):
    two_rules(tag, tree_of(carries(tag)))
    failed = stumble(rule_running, name)
    set_off(guide)
    settle()
    assert failed

    at(tagging.NOW + timedelta(minutes=1))
    settle()

    assert outcomes() == BOTH


def test_it_is_known_when_a_segment_that_stumbled_is_repeated(at, guide, tag, stumble):
    two_rules(tag, within(built("红的", tree_of(carries(tag)))))
    failed = stumble(segment_following._Batch, "_decide")
    set_off(guide)
    settle()
    assert failed

    at(tagging.NOW + timedelta(minutes=1))
    settle()

    assert outcomes() == BOTH


def test_who_waits_for_segments_to_be_built_brings_it_along_to_each(at, guide, tag):
    first, second = built("红的", tree_of(carries(tag))), built("也是", tree_of(carries(tag)))
    two_rules(tag, within(first, second))
    Segment.objects.update(state="building")
    set_off(guide)
    settle()

    for segment in (first, second):
        Segment.objects.filter(pk=segment.pk).update(state="fresh")
        segment_building._let_come(segment.pk)
        settle()

    assert outcomes() == BOTH


def test_a_change_by_hand_meanwhile_is_nobodys_doing(at, guide, tag, stumble):
    """What is put off takes its causes along, and leaves none behind for what happens before."""
    two_rules(tag, tree_of({"any": [carries(tag), {"field": "t.name", "op": "is", "value": "李姐"}]}))
    failed = stumble(rule_running, "_decide")
    set_off(guide)
    settle()
    assert failed

    Contact.objects.update(name="李姐")
    dirty.mark(Contact.objects.values_list("pk", flat=True), "t.name")
    settle()

    assert outcomes() == {"先": {"acted": 1}, "后": {"acted": 1}}


def test_wecoms_answer_about_a_rules_tag_is_the_rules_doing(at, guide, corp):
    rule = two_rules(tagging.make_tag("老客", corp=corp), named("别人"))
    set_off(guide)
    settle()
    assert not DirtyMark.objects.exists()

    marks._on_result(OutboundCommand.objects.get(kind="tag.mark"), {})

    assert set(DirtyMark.objects.values_list("field_key", flat=True)) == {f"cause:{rule.pk}", "event.tag.added"}
