"""How many people a tree holds for: counted when they are few, judged by a sample with its margin when they are many."""

import random
from datetime import timedelta

import pytest

from conditions import estimating
from conditions.estimating import Estimate, estimate, removed_by
from conditions.explain import explain
from conditions.people import people
from conditions.registry import Asker
from contacts.models import Contact, StageTransition
from scrm.lib import clock
from tests.support import tagging
from tests.support.tagging import NOW, World, tree_of

pytestmark = pytest.mark.django_db
SEER = Asker(frozenset({"tags.view", "contacts.view"}), frozenset())


@pytest.fixture(autouse=True)
def _fields(acme, monkeypatch):
    tagging.register_test_fields()
    monkeypatch.setattr(clock, "now", lambda: NOW)


def follows(number):
    return {"field": "t.follows", "op": "eq", "value": number}


def make_many(count):
    rows = [Contact(name=f"{n}", active_follows=n % 4, created_at=NOW, updated_at=NOW) for n in range(count)]
    made = Contact.objects.bulk_create(rows)
    Contact.objects.filter(pk__in=[row.pk for row in made[::7]]).delete()  # holes
    for row in made[1::70]:
        Contact.objects.filter(pk=row.pk).update(root=made[2])


def test_few_people_are_counted_and_each_part_says_whom_it_alone_keeps_out():
    world = World(random.Random(9), size=30)
    parts = [
        follows(1),
        {"not": {"field": "t.name", "op": "contains", "value": "王"}},
        {"field": "t.tag", "op": "not_empty"},
    ]

    def count(*chosen):
        return estimate(tree_of({"all": list(chosen)}), NOW)

    whole = count(*parts)
    assert (whole.is_exact, whole.low, whole.high) == (True, whole.number, whole.number)
    assert count().number == len(world.roots)
    for index, removal in enumerate(removed_by(tree_of({"all": parts}), NOW)):
        without = count(*parts[:index], *parts[index + 1 :])
        assert removal.path == f"root.all[{index}]"
        assert removal.removed.number == without.number - whole.number
    assert removed_by(tree_of({"any": parts}), NOW) == []
    assert estimate(tree_of({"all": []}), NOW, people().filter(pk__in=world.roots[:3])).number == 3


def test_of_many_people_a_sample_judges_and_its_margin_holds_the_truth(monkeypatch):
    monkeypatch.setattr(estimating, "COUNTED", 100)
    monkeypatch.setattr(estimating, "DRAWN", 400)
    make_many(1500)
    truth = people().filter(active_follows=1).count()
    judged = [estimate(tree_of(follows(1)), NOW, seed=seed) for seed in range(20)]
    assert all(not one.is_exact and one.sampled == 400 for one in judged)
    assert sum(one.low <= truth <= one.high for one in judged) >= 17
    assert (
        abs(sum(one.number for one in judged) / len(judged) - truth) < truth * 0.1
    )  # no bias: holes and branches are no people
    assert len({estimate(tree_of(follows(1)), NOW).number for _ in range(8)}) > 1
    [removal] = removed_by(tree_of({"all": [follows(1)]}), NOW, seed=1)
    others = people().count() - truth
    assert removal.removed.low <= others <= removal.removed.high


def test_a_sample_without_a_hit_says_fewer_than():
    nobody = estimating._judged(0, 2000, 1_000_000)
    assert (nobody.number, nobody.low, nobody.is_exact) == (0, 0, False)
    assert nobody.in_words == "不到 2,000 人"
    assert Estimate(12_345, 10_100, 15_200, False, 2000).in_words == "约 12,000 人(10,000 到 16,000 之间,95% 把握)"
    assert Estimate(7, 7, 7, True).in_words == "7 人"


def test_an_explanation_says_where_each_fact_came_from():
    world = World(random.Random(2), size=0)
    person = tagging.make_person(stage=world.stages[0])
    branch = tagging.make_person(root=person)
    tagging.put_tag(tagging.make_relation(branch, world.members[0]), world.tags[0], origin="guide")
    StageTransition.objects.create(contact=person, to_stage=world.stages[0], changed_at=NOW, source="rule")
    tree = tree_of(
        {"at_least": 2, "of": [
            {"field": "tag", "op": "any", "value": [world.tags[0].pk]},
            {"field": "tag", "op": "any", "value": [world.tags[0].pk], "where": {"origin": ["rule"]}},
            {"field": "contact.stage", "op": "in", "value": [world.stages[0].pk]},
            {"field": "events", "op": "in_order", "value": ["follow.added", "group.joined"]},
            {"field": "share", "op": "in_share", "value": {"seed": "x", "from": 0, "to": 100}},
        ]}
    )  # fmt: skip
    group, tag, by_rule, stage, events, share = explain(tree, person.pk, NOW, SEER)
    assert (group.holds, tag.holds, by_rule.holds, stage.holds, events.holds, share.holds) == (
        True,
        True,
        False,
        True,
        False,
        True,
    )
    assert tag.fact == world.tags[0].name
    assert f"导购「{world.members[0]}」" in tag.source
    assert by_rule.fact == events.fact == "没有记录"
    assert stage.source == "2026-03-01 12:00 起,来自规则"
    assert str(person.pk) in share.fact


def test_a_past_day_does_not_know_what_came_after():
    from conditions.compiler import compile_tree

    world = World(random.Random(2), size=0)
    person = tagging.make_person(first_added_at=NOW)
    order = world.add_order(person, at=NOW)
    order.status = "paid"
    order.save()
    before = NOW - timedelta(days=1)

    def holds(leaf, at, **how):
        return people().filter(compile_tree(tree_of(leaf), at, **how)).exists()

    for leaf in ({"field": "t.order", "op": "count_at_least", "value": 1}, {"field": "t.added", "op": "not_empty"}):
        for sweep in (False, True):
            assert holds(leaf, before, sweep=sweep)  # today's answer: it is there
            assert not holds(leaf, before, as_of=True, sweep=sweep)
            assert holds(leaf, NOW, as_of=True, sweep=sweep)
